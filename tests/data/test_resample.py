from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from softcam.data.resample import AxisMap, average_axis, sample_axis
from softcam.errors import InputError


def test_maps_compose_and_invert_exactly() -> None:
    first = AxisMap(Fraction(2, 3), Fraction(-5, 7))
    second = AxisMap(Fraction(-3), Fraction(11, 2))
    for x in (Fraction(0), Fraction(1, 9), Fraction(-40)):
        assert first.then(second).at(x) == second.at(first.at(x))
        assert first.inverse().at(first.at(x)) == x


def test_only_the_named_axis_is_sampled() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    half = AxisMap(Fraction(1, 2), Fraction(0))
    result = sample_axis(values, -2, 6, half, "nearest")
    np.testing.assert_array_equal(result, np.repeat(values, 2, axis=1))


def test_an_unknown_interpolation_is_refused() -> None:
    with pytest.raises(InputError, match="area"):
        sample_axis(np.ones((2, 2)), -1, 2, AxisMap(Fraction(1), Fraction(0)), "area")  # type: ignore[arg-type]


def test_the_average_of_whole_cells_is_their_mean_and_keeps_the_integral() -> None:
    values = np.random.default_rng(0).random((3, 12))
    by_four = AxisMap(Fraction(4), Fraction(0))
    bounds = (Fraction(0), Fraction(12))
    result = average_axis(values, -1, 3, by_four, bounds)
    np.testing.assert_allclose(result, values.reshape(3, 3, 4).mean(axis=2))
    odd = average_axis(values, -1, 5, AxisMap(Fraction(12, 5), Fraction(0)), bounds)
    np.testing.assert_allclose(odd.sum(axis=1) * 12 / 5, values.sum(axis=1))


def test_what_lies_outside_the_bounds_counts_as_nothing() -> None:
    ones = np.ones((1, 4))
    same = AxisMap(Fraction(1), Fraction(0))
    result = average_axis(ones, -1, 4, same, (Fraction(1, 2), Fraction(3)))
    np.testing.assert_allclose(result, [[0.5, 1, 1, 0]])
