from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softcam.errors import InputError
from softcam.evaluation.localisation import (
    activation_precision,
    activation_sensitivity,
    energy_inside,
    pointing_game,
    scaled_patch,
    topk_precision,
)

ALL = {
    "activation_precision": activation_precision,
    "activation_sensitivity": activation_sensitivity,
    "pointing_game": pointing_game,
    "topk_precision": lambda maps, masks: topk_precision(maps, masks, 2, patch=2),
}


def slow_precision(rows, mask):
    peak = max(max(v, 0.0) for row in rows for v in row)
    if peak == 0 or not any(any(line) for line in mask):
        return math.nan
    inside = whole = 0.0
    for row, line in zip(rows, mask, strict=True):
        for value, lesion in zip(row, line, strict=True):
            s = max(value, 0.0) / peak
            whole += s
            inside += s if lesion else 0.0
    return inside / whole


def slow_sensitivity(rows, mask):
    peak = max(max(v, 0.0) for row in rows for v in row)
    area = sum(bool(lesion) for line in mask for lesion in line)
    if area == 0:
        return math.nan
    if peak == 0:
        return 0.0
    pairs = zip(rows, mask, strict=True)
    return sum(max(v, 0.0) / peak for r, m in pairs for v, b in zip(r, m, strict=True) if b) / area


def slow_pointing(rows, mask):
    if not any(any(line) for line in mask):
        return math.nan
    best, where = 0.0, None
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            if value > best:
                best, where = value, (y, x)
    return 0.0 if where is None else float(mask[where[0]][where[1]])


def slow_topk(rows, mask, k, patch):
    height, width = len(rows), len(rows[0])
    if not any(any(line) for line in mask):
        return math.nan
    patches = []
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            cells = [
                (y, x)
                for y in range(top, min(top + patch, height))
                for x in range(left, min(left + patch, width))
            ]
            score = max(rows[y][x] for y, x in cells)
            if score > 0:
                patches.append((-score, len(patches), any(mask[y][x] for y, x in cells)))
    taken = sorted(patches)[:k]
    return sum(hit for *_, hit in taken) / len(taken) if taken else math.nan


@st.composite
def cases(draw):
    """Small maps with many equal values, some all negative, and masks that may be empty."""
    count, height, width = draw(st.tuples(*[st.integers(1, n) for n in (3, 7, 7)]))
    cells = count * height * width
    values = draw(
        st.lists(
            st.one_of(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]), st.floats(-5, 5)),
            min_size=cells,
            max_size=cells,
        )
    )
    lesions = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    maps = torch.tensor(values, dtype=torch.float64).view(count, height, width)
    masks = torch.tensor(lesions).view(count, height, width)
    if draw(st.booleans()):
        masks[0] = False
    if draw(st.booleans()):
        maps[-1] = -maps[-1].abs()
    return maps, masks


@settings(max_examples=250, deadline=None, derandomize=True)
@given(cases(), st.integers(1, 6), st.integers(1, 9))
def test_all_four_agree_with_slow_loops_in_float64(case, k, patch):
    maps, masks = case
    slow = {
        "activation_precision": slow_precision,
        "activation_sensitivity": slow_sensitivity,
        "pointing_game": slow_pointing,
    }
    pairs = [(m.tolist(), b.tolist()) for m, b in zip(maps, masks, strict=True)]
    for name, function in slow.items():
        expected = [function(*pair) for pair in pairs]
        assert ALL[name](maps, masks).tolist() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    expected = [slow_topk(*pair, k, patch) for pair in pairs]
    found = topk_precision(maps, masks, k, patch)
    assert found.tolist() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", ALL)
