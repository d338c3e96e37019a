from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from softcam.errors import InputError
from softcam.evaluation.overlap import (
    average_precision,
    best_overlap,
    overlap_at,
    topk_intersection,
)
from tests.evaluation.references import cases, pairs, scaled

ALL = {
    "average_precision": average_precision,
    "best_overlap": lambda maps, masks: best_overlap(maps, masks).iou,
    "overlap_at": lambda maps, masks: overlap_at(maps, masks).iou,
    "topk_intersection": lambda maps, masks: topk_intersection(maps, masks, 3),
}


def slow_areas(values, mask, limit):
    """IoU and Dice of the pixels that reach a limit, pixel by pixel."""
    both = sum(v >= limit and b for v, b in zip(values, mask, strict=True))
    area, lesion = sum(v >= limit for v in values), sum(mask)
    return both / (area + lesion - both), 2 * both / (area + lesion)


def slow_best(values, mask):
    if not any(mask):
        return math.nan, math.nan, math.nan
    limits = sorted({v for v in values if v > 0}, reverse=True)
    if not limits:
        return 0.0, 0.0, math.nan
    ious = [slow_areas(values, mask, limit)[0] for limit in limits]
    best = ious.index(max(ious))
    return *slow_areas(values, mask, limits[best]), limits[best] / limits[0]


def slow_average_precision(values, mask):
    """Mean over the lesion's pixels of the precision among the pixels at least as high."""
    if not any(mask):
        return math.nan
    terms = []
    for value, lesion in zip(values, mask, strict=True):
        if lesion:
            reached = [b for v, b in zip(values, mask, strict=True) if v >= value]
            terms.append(sum(reached) / len(reached))
    return sum(terms) / len(terms)


def slow_topk(values, mask, k):
    """Mean over the order of ties, found by giving each of them its part of the room left."""
    if not any(mask):
        return math.nan
    k = min(k, len(values))
    last = sorted(values, reverse=True)[k - 1]
    above = [b for v, b in zip(values, mask, strict=True) if v > last]
    ties = [b for v, b in zip(values, mask, strict=True) if v == last]
    return (sum(above) + (k - len(above)) * sum(ties) / len(ties)) / k


@settings(max_examples=200, deadline=None, derandomize=True)
@given(cases())
def test_average_precision_agrees_with_slow_loops_and_with_scikit_learn(case):
    maps, masks = case
    found = average_precision(maps, masks).tolist()
    slow = [slow_average_precision(*pair) for pair in pairs(maps, masks)]
    assert found == pytest.approx(slow, abs=1e-12, nan_ok=True)
    for value, (scores, mask) in zip(found, pairs(maps, masks), strict=True):
        if any(mask):  # scikit-learn gives 0 for an empty mask, and warns
            assert value == pytest.approx(average_precision_score(mask, scores), abs=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([0.1, 1 / 3, 0.5, 1.0]))
def test_overlaps_agree_with_slow_loops(case, threshold):
    maps, masks = case
    best, fixed = best_overlap(maps, masks), overlap_at(maps, masks, threshold)
    columns = [best.iou.tolist(), best.dice.tolist(), best.threshold.tolist()]
    slow = [slow_best(*pair) for pair in pairs(maps, masks)]
    for row, expected in zip(zip(*columns, strict=True), slow, strict=True):
        assert row == pytest.approx(expected, abs=1e-12, nan_ok=True)
    for row, (values, mask) in enumerate(pairs(maps, masks)):
        expected = (math.nan, math.nan)
        if any(mask):
            expected = slow_areas(scaled(values), mask, threshold)
        found = fixed.iou[row].item(), fixed.dice[row].item()
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(), st.integers(1, 30))
def test_the_highest_pixels_agree_with_slow_loops(case, k):
    maps, masks = case
    raw = [
        (v.double().flatten().tolist(), m.flatten().tolist())
        for v, m in zip(maps, masks, strict=True)
    ]
    slow = [slow_topk(values, mask, k) for values, mask in raw]
    found = topk_intersection(maps, masks, k)
    assert found.tolist() == pytest.approx(slow, abs=1e-12, nan_ok=True)


def test_on_a_large_map_scikit_learn_agrees():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 96, 96, generator=generator)
    maps[1] = (maps[1] * 3).round()  # many ties
    masks = torch.rand(3, 96, 96, generator=generator) < torch.sigmoid(maps - 2)
    expected = [average_precision_score(m, v) for v, m in pairs(maps, masks)]
    assert average_precision(maps, masks).tolist() == pytest.approx(expected, abs=1e-12)
    best = best_overlap(maps, masks)
    at_best = [
        overlap_at(m[None].double(), b[None], t).iou.item()
        for m, b, t in zip(maps, masks, best.threshold.tolist(), strict=True)
    ]
    assert at_best == pytest.approx(best.iou.tolist(), abs=1e-12)


def test_a_map_that_is_the_mask_scores_one():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2:5, 3:7] = True
    for score in ALL.values():
        assert score(masks.double() * 4 - 1, masks).item() == 1


def test_a_constant_map_ranks_nothing():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2:5, 3:7] = True
    for value in (0.3, -0.3, 0.0):
        maps = torch.full((1, 8, 8), value)
        assert average_precision(maps, masks).item() == pytest.approx(12 / 64, abs=1e-12)
        assert topk_intersection(maps, masks, 5).item() == pytest.approx(12 / 64, abs=1e-12)
    assert best_overlap(-maps.abs() - 1, masks).iou.item() == 0
    assert overlap_at(-maps.abs() - 1, masks).dice.item() == 0


def test_one_pixel_is_enough_for_a_map_and_for_a_lesion():
    maps, masks = torch.ones(1, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool)
    for score in ALL.values():
        assert score(maps, masks).item() == 1
        assert score(maps, ~masks).isnan().all()


@pytest.mark.parametrize("name", ALL)
def test_an_empty_mask_is_undefined_and_nan_is_refused(name):
    maps, masks = torch.rand(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    assert ALL[name](maps, masks).isnan().all()
    assert ALL[name](maps[:0], masks[:0]).shape == (0,)
    maps[1, 0, 0] = math.nan
    with pytest.raises(InputError, match="for image 1 "):
        ALL[name](maps, masks)
    with pytest.raises(InputError, match=r"torch[.]float32"):
        ALL[name](maps.nan_to_num(), masks.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ALL)
def test_half_precision_gives_float64(name, dtype):
    maps = torch.tensor([[[1.0, 2.0], [4.0, -1.0]]], dtype=dtype, requires_grad=True)
    masks = torch.tensor([[[True, False], [True, False]]])
    found = ALL[name](maps, masks)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert found.item() == pytest.approx(ALL[name](maps.double(), masks).item())


@pytest.mark.parametrize("threshold", [0, -1, 1.5, math.nan])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(InputError, match="threshold is"):
        overlap_at(torch.rand(1, 2, 2), torch.rand(1, 2, 2) > 0, threshold)


def test_k_is_positive():
    with pytest.raises(InputError, match="k is 0"):
        topk_intersection(torch.rand(1, 2, 2), torch.rand(1, 2, 2) > 0, 0)
