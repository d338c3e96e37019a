from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.classification import classification
from softcam.evaluation.result import LocalisationRow, Metrics
from softcam.evidence.info import Task


@pytest.fixture
def metrics():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 30)
    ill = np.clip(0.3 * labels + 0.7 * rng.random(30), 0, 1)
    both = [
        classification(
            np.stack([1 - p, p], axis=1),
            labels,
            task=Task.BINARY,
            classes=("healthy", "ill"),
            thresholds={"ill": 0.45},
            resamples=20,
        )
        for p in (ill, np.round(ill, 1))
    ]
    nan = math.nan
    pointing = {"pointing_game": Interval(0.6, 0.5, 0.7, 12, 0)}
    rows = (
        LocalisationRow("SoftCAM", "own", 12, pointing),
        LocalisationRow(
            "Grad-CAM | twin",
            "own",
            12,
            {"pointing_game": Interval(nan, nan, nan, 0, 20)},
        ),
        LocalisationRow("Uniform map", "-", 12, pointing),
    )
    return Metrics(both[0], both[1], rows, {"images": 30, "skipped": 1}, {"margin": nan, "seed": 0})


def test_saved_metrics_are_json_with_null_for_undefined(metrics, tmp_path):
    metrics.save(tmp_path / "metrics.json")

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    back = json.loads(text, parse_constant=refuse)  # NaN and Infinity are no JSON
    auc = metrics.classification.intervals["auc"]
    assert back["classification"]["intervals"]["auc"] == auc.to_dict()
    assert back["twin_classification"]["positive"] == "ill"
    assert back["localisation"][1]["intervals"]["pointing_game"]["value"] is None
    assert back["settings"] == {"margin": None, "seed": 0}
    assert back["counts"] == {"images": 30, "skipped": 1}


def test_settings_that_are_no_json_leave_the_old_file(metrics, tmp_path):
    target = tmp_path / "metrics.json"
    target.write_text("old")
    with pytest.raises(TypeError):
        Metrics(metrics.classification, settings={"model": object()}).save(target)
    assert target.read_text() == "old"


def test_rows_show_value_and_interval_of_model_and_twin(metrics):
    rows = {row.name: row.values for row in metrics.rows()}
    auc = metrics.classification.intervals["auc"]
    twin = metrics.twin_classification.intervals["auc"]
    assert rows["AUC (ROC)"] == (str(auc), str(twin))
    assert rows["AUC (ROC)"][0] == f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
    assert rows["SoftCAM, own map"] == ("n/a", "n/a", "0.600 [0.500, 0.700]")
    assert rows["Uniform map"][2] == "0.600 [0.500, 0.700]"


def test_markdown_has_both_tables_with_equal_columns(metrics):
    text = metrics.to_markdown()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(table) for table in tables] == [11, 5]
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "| Metric | SoftCAM | Twin |" in text
    assert "Metrics are of the class ill, called from 0.45 up." in text


def test_a_twin_with_another_threshold_is_said_so(metrics):
    assert not any("The twin" in note for note in metrics.notes())
    twin = replace(metrics.classification, thresholds={"ill": 0.31})
    notes = replace(metrics, twin_classification=twin).notes()
    assert "The twin calls it from 0.31 up." in notes


def test_without_twin_and_maps_there_is_one_table(metrics):
    text = Metrics(metrics.classification).to_markdown()
    assert "Twin" not in text
    assert "Activation" not in text


def test_notes_name_absent_classes_and_undefined_resamples():
    labels = np.array([0] * 14 + [1])
    scores = np.tile([0.5, 0.3, 0.2], (15, 1))
    found = classification(
        scores, labels, task=Task.MULTICLASS, classes=("a", "b", "c"), resamples=50
    )
    notes = " ".join(Metrics(found).notes())
    assert "for want of examples here: c." in notes
    assert f"AUC (ROC) in {found.intervals['auc'].undefined}" in notes