def test_a_volume_scores_as_its_slices_laid_side_by_side(name):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(4, 3, 6, 8, generator=generator)
    masks = torch.rand(4, 3, 6, 8, generator=generator) > 0.7
    masks[0], maps[1] = False, -maps[1].abs()
    # Patches are cubes, so that for them slices must not touch; 1 px is the side where it is alike.
    score = ALL[name] if name != "topk_precision" else lambda a, b: topk_precision(a, b, 2, patch=1)
    volume, flat = score(maps, masks), score(maps.flatten(1, 2), masks.flatten(1, 2))
    torch.testing.assert_close(volume, flat, equal_nan=True, rtol=1e-12, atol=0)
    assert volume[0].isnan()


def test_patches_of_a_volume_are_cubes():
    maps, masks = torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    maps[0, 0, 0, 0] = maps[0, 3, 3, 3] = 1
    masks[0, 1, 1, 1] = True  # in the cube of the first
    assert topk_precision(maps, masks, 1, patch=2).item() == 1
    assert topk_precision(maps, masks, 2, patch=2).item() == 0.5


def test_energy_on_a_structure_is_its_share_and_undefined_without_it():
    maps = torch.tensor([[[3.0, 1.0], [-4.0, 0.0]]]).expand(3, 2, 2).clone()
    maps[2] = -1
    disc = torch.tensor([[[False, True], [True, False]]]).expand(3, 2, 2).clone()
    disc[1] = False
    found = energy_inside(maps, disc)
    assert found[0].item() == 0.25
    assert found[1:].isnan().all()


def test_a_uniform_map_has_the_area_as_precision_and_sensitivity_one():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2:5, 3:7] = True
    maps = torch.full((1, 8, 8), 0.3)
    assert activation_precision(maps, masks).item() == pytest.approx(12 / 64, abs=1e-12)
    assert activation_sensitivity(maps, masks).item() == 1


def test_a_map_that_is_the_mask_scores_one_everywhere():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2:5, 3:7] = True
    for score in ALL.values():
        assert score(masks.double() * 4 - 1, masks).item() == 1


def test_a_factor_changes_nothing_but_an_offset_does():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(5, 9, 9, generator=generator, dtype=torch.float64)
    masks = torch.rand(5, 9, 9, generator=generator) > 0.7
    for score in ALL.values():
        torch.testing.assert_close(score(maps * 1e-3, masks), score(maps, masks))
    moved = activation_precision(maps + 10, masks)
    assert not torch.allclose(moved, activation_precision(maps, masks))


def test_without_positive_evidence_nothing_is_found():
    maps, masks = -torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    assert activation_precision(maps, masks).isnan().all()
    assert topk_precision(maps, masks, 3, patch=2).isnan().all()
    assert activation_sensitivity(maps, masks).item() == 0
    assert pointing_game(maps, masks).item() == 0


