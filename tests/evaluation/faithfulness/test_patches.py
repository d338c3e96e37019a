from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softcam.errors import InputError
from softcam.evaluation.faithfulness.patches import (
    Raster,
    patch_order,
    patch_peaks,
    patch_ranks,
    replace,
)
from softcam.evaluation.localisation import topk_precision
from tests.evaluation.faithfulness import slow

SHAPES = st.one_of(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SHAPES, st.integers(1, 9), st.integers(0, 2**31))
def test_order_ranks_and_pixels_agree_with_slow_loops(shape, patch, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(-3, 3, (2, *shape), generator=generator).double()
    order = patch_order(maps, patch)
    assert order.tolist() == [slow.order(values, patch) for values in maps]
    ranks = patch_ranks(order)
    places = torch.arange(order.shape[1], dtype=torch.int32).expand_as(order)
    assert torch.equal(ranks.gather(1, order), places)
    raster = Raster(shape, patch)
    numbers = raster.numbers()
    groups = slow.cells(shape, patch)
    assert raster.count == len(groups) == order.shape[1]
    for number, group in enumerate(groups):
        inside = torch.zeros(shape, dtype=torch.bool)
        for cell in group:
            inside[cell] = True
        assert torch.equal(numbers == number, inside)
        assert torch.equal(numbers[raster.slices(number)].unique(), torch.tensor([number]))
        assert numbers[raster.slices(number)].numel() == len(group)
    assert torch.equal(raster.spread(ranks), ranks[:, numbers.flatten()].view(maps.shape))


def test_the_first_positive_patches_are_those_of_topk_precision():
    maps = torch.randn(20, 9, 14).round(decimals=1)
    for k in (1, 3, 6):
        taken = Raster((9, 14), 4).spread(patch_ranks(patch_order(maps, 4)) < k)
        assert topk_precision(maps, taken, k, patch=4).tolist() == [1.0] * 20
        assert (topk_precision(maps, ~taken, k, patch=4) == 0).all()


def test_negative_and_constant_maps_have_an_order_too():
    negative = -torch.arange(1.0, 5.0).view(1, 1, 4)
    assert patch_order(negative, 1).tolist() == [[0, 1, 2, 3]]
    assert patch_order(negative.flip(2), 1).tolist() == [[3, 2, 1, 0]]
    assert patch_order(torch.zeros(1, 4, 4), 2).tolist() == [[0, 1, 2, 3]]
    # A partial patch at the border is not helped by what lies beyond it.
    assert patch_peaks(torch.full((1, 3, 3), -2.0), 2).tolist() == [[-2.0] * 4]


def test_one_pixel_is_one_patch():
    assert patch_order(torch.full((3, 1, 1), -1.0), 33).tolist() == [[0]] * 3


def test_no_images_give_an_empty_order():
    assert patch_order(torch.zeros(0, 4, 4), 2).shape == (0, 4)


def test_more_images_than_are_looked_at_together_keep_their_places():
    maps = torch.randn(70, 5, 5)
    alone = torch.cat([patch_order(one[None], 2) for one in maps])
    assert torch.equal(patch_order(maps, 2), alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type_ranks_alike(dtype):
    maps = torch.randint(-4, 4, (3, 6, 6)).float()
    assert torch.equal(patch_order(maps.to(dtype), 2), patch_order(maps, 2))


def test_float64_is_not_rounded_before_ranking():
    assert patch_order(torch.tensor([[[1.0, 1.0 + 1e-12]]], dtype=torch.float64), 1)[0, 0] == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_map_with_nan_or_infinity_names_its_images(bad):
    maps = torch.rand(50, 4, 4)
    maps[3, 1, 1] = maps[45, 0, 0] = bad
    with pytest.raises(InputError, match="image 3, 45 "):
        patch_order(maps, 2)


@pytest.mark.parametrize(
    ("maps", "patch", "message"),
    [
        (torch.rand(4, 4), 2, r"\(4, 4\); they must be \(N, H, W\)"),
        (torch.rand(1, 1, 1, 4, 4), 2, r"they must be \(N, H, W\)"),
        (torch.rand(2, 0, 4), 2, "have pixels"),
        (torch.ones(1, 4, 4).int(), 2, "torch.int32"),
        (torch.rand(1, 4, 4), 0, "patches of 0 px"),
    ],
)
def test_wrong_shapes_and_types_are_named(maps, patch, message):
    with pytest.raises(InputError, match=message):
        patch_order(maps, patch)


def test_only_replaced_pixels_change():
    images, baseline = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    replaced = torch.rand(2, 4, 4) > 0.5
    found = replace(images, replaced, baseline)
    for channel in range(3):
        assert torch.equal(found[:, channel][replaced], baseline[:, channel][replaced])
        assert torch.equal(found[:, channel][~replaced], images[:, channel][~replaced])
