from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from softcam.evaluation.bootstrap import Interval
from softcam.report.explanations.figures import draw_figures
from tests.report.explanations.sample import KEYS, make


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def near(picture, colour):
    """How many pixels have a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(picture - wanted).max(axis=-1) < 12).sum())


@pytest.fixture(scope="module")
def result():
    return make(gallery=0)


@pytest.fixture(scope="module")
def drawn(result):
    return {figure.key: figure for figure in draw_figures(result)}


def test_every_curve_and_every_group_has_a_figure(drawn):
    assert list(drawn) == [
        "deletion_confidence", "insertion_confidence",
        "differences_localisation", "differences_faithfulness", "differences_consistency",
    ]  # fmt: skip
    for figure in drawn.values():
        assert pixels(figure.png).std() > 1
    assert "Lower is better." in drawn["deletion_confidence"].caption
    assert "Higher is better." in drawn["insertion_confidence"].caption


def test_equal_results_give_equal_bytes(result, drawn):
    again = {figure.key: figure.png for figure in draw_figures(result)}
    assert again == {key: figure.png for key, figure in drawn.items()}


def test_many_methods_are_drawn_one_by_one_as_well():
    many = make(14, gallery=0, keys=KEYS[:1])
    keys = [figure.key for figure in draw_figures(replace(many, curves=many.curves[:1]))]
    assert keys == [
        "deletion_confidence", "deletion_confidence_each", "differences_localisation",
    ]  # fmt: skip


def test_the_reference_has_a_colour_of_its_own_and_floors_none(result, drawn):
    whole = pixels(drawn["deletion_confidence"].png)
    floor = result.rows[-1].method
    curves = replace(
        result.curves[0], curves=tuple(c for c in result.curves[0].curves if c.method == floor)
    )
    (alone, *_) = draw_figures(replace(result, curves=(curves,)))
    assert near(whole, "#d55e00") > 1000
    assert near(pixels(alone.png), "#d55e00") == 0


def only(result, low, value, high, key):
    """One method whose difference from the reference is given."""
    rows = [result.rows[0], result.rows[2]]
    rows = [replace(row, means={key: row.means[key]}) for row in rows]
    rows[1] = replace(rows[1], differences={key: Interval(value, low, high, 6, 0)})
    (figure,) = draw_figures(replace(result, rows=tuple(rows), curves=()))
    return pixels(figure.png)


@pytest.mark.parametrize(("key", "sign"), [("insertion_auc", 1), ("deletion_auc", -1)])
def test_a_difference_is_coloured_by_who_is_better_whichever_end_is_good(result, key, sign):
    ahead = only(result, *sorted([sign * 0.1, sign * 0.2, sign * 0.3]), key)
    behind = only(result, *sorted([sign * -0.1, sign * -0.2, sign * -0.3]), key)
    undecided = only(result, -0.1, 0.1, 0.3, key)
    assert near(ahead, "#0072b2") > 20
    assert near(ahead, "#d55e00") == 0
    assert near(behind, "#d55e00") > 20
    assert near(behind, "#0072b2") == 0
    assert near(undecided, "#0072b2") == near(undecided, "#d55e00") == 0


def test_names_that_look_like_formulas_are_drawn_as_they_are(result):
    hostile = replace(result.rows[2].method, label=r"$\frac{a}$", subject="$x")
    rows = (*result.rows[:2], replace(result.rows[2], method=hostile))
    lines = tuple(
        replace(curve, method=hostile) if curve.method == result.rows[2].method else curve
        for curve in result.curves[0].curves
    )
    curves = replace(result.curves[0], curves=lines)
    assert draw_figures(replace(result, rows=rows, reference=hostile, curves=(curves,)))


def test_without_curves_and_with_one_method_there_is_nothing_to_draw(result):
    assert draw_figures(replace(result, curves=(), rows=result.rows[:1])) == []
    empty = replace(result.curves[0], curves=())
    assert draw_figures(replace(result, curves=(empty,), rows=result.rows[:1])) == []
