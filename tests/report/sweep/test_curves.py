from dataclasses import replace

import pytest

from softcam.report.sweep.curves import curves_of, draw_figures
from tests.report.sweep.sample import result, row


def test_curves_go_from_the_dense_model_along_one_penalty():
    found = {(c.family, c.axis): [r.name for r in c.rows] for c in curves_of(result())}
    assert found == {
        ("base", "l1"): ["dense", "l1-0.1", "l1-1"],
        ("base", "l2"): ["dense", "l2-5"],
        ("deep", "l1"): ["deep", "deep-l1-1"],
    }


def test_without_penalties_there_is_no_curve():
    alone = result(rows=(row("black-box", "black box"), row("dense", "dense")))
    assert curves_of(alone) == []
    assert [drawn.key for drawn in draw_figures(alone)] == ["tradeoff"]
    assert draw_figures(result(rows=())) == []


@pytest.fixture(scope="module")
def drawn():
    return draw_figures(result())


def test_figures_come_as_png_svg_and_pdf(drawn):
    assert [one.key for one in drawn] == ["penalties", "tradeoff"]
    for one in drawn:
        assert one.files["png"].startswith(b"\x89PNG")
        assert b"<svg" in one.files["svg"]
        assert one.files["pdf"].startswith(b"%PDF")
        assert "seeds" in one.caption


def test_the_same_result_gives_the_same_files(drawn):
    again = draw_figures(result())
    assert [one.files for one in again] == [one.files for one in drawn]


def test_another_figure_changes_the_picture(drawn):
    rows = list(result().rows)
    rows[3] = row("l1-0.1", l1=0.1, gain=0.25)
    other = draw_figures(result(rows=tuple(rows)))
    assert all(a.files["png"] != b.files["png"] for a, b in zip(drawn, other, strict=True))


def test_one_seed_and_no_test_images_can_be_drawn():
    rows = tuple(replace(one, test={}) for one in result().rows[:4])
    assert len(draw_figures(result(rows=rows, floor=float("nan")))) == 2


def test_the_penalties_legend_names_the_star_only_where_one_is_drawn(drawn):
    assert b"chosen" in drawn[0].files["svg"]
    rows = [replace(one, chosen=one.name == "deep-plain") for one in result().rows]
    elsewhere = draw_figures(result(rows=tuple(rows)))
    assert b"chosen" not in elsewhere[0].files["svg"]
    assert b"(chosen)" in elsewhere[1].files["svg"]
