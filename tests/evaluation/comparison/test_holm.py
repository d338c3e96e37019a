"""Holm's correction against its definition, and in the awkward cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softcam.errors import InputError
from softcam.evaluation.comparison.holm import holm


def slow(values):
    """The largest of (m - rank) p over all that are not larger, one by one."""
    known = [value for value in values if not np.isnan(value)]
    result = []
    for value in values:
        if np.isnan(value):
            result.append(float("nan"))
            continue
        steps = []
        for other in known:
            if other <= value:
                at_least = sum(each >= other for each in known)  # itself and all that come later
                steps.append(other * at_least)
        result.append(min(1.0, max(steps)))
    return result


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan")), st.just(0.01)), max_size=12))
def test_it_is_the_step_down_of_its_definition(values):
    np.testing.assert_allclose(holm(values), slow(values), atol=1e-12)


def test_it_rejects_exactly_what_the_sequential_procedure_rejects():
    random = np.random.default_rng(0)
    for _ in range(200):
        values = random.random(6) ** 3
        rejected = np.zeros(6, dtype=bool)
        for step, index in enumerate(np.argsort(values)):
            if values[index] > 0.05 / (6 - step):
                break
            rejected[index] = True
        np.testing.assert_array_equal(holm(values) <= 0.05, rejected)


def test_what_is_undefined_is_no_comparison():
    np.testing.assert_array_equal(holm([0.02, np.nan, 0.03]), [0.04, np.nan, 0.04])
    assert holm([]).size == 0
    assert np.isnan(holm([np.nan])).all()


def test_a_p_value_out_of_range_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.1, 1.2])
