from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softcam.errors import InputError
from softcam.evaluation.localisation import topk_precision
from softcam.evaluation.patch_hits import patch_hits
from tests.evaluation.references import cases


def slow_hits(values, mask, k, patch):
    """Patch by patch: hits and patches taken for every number up to k."""
    patches = []
    starts = [range(0, side, patch) for side in values.shape]
    for corner in itertools.product(*starts):
        cut = tuple(slice(start, start + patch) for start in corner)
        score = float(values[cut].max())
        if score > 0 and bool(mask.any()):
            patches.append((-score, len(patches), bool(mask[cut].any())))
    ranked = [hit for *_, hit in sorted(patches)]
    return [sum(ranked[:n]) for n in range(1, k + 1)], [
        min(n, len(ranked)) for n in range(1, k + 1)
    ]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases(), st.integers(1, 12), st.integers(1, 5))
def test_the_curve_agrees_with_slow_loops_in_2d_and_3d(case, k, patch):
    maps, masks = case
    found = patch_hits(maps, masks, k, patch)
    slow = [slow_hits(v, m, k, patch) for v, m in zip(maps, masks, strict=True)]
    assert found.hits.tolist() == [hits for hits, _ in slow]
    assert found.taken.tolist() == [taken for _, taken in slow]
    for column in range(k):
        hits = sum(hits[column] for hits, _ in slow)
        taken = sum(taken[column] for _, taken in slow)
        expected = hits / taken if taken else math.nan
        assert found.pooled[column].item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(cases(), st.integers(1, 5))
def test_every_column_is_the_precision_at_that_number_of_patches(case, patch):
    maps, masks = case
    curve = patch_hits(maps, masks, 8, patch).per_image
    for k in range(1, 9):
        single = topk_precision(maps, masks, k, patch)
        assert curve[:, k - 1].tolist() == pytest.approx(single.tolist(), nan_ok=True)


def test_the_curve_is_thirty_patches_long_and_stays_after_the_last_patch():
    maps, masks = torch.rand(2, 64, 64), torch.rand(2, 64, 64) > 0.99
    found = patch_hits(maps, masks)
    assert found.hits.shape == found.taken.shape == (2, 30)
    assert found.taken[:, 3:].tolist() == [[4] * 27] * 2  # 2 x 2 patches of 33 px
    assert found.hits.dtype == found.taken.dtype == torch.int64


def test_pooling_weighs_patches_and_the_mean_weighs_images():
    maps = torch.tensor([[[3.0, 2.0, 1.0, 0.5]], [[1.0, 0.0, 0.0, 0.0]]])
    masks = torch.tensor([[[False] * 4], [[True] + [False] * 3]])
    masks[0, 0, 3] = True
    found = patch_hits(maps, masks, k=4, patch=1)
    assert found.pooled[3].item() == 2 / 5
    assert found.per_image[:, 3].mean().item() == (1 / 4 + 1) / 2


def test_an_image_without_lesion_or_evidence_is_undefined_and_adds_nothing_to_the_pool():
    maps = torch.stack([torch.ones(4, 4), -torch.ones(4, 4), torch.ones(4, 4)])
    masks = torch.stack([torch.zeros(4, 4), torch.ones(4, 4), torch.ones(4, 4)]) > 0
    found = patch_hits(maps, masks, k=2, patch=2)
    assert found.taken.tolist() == [[0, 0], [0, 0], [1, 2]]
    assert found.per_image[:2].isnan().all()
    assert found.pooled.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_ranked_too(dtype):
    maps = torch.tensor([[[1.0, 2.0], [4.0, -1.0]]], dtype=dtype)
    masks = torch.tensor([[[True, False], [True, False]]])
    assert patch_hits(maps, masks, k=3, patch=1).hits.tolist() == [[1, 1, 2]]


def test_no_images_give_an_empty_table():
    found = patch_hits(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4) > 0, k=5)
    assert found.hits.shape == (0, 5)
    assert found.pooled.isnan().all()


@pytest.mark.parametrize(("k", "patch"), [(0, 3), (3, 0)])
def test_k_and_patch_must_be_positive(k, patch):
    with pytest.raises(InputError, match=f"k is {k} and patch is {patch}"):
        patch_hits(torch.rand(1, 4, 4), torch.ones(1, 4, 4) > 0, k, patch)
