from __future__ import annotations

import math

import pytest
import torch

from softcam.errors import InputError
from softcam.evaluation import inputs


def test_chunks_give_what_the_whole_gives(monkeypatch):
    maps, masks = torch.rand(7, 3, 4), torch.rand(7, 3, 4) > 0.5

    def score(values, inside):
        assert values.dtype == torch.float64
        return (values * inside).sum(1)

    whole = inputs.by_chunks(score, maps, masks)
    monkeypatch.setattr(inputs, "_AT_ONCE", {"cpu": 24})
    sizes = []
    parts = inputs.by_chunks(lambda *a: sizes.append(len(a[0])) or score(*a), maps, masks)
    assert sizes == [2, 2, 2, 1]
    assert torch.equal(whole, parts)


def test_a_chunk_holds_at_least_one_image(monkeypatch):
    monkeypatch.setattr(inputs, "_AT_ONCE", {"cpu": 1})
    assert inputs.by_chunks(lambda values: values.sum(1), torch.ones(3, 5)).tolist() == [5, 5, 5]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_found_wherever_they_are(bad):
    for place in range(6):
        maps = torch.randn(3, 2, 3)
        maps[1].view(-1)[place] = bad
        with pytest.raises(InputError, match="for image 1 "):
            inputs.require_finite(maps)
    inputs.require_finite(torch.zeros(0, 2, 3))
    inputs.require_finite(torch.zeros(2, 0, 3))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (1, 2, 3, 4, 5)])
def test_maps_are_flat_or_deep_and_nothing_else(shape):
    with pytest.raises(InputError, match=r"must be \(N, H, W\), or \(N, D, H, W\)"):
        inputs.require_maps(torch.zeros(shape))
    with pytest.raises(InputError, match=r"must be \(N, H, W\), or \(N, D, H, W\)"):
        inputs.require_pair(torch.zeros(shape), torch.zeros(shape) > 0)


def test_a_mask_is_marked_if_one_pixel_is():
    masks = torch.zeros(3, 4, 5, dtype=torch.bool)
    masks[1, 3, 4] = True
    assert inputs.marked(masks).tolist() == [False, True, False]
    assert inputs.marked(masks.transpose(1, 2)).tolist() == [False, True, False]


def test_a_map_without_positive_evidence_stays_zero_when_it_is_scaled():
    scaled = inputs.unit_positive(torch.tensor([[-1.0, -2.0], [4.0, -1.0]]).double())
    assert scaled.tolist() == [[0, 0], [1, 0]]
