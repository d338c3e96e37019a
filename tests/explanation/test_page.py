from __future__ import annotations

import itertools

import numpy as np
import pytest

from softcam.data.geometry import Geometry
from softcam.data.steps import Crop, Pad
from softcam.evidence.info import Task

LONG = ("moderate non-proliferative $diabetic$ retinopathy with macular oedema " * 2).strip()


def all_text(figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def panels(figure):
    return [ax for ax in figure.axes if ax.get_xlim()[0] == 0 and len(ax.images) > 0]


def check_layout(figure) -> None:
    """No text leaves the page and no panel or line of text runs into another."""
    figure.canvas.draw()
    page = figure.bbox
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
    for box in [*boxes, *(ax.get_tightbbox(renderer) for ax in figure.axes)]:
        assert box.x0 >= page.x0 and box.x1 <= page.x1
        assert box.y0 >= page.y0 and box.y1 <= page.y1
    drawn = [ax.get_window_extent(renderer) for ax in panels(figure)]
    for one, other in itertools.combinations([*boxes, *drawn], 2):
        assert min(one.x1, other.x1) - max(one.x0, other.x0) <= 0.5 or (
            # Lines of text may share the room of their ascenders.
            min(one.y1, other.y1) - max(one.y0, other.y0) <= 2
        )


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(200, 507), (224, 224), (507, 200)])
@pytest.mark.parametrize("names", ["short", "long"])
def test_pages_of_any_shape_are_laid_out_without_collisions(make_explanation, count, size, names):
    outputs = max(count, 2)
    classes = tuple(f"{i} {LONG}" if names == "long" else f"class {i}" for i in range(outputs))
    explanation = make_explanation(
        np.random.default_rng(0).normal(size=(outputs, 7, 7)),
        geometry=Geometry(size, size),
        classes=classes,
        name=f"{LONG}.png" if names == "long" else "eye.png",
    )
    figure = explanation.plot(range(count))
    assert len(panels(figure)) == count + 1
    check_layout(figure)


def test_all_panels_share_a_scale_that_is_symmetric_about_zero(make_explanation):
    evidence = np.random.default_rng(0).normal(size=(3, 4, 6))
    explanation = make_explanation(evidence)
    overlays = [ax.images[-1] for ax in panels(explanation.plot())[1:]]
    limit = np.float32(np.abs(evidence).max())
    for overlay in overlays:
        assert overlay.get_clim() == (-limit, limit)


def test_the_resolution_the_unit_and_the_kind_of_map_are_told(make_explanation):
    explanation = make_explanation(np.random.default_rng(0).normal(size=(2, 4, 6)))
    figure = explanation.plot()
    assert "6 × 4 cells, each 10 × 10 px of the model's input (60 × 40)" in all_text(figure)
    assert "own evidence" in all_text(figure)
    assert figure.axes[-1].get_ylabel() == "evidence (logit units)"
    figure = explanation.plot(contrast=True, interpolation="bilinear")
    assert "minus the other class's" in " ".join(all_text(figure).split())
    assert "smoothed (bilinear)" in all_text(figure)
    assert figure.axes[-1].get_ylabel() == "contrast (logit units)"


def test_a_single_class_shows_its_regions_and_their_part_of_the_logit(make_explanation):
    evidence = np.zeros((2, 2, 2))
    evidence[1, 0, 0], evidence[1, 1, 1] = 4.0, -1.0
    text = all_text(make_explanation(evidence).plot("b"))
    assert "part of the logit: 1: +1.00 (133%)" in text
    assert "p = 0.679   logit +0.75" in text
    assert "No evidence for this class" in all_text(make_explanation(evidence).plot("a"))


def test_the_share_of_a_logit_with_the_other_sign_is_left_out(make_explanation):
    evidence = np.zeros((2, 2, 2))
    evidence[1, 0, 0], evidence[1, 1, 1] = 1.0, -4.0
    assert "part of the logit: 1: +0.25." in all_text(make_explanation(evidence).plot("b"))


def test_cut_off_parts_and_padding_are_told(make_explanation):
    evidence = np.random.default_rng(0).normal(2, 1, size=(2, 4, 4))
    cropped = make_explanation(evidence, geometry=Geometry.of((40, 60), Crop(10, 0, 40, 40)))
    assert "Hatched" in all_text(cropped.plot(0))
    padded = make_explanation(evidence, geometry=Geometry.of((40, 60), Pad(0, 10, 0, 10)))
    assert "Hatched" not in all_text(padded.plot(0))
    assert "Padding around the image" in all_text(padded.plot(0))


def test_a_model_with_one_logit_is_drawn_once(make_explanation):
    explanation = make_explanation(np.ones((1, 3, 3)), task=Task.BINARY, classes=("n", "y"))
    assert len(panels(explanation.plot())) == 2
    assert len(panels(explanation.plot(["n", "y"]))) == 3


def test_a_multilabel_page_may_call_no_class(make_explanation):
    explanation = make_explanation(-np.ones((2, 3, 3)), task=Task.MULTILABEL)
    assert "called: no class" in all_text(explanation.plot())
