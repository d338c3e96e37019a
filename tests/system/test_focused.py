"""`softcam train --recipe focused`: maps concentrated in training, and more after it."""

import csv

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import softcam as package
from softcam.data.table import read_table
from softcam.training.sharpening import FACTORS
from softcam.workflows.inference import predict_table
from tests.system.conftest import FAST, draw_dots


def test_the_recipe_sharpens_as_far_as_validation_stands_and_says_so(tmp_path, softcam, caplog):
    data = draw_dots(tmp_path / "data")
    run = tmp_path / "run"
    with caplog.at_level("INFO", logger="softcam"):
        result = softcam(
            "train", data, "--out", run, "--recipe", "focused", "--sharpen", 0.2, *FAST
        )
    assert result.code == 0, result.err
    model = package.load(run / "model.safetensors")
    told = model.info.training["sharpened"]
    assert [item["concentration"] for item in told["tried"]] == list(FACTORS)
    assert told["concentration"] == model.head.concentration
    assert model.info.architecture.concentration == model.head.concentration
    assert f"concentration raised from 1 to {model.head.concentration:g}" in caplog.text
    val = read_table(data).subset("val")
    for item in told["tried"]:
        model.head.concentration = item["concentration"]
        scores = predict_table(model, val).probabilities[:, 1]
        assert item["val_auc"] == pytest.approx(roc_auc_score(val.labels(), scores), abs=1e-5)
    allowed = [item["val_auc"] >= told["tried"][0]["val_auc"] - 0.2 for item in told["tried"]]
    assert told["concentration"] == max(f for f, fine in zip(FACTORS, allowed, strict=True) if fine)


def test_the_recipe_lays_the_map_where_it_looks_and_says_so(tmp_path, softcam, caplog):
    data = draw_dots(tmp_path / "data")
    models = {}
    for name in ("--align", "--no-align"):
        run = tmp_path / name
        with caplog.at_level("INFO", logger="softcam"):
            result = softcam("train", data, "--out", run, "--recipe", "focused", name, *FAST)
        assert result.code == 0, result.err
        models[name] = package.load(run / "model.safetensors")
    told = models["--align"].info.training["aligned"]
    assert "aligned" not in models["--no-align"].info.training
    assert len(told["moved_px"]) == len(told["pairs"]) == 2
    assert "the map moved by" in caplog.text
    trained, aligned = (models[name].backbone.placed for name in ("--no-align", "--align"))
    for before, after in zip(trained, aligned, strict=True):
        for old, new, by in zip(before, after, told["moved_px"], strict=True):
            assert new.offset - old.offset == pytest.approx(by, abs=0.01)


def test_aligning_without_a_neck_is_refused(tmp_path, softcam):
    data = draw_dots(tmp_path / "data")
    result = softcam("train", data, "--out", tmp_path / "run", "--align", *FAST)
    assert result.code == 2
    assert "align is of no use without a neck" in result.err


def test_the_predictions_of_the_run_are_those_of_the_sharpened_model(tmp_path, softcam):
    data = draw_dots(tmp_path / "data")
    run = tmp_path / "run"
    given = ("--recipe", "focused", "--sharpen", 0.9)
    assert softcam("train", data, "--out", run, *given, *FAST).code == 0
    model = package.load(run / "model.safetensors")
    assert model.head.concentration == FACTORS[-1]
    with (run / "predictions.csv").open() as stream:
        for row in csv.DictReader(stream):
            explanation = package.explain(model, data / "images" / row["image"])
            assert abs(float(row["logit_plain"]) - explanation.logits[0]) < 1e-4
            means = explanation.evidence.mean(axis=(1, 2), dtype=np.float64)
            assert np.allclose(means, explanation.logits, atol=1e-5 * np.abs(means).max())


def test_sharpening_without_concentration_is_refused(tmp_path, softcam):
    data = draw_dots(tmp_path / "data")
    result = softcam("train", data, "--out", tmp_path / "run", "--sharpen", 0.01, *FAST)
    assert result.code == 2
    assert "sharpen is of no use without concentration" in result.err
    assert not (tmp_path / "run").exists()


def test_the_twin_of_a_sharpened_run_is_the_stock_model(tmp_path, softcam):
    data = draw_dots(tmp_path / "data")
    run = tmp_path / "run"
    given = ("--recipe", "focused", "--with-twin")
    assert softcam("train", data, "--out", run, *given, *FAST).code == 0
    twin = package.load_black_box(run / "twin" / "model.safetensors")
    assert "sharpened" not in twin.info.training
    assert twin.info.training["config"]["sharpen"] is None
