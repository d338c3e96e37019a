from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from softcam.errors import InputError
from softcam.evaluation.lesions import lesions, recall_by_size
from tests.evaluation.references import cases


def slow_parts(mask):
    """Connected parts, grown pixel by pixel from the first in raster order."""
    left = [tuple(place) for place in np.argwhere(mask)]
    parts = []
    while left:
        part, front = [], [left.pop(0)]
        while front:
            place = front.pop()
            part.append(place)
            near = [p for p in left if max(abs(a - b) for a, b in zip(p, place, strict=True)) == 1]
            left = [p for p in left if p not in near]
            front += near
        parts.append(part)
    return parts


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases())
def test_lesions_agree_with_slow_loops_in_2d_and_3d(case):
    maps, masks = case
    found = lesions(maps, masks)
    rows = []
    for image, (values, mask) in enumerate(zip(maps.double().tolist(), masks, strict=True)):
        grid = np.maximum(np.array(values), 0)
        top = grid.max()
        places = list(itertools.product(*(range(side) for side in grid.shape)))
        highest = next(place for place in places if grid[place] == top)
        for part in slow_parts(mask.numpy()):
            on = [grid[place] / top if top else math.nan for place in part]
            pointed = bool(top) and highest in part
            rows.append(
                (image, len(part), len(part) / grid.size, sum(on) / len(on), max(on), pointed)
            )
    columns = (found.image, found.area, found.share, found.mean, found.peak, found.pointed)
    assert len(found) == len(rows)
    for column, expected in zip(columns, zip(*rows, strict=True) if rows else (), strict=False):
        assert column.tolist() == pytest.approx(list(expected), abs=1e-12, nan_ok=True)
    for row in range(len(rows)):
        assert found.found(0.5)[row] == (rows[row][4] >= 0.5)


def test_lesions_that_touch_at_a_corner_are_one_and_others_are_not():
    masks = torch.zeros(1, 5, 5, dtype=torch.bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 4, 4] = True
    assert lesions(torch.rand(1, 5, 5), masks).area.tolist() == [2, 1]


def test_recall_is_counted_by_size():
    maps, masks = torch.zeros(2, 10, 10), torch.zeros(2, 10, 10, dtype=torch.bool)
    masks[0, 0, 0] = True  # one pixel of a hundred, not lit
    masks[0, 5:7, 5:10] = True  # ten, lit
    masks[1, :, :6] = True  # sixty, dimly lit
    maps[0, 5, 5], maps[1, 9, 9], maps[1, 0, 0] = 2, 10, 3
    small, middle, large = recall_by_size(lesions(maps, masks), 0.5, sizes=(0.05, 0.5))
    assert (small.lesions, middle.lesions, large.lesions) == (1, 1, 1)
    assert (small.recall, middle.recall, large.recall) == (0, 1, 0)
    assert (small.low, small.high, large.high) == (0, 0.05, 1)
    assert recall_by_size(lesions(maps, masks), 0.3, sizes=(0.05, 0.5))[2].recall == 1


def test_a_lesion_on_a_border_of_sizes_is_of_the_larger_class_and_the_whole_image_of_the_last():
    masks = torch.zeros(2, 10, 10, dtype=torch.bool)
    masks[0, 0, 0], masks[1] = True, True
    classes = recall_by_size(lesions(torch.ones(2, 10, 10), masks), sizes=(0.01,))
    assert [row.lesions for row in classes] == [0, 2]
    assert math.isnan(classes[0].recall)


def test_without_positive_evidence_no_lesion_is_found():
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[:, 0, 0] = True
    found = lesions(torch.stack([-torch.ones(4, 4), torch.zeros(4, 4)]), masks)
    assert np.isnan(found.peak).all() and np.isnan(found.mean).all()
    assert not found.found().any() and not found.pointed.any()


def test_no_mask_means_no_lesions():
    for count in (0, 2):
        none = lesions(torch.rand(count, 4, 4), torch.zeros(count, 4, 4, dtype=torch.bool))
        assert len(none) == 0
        assert [row.lesions for row in recall_by_size(none)] == [0, 0, 0]


def test_nan_is_refused():
    with pytest.raises(InputError, match="for image 0 "):
        lesions(torch.full((1, 2, 2), math.nan), torch.ones(1, 2, 2) > 0)


@pytest.mark.parametrize("sizes", [(0.1, 0.1), (0.2, 0.1), (0.0,), (1.0,)])
def test_sizes_increase(sizes):
    found = lesions(torch.rand(1, 2, 2), torch.ones(1, 2, 2) > 0)
    with pytest.raises(InputError, match="give increasing shares"):
        recall_by_size(found, sizes=sizes)
    with pytest.raises(InputError, match="threshold is 0"):
        found.found(0)
