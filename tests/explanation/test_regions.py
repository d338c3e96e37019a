from __future__ import annotations

import json
import math

import numpy as np
import pytest

from softcam.data.geometry import Geometry
from softcam.data.steps import Crop, Flip, Pad, Resize
from softcam.errors import InputError
from softcam.explanation.regions import cell_edges, find_regions, threshold_of

PLAIN = Geometry((40, 60), (40, 60))


def flood_fill(mask, connectivity):
    """Connected parts as sets of cells, found one neighbour at a time."""
    left = {(r, c) for r, c in np.argwhere(mask).tolist()}
    parts = []
    while left:
        todo, part = [left.pop()], set()
        while todo:
            row, column = todo.pop()
            part.add((row, column))
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    near = (row + dr, column + dc)
                    if near in left and (connectivity == 8 or abs(dr) + abs(dc) == 1):
                        left.remove(near)
                        todo.append(near)
        parts.append(part)
    return parts


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(5))
def test_regions_agree_with_a_slow_flood_fill(seed, sign, connectivity):
    evidence = np.random.default_rng(seed).normal(0.3, 1.0, (8, 12))
    limit = 0.5 * (sign * evidence).max()
    parts = flood_fill(sign * evidence >= limit, connectivity)
    expected = sorted(
        ((sum(evidence[cell] for cell in part) / 96, len(part)) for part in parts),
        key=lambda item: -abs(item[0]),
    )
    found = find_regions(evidence, PLAIN, sign=sign, connectivity=connectivity)
    assert [region.cells for region in found] == [cells for _, cells in expected]
    np.testing.assert_allclose(
        [region.contribution for region in found], [part for part, _ in expected], rtol=1e-12
    )


@pytest.mark.parametrize("threshold", [None, 0.0, 0.7])
def test_contributions_and_the_remainder_add_up_to_the_logit(threshold):
    evidence = np.random.default_rng(1).normal(0.2, 1.0, (14, 14))
    regions = find_regions(evidence, PLAIN, threshold=threshold)
    limit = threshold_of(evidence, threshold=threshold)
    remainder = evidence[(evidence < limit) | (evidence <= 0)].sum() / evidence.size
    total = sum(region.contribution for region in regions) + remainder
    assert total == pytest.approx(evidence.mean(), abs=1e-12)
    for region in regions:
        assert region.share == pytest.approx(region.contribution / evidence.mean(), rel=1e-12)


def test_the_box_peak_and_outline_are_in_file_pixels():
    evidence = np.zeros((4, 6))
    evidence[1, 2:4] = 3.0, 4.0
    (region,) = find_regions(evidence, PLAIN)
    assert region.box == (20.0, 10.0, 20.0, 10.0)
    assert region.peak == 4.0
    assert region.peak_xy == (35.0, 15.0)
    assert sorted(region.outline[0]) == [(20, 10), (20, 20), (40, 10), (40, 20)]


def test_a_flip_and_a_resize_are_undone():
    geometry = Geometry.of((40, 60), Resize(120, 80), Flip(horizontal=True))
    evidence = np.zeros((4, 6))
    evidence[0, 0] = 1.0
    (region,) = find_regions(evidence, geometry)
    assert region.box == (50.0, 0.0, 10.0, 10.0)
    assert region.peak_xy == (55.0, 5.0)


def test_regions_lie_where_map_to_file_puts_their_cells():
    geometry = Geometry.of((41, 67), Resize(64, 39), Pad(0, 12, 0, 13), Flip(vertical=True))
    evidence = np.zeros((8, 8))
    evidence[3, 5] = evidence[4, 6] = 1.0
    (region,) = find_regions(evidence, geometry)
    rows, columns = np.nonzero(geometry.map_to_file(evidence))
    x, y, width, height = region.box
    assert abs(x - columns.min()) <= 0.5
    assert abs(x + width - columns.max() - 1) <= 0.5
    assert abs(y - rows.min()) <= 0.5
    assert abs(y + height - rows.max() - 1) <= 0.5


def test_a_region_that_reaches_into_padding_is_clipped_to_the_image():
    geometry = Geometry.of((40, 60), Pad(0, 10, 0, 10))
    evidence = np.zeros((4, 4))
    evidence[0, 1] = 1.0  # input rows 0 to 15, of which 10 to 15 show the image
    (region,) = find_regions(evidence, geometry)
    assert region.box == (15.0, 0.0, 15.0, 5.0)
    assert not region.outside_image


def test_a_region_wholly_in_padding_is_marked_and_keeps_its_contribution():
    geometry = Geometry.of((40, 60), Pad(0, 20, 0, 0))
    evidence = np.zeros((3, 3))
    evidence[0, 0] = 9.0
    (region,) = find_regions(evidence, geometry)
    assert region.outside_image
    assert region.box is None
    assert region.peak_xy is None
    assert region.outline == ()
    assert region.contribution == 1.0


def test_padding_after_a_crop_does_not_count_as_the_image_that_was_cut_off():
    geometry = Geometry.of((40, 60), Crop(20, 0, 20, 40), Pad(20, 0, 20, 0))
    edges = cell_edges(geometry, (2, 3))
    np.testing.assert_array_equal(edges.visible, [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(edges.x, [20, 20, 40, 40])


def test_regions_come_by_falling_contribution():
    evidence = np.zeros((5, 5))
    evidence[0, 0], evidence[2, 2:5], evidence[4, 0] = 3.0, 2.0, 2.5
    assert [region.cells for region in find_regions(evidence, PLAIN)] == [3, 1, 1]


def test_negative_regions_have_negative_contributions_and_peaks():
    evidence = np.full((2, 2), 1.0)
    evidence[1, 1] = -8.0
    (region,) = find_regions(evidence, PLAIN, sign=-1)
    assert (region.contribution, region.peak) == (-2.0, -8.0)


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_a_map_without_positive_evidence_has_no_regions(threshold):
    assert find_regions(np.full((3, 3), -1.0), PLAIN, threshold=threshold) == []
    assert find_regions(np.zeros((3, 3)), PLAIN, threshold=threshold) == []


def test_the_share_of_a_logit_of_zero_is_undefined_and_null_in_json():
    (region,) = find_regions(np.array([[1.0, -1.0]]), PLAIN)
    assert math.isnan(region.share)
    values = json.loads(json.dumps(region.to_dict(), allow_nan=False))
    assert values["share"] is None
    assert values["box"] == [0, 0, 30, 40]


@pytest.mark.parametrize("option", [{"threshold": -1.0}, {"threshold": math.nan}, {"relative": 2}])
def test_an_impossible_threshold_is_refused(option):
    with pytest.raises(InputError, match="threshold is"):
        find_regions(np.ones((2, 2)), PLAIN, **option)
