from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softcam.errors import InputError
from softcam.evaluation.consistency.sparsity import gini, share_above
from tests.evaluation.references import cases, gini_of, scaled


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([0.1, 1 / 3, 0.5, 1.0]))
def test_gini_and_share_agree_with_slow_loops(case, threshold):
    maps, _ = case
    rows = [row.double().flatten().tolist() for row in maps]
    absolute = [gini_of([abs(v) for v in row]) for row in rows]
    positive = [gini_of([max(v, 0.0) for v in row]) for row in rows]
    assert gini(maps).tolist() == pytest.approx(absolute, abs=1e-12, nan_ok=True)
    assert gini(maps, "positive").tolist() == pytest.approx(positive, abs=1e-12, nan_ok=True)
    above = [
        sum(v >= threshold for v in scaled(row)) / len(row) if max(row) > 0 else math.nan
        for row in rows
    ]
    assert share_above(maps, threshold).tolist() == pytest.approx(above, abs=1e-12, nan_ok=True)


def test_one_bright_position_is_the_sparsest_map_and_a_constant_one_the_least():
    maps = torch.stack([torch.full((5, 5), 0.3), torch.zeros(5, 5), torch.zeros(5, 5)])
    maps[1, 2, 3] = 7
    assert gini(maps).tolist() == pytest.approx([0, 1 - 1 / 25, math.nan], abs=1e-12, nan_ok=True)
    assert share_above(maps).tolist() == pytest.approx([1, 1 / 25, math.nan], nan_ok=True)
    assert gini(maps[:0]).shape == share_above(maps[:0]).shape == (0,)


def test_a_map_without_positive_evidence_has_magnitudes_but_no_positive_part():
    maps = -torch.rand(1, 4, 4) - 0.1
    assert gini(maps).item() > 0
    assert gini(maps, "positive").isnan().all()
    assert share_above(maps).isnan().all()


def test_bad_arguments_are_refused():
    maps = torch.rand(1, 2, 2)
    with pytest.raises(InputError, match="of is 'negative'"):
        gini(maps, "negative")
    with pytest.raises(InputError, match="threshold is 0"):
        share_above(maps, 0)
    for score in (gini, share_above):
        with pytest.raises(InputError, match="for image 0 "):
            score(torch.full((1, 2, 2), math.inf))
