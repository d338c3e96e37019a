"""Cells keep the numbers that their text rounds."""

import numpy as np
import pytest

from softcam.evaluation.bootstrap import Interval
from softcam.report.table import figure, measured, p_value

NAN = float("nan")


def test_a_measured_cell_shows_value_and_interval_and_keeps_both():
    cell = measured(Interval(0.91234, 0.8512, 0.9488, 50, 0))
    assert str(cell) == "0.912 [0.85, 0.95]"
    assert cell.numbers == (0.91234, 0.8512, 0.9488)
    assert not cell.best


def test_what_is_undefined_is_said():
    assert str(measured(Interval(NAN, NAN, NAN, 0, 0))) == "n/a"
    assert str(measured(Interval(0.5, NAN, NAN, 9, 0))) == "0.500 [n/a]"
    assert figure(NAN).text == "n/a"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0421, "0.042"), (1.0, "1.000"), (0.0009, "<0.001"), (0.0, "<0.001"), (NAN, "n/a")],
)
def test_a_small_p_value_is_bounded_and_not_zero(value, text):
    cell = p_value(value)
    assert cell.text == text
    np.testing.assert_array_equal(cell.numbers, (value,))
