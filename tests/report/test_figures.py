from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from softcam.evaluation.curves import reliability, roc_band
from softcam.report.figures import draw_auc, draw_loss, draw_reliability, draw_roc

HISTORY = [
    {"epoch": e, "train_loss": 1 / (e + 1), "val_loss": 1.2 / (e + 1), "val_auc": 0.8 + 0.02 * e}
    for e in range(5)
]


def texts(svg):
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{{{NS}}}text")]


NS = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def forecast():
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.5
    return np.clip(0.3 * truth + 0.7 * rng.random(60), 0, 1), truth


def test_loss_shows_training_and_validation_of_both_models():
    found = texts(draw_loss(HISTORY, HISTORY))
    for name in ("SoftCAM, training", "SoftCAM, validation", "Twin, training", "Twin, validation"):
        assert name in found
    assert not any("Twin" in text for text in texts(draw_loss(HISTORY)))


def test_auc_names_the_best_epoch_s_value():
    assert "SoftCAM, best 0.880" in texts(draw_auc(HISTORY))


def test_what_was_not_recorded_is_passed_over():
    holes = [
        {"epoch": 0, "val_auc": None, "train_loss": 1.0},
        {"epoch": 1, "val_auc": math.nan, "val_loss": 0.4},
        {"epoch": 2, "val_auc": 0.7},
    ]
    assert "SoftCAM, best 0.700" in texts(draw_auc(holes))
    assert texts(draw_loss(holes))
    assert texts(draw_auc([{"epoch": 0, "train_loss": 1.0}]))  # no curve at all


def test_more_curves_than_colours_are_told_apart_by_dashes(forecast):
    score, truth = forecast
    band = roc_band(score, truth, [str(i) for i in range(60)], resamples=20)
    svg = draw_roc({f"class {i}": band for i in range(8)})
    assert "stroke-dasharray" in svg
    assert "stroke-dasharray" not in draw_roc({f"class {i}": band for i in range(6)})


def test_a_class_name_is_text_and_not_a_formula_or_markup(forecast):
    score, truth = forecast
    band = roc_band(score, truth, [str(i) for i in range(60)], resamples=20)
    svg = draw_roc({"$\\undefined$ <b>&": band})
    assert "$\\undefined$ <b>&" in texts(svg)


def test_an_undefined_band_leaves_the_curve(forecast):
    score, truth = forecast
    patients = ["a" if t else "b" for t in truth]  # half of the resamples see one kind only
    for seed in range(3):
        band = roc_band(score, truth, patients, resamples=20, seed=seed)
        assert "Sensitivity" in texts(draw_roc({"SoftCAM": band}))


def test_reliability_of_few_images_is_drawn(forecast):
    score, truth = forecast
    assert "Twin" in texts(
        draw_reliability({"SoftCAM": reliability(score, truth), "Twin": reliability(*forecast)})
    )
    assert texts(draw_reliability({"SoftCAM": reliability(score[:1], truth[:1])}))


def test_the_same_figure_is_the_same_text_and_follows_light_and_dark():
    svg = draw_loss(HISTORY)
    assert svg == draw_loss(HISTORY)
    assert "prefers-color-scheme:dark" in svg
    assert "var(--model)" in svg
    assert "#030303" not in svg


def test_no_figure_is_known_to_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    draw_loss(HISTORY)
    assert plt.get_fignums() == before
