from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings

from softcam.errors import InputError
from softcam.evaluation.consistency.shares import negative_share, positive_share
from tests.evaluation.references import cases


def slow_share(values):
    whole = sum(abs(value) for value in values)
    return sum(value for value in values if value > 0) / whole if whole else math.nan


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases())
def test_both_shares_agree_with_slow_loops_and_add_up_to_one(case):
    maps, _ = case
    rows = [row.double().flatten().tolist() for row in maps]
    slow = [slow_share(row) for row in rows]
    assert positive_share(maps).tolist() == pytest.approx(slow, abs=1e-12, nan_ok=True)
    rest = [1 - value for value in slow]
    assert negative_share(maps).tolist() == pytest.approx(rest, abs=1e-12, nan_ok=True)


def test_the_extremes_are_zero_one_and_undefined():
    maps = torch.stack([torch.ones(3, 3), -torch.ones(3, 3), torch.zeros(3, 3)])
    assert positive_share(maps).tolist() == pytest.approx([1, 0, math.nan], nan_ok=True)
    assert negative_share(maps).tolist() == pytest.approx([0, 1, math.nan], nan_ok=True)
    assert positive_share(maps[:0]).shape == (0,)
    assert positive_share(torch.tensor([[[-2.0]]])).item() == 0


def test_large_values_do_not_overflow():
    maps = torch.full((1, 2, 2), 1e308, dtype=torch.float64)
    assert positive_share(maps).item() == 1
    assert positive_share(torch.full((1, 64, 64), 6e4, dtype=torch.float16)).item() == 1


@pytest.mark.parametrize("share", [positive_share, negative_share])
def test_nan_and_integers_are_refused(share):
    with pytest.raises(InputError, match="for image 0 "):
        share(torch.full((1, 2, 2), math.nan))
    with pytest.raises(InputError, match=r"torch[.]int64"):
        share(torch.ones(1, 2, 2).long())