def test_an_empty_mask_is_undefined_everywhere():
    maps, masks = torch.rand(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    for score in ALL.values():
        assert score(maps, masks).isnan().all()


def test_equal_maxima_count_in_raster_order():
    maps = torch.zeros(1, 3, 3)
    maps[0, 0, 2] = maps[0, 2, 0] = 1
    masks = torch.zeros(1, 3, 3, dtype=torch.bool)
    masks[0, 0, 2] = True
    assert pointing_game(maps, masks).item() == 1
    assert pointing_game(maps, masks.transpose(1, 2)).item() == 0
    assert topk_precision(maps, masks, 1, patch=1).item() == 1
    assert topk_precision(maps, masks.transpose(1, 2), 1, patch=1).item() == 0


def test_the_last_patches_are_partial_and_fewer_than_k_are_taken_if_fewer_are_positive():
    maps = torch.zeros(1, 5, 5)
    maps[0, 4, 4] = 2  # the corner patch holds this pixel alone
    maps[0, 0, 0] = 1
    masks = torch.zeros(1, 5, 5, dtype=torch.bool)
    masks[0, 4, 4] = True
    assert topk_precision(maps, masks, 1, patch=2).item() == 1
    assert topk_precision(maps, masks, 2, patch=2).item() == 0.5
    assert topk_precision(maps, masks, 9, patch=2).item() == 0.5
    masks[0, 4, 4], masks[0, 3, 3] = False, True  # the patch before the corner, not the corner
    assert topk_precision(maps, masks, 1, patch=2).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_gives_float64(dtype):
    maps = torch.tensor([[[1.0, 2.0], [4.0, -1.0]]], dtype=dtype)
    masks = torch.tensor([[[True, False], [True, False]]])
    for score in ALL.values():
        assert score(maps, masks).dtype == torch.float64
    assert activation_precision(maps, masks).item() == pytest.approx(5 / 7, abs=1e-12)
    assert activation_sensitivity(maps, masks).item() == pytest.approx(5 / 8, abs=1e-12)


def test_sums_of_half_precision_maps_do_not_overflow():
    maps = torch.full((1, 512, 512), 6e4, dtype=torch.float16)
    masks = torch.zeros(1, 512, 512, dtype=torch.bool)
    masks[0, :128] = True
    assert activation_precision(maps, masks).item() == 0.25


def test_a_map_under_gradient_is_scored():
    maps = torch.rand(1, 4, 4, requires_grad=True)
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    for score in ALL.values():
        assert not score(maps, masks).requires_grad


def test_no_images_give_no_values():
    maps, masks = torch.zeros(0, 4, 4), torch.zeros(0, 4, 4, dtype=torch.bool)
    for score in ALL.values():
        assert score(maps, masks).shape == (0,)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (torch.rand(2, 4), torch.ones(2, 4) > 0, r"\(2, 4\).*must be \(N, H, W\)"),
        (torch.rand(2, 4, 4), torch.ones(2, 4, 5) > 0, r"\(2, 4, 4\) and masks .*\(2, 4, 5\)"),
        (torch.rand(2, 0, 4), torch.ones(2, 0, 4) > 0, "no pixels"),
        (torch.ones(2, 4, 4).int(), torch.ones(2, 4, 4) > 0, "torch.int32"),
        (torch.rand(2, 4, 4), torch.ones(2, 4, 4), "Masks are torch.float32; give torch.bool"),
    ],
)
def test_wrong_shapes_and_types_are_named(name, maps, masks, message):
    with pytest.raises(InputError, match=message):
        ALL[name](maps, masks)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_map_with_nan_or_infinity_names_its_images(bad):
    maps = torch.rand(9, 4, 4)
    maps[3, 1, 1] = maps[5, 0, 0] = bad
    masks = torch.ones(9, 4, 4, dtype=torch.bool)
    for score in ALL.values():
        with pytest.raises(InputError, match="image 3, 5 "):
            score(maps, masks)
    with pytest.raises(InputError, match="image 0, 1, 2, 3, 4 and 4 more"):
        pointing_game(torch.full((9, 4, 4), bad), masks)


@pytest.mark.parametrize(("k", "patch"), [(0, 3), (3, 0)])
def test_k_and_patch_must_be_positive(k, patch):
    with pytest.raises(InputError, match=f"k is {k} and patch is {patch}"):
        topk_precision(torch.rand(1, 4, 4), torch.ones(1, 4, 4) > 0, k, patch)


@pytest.mark.parametrize(
    ("size", "expected"), [(512, 33), (224, 14), (128, 8), (1024, 66), (8, 1), (1, 1)]
)
def test_a_patch_scales_with_the_image(size, expected):
    assert scaled_patch(size) == expected


def test_a_patch_of_nothing_is_refused():
    with pytest.raises(InputError, match="Image side 0"):
        scaled_patch(0)


def test_the_short_name_holds_the_same_functions():
    from softcam import metrics

    assert metrics.topk_precision is topk_precision
    assert metrics.activation_precision is activation_precision
    assert metrics.activation_sensitivity is activation_sensitivity
    assert metrics.pointing_game is pointing_game
