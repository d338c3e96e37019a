from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from softcam.evidence.info import Task
from softcam.report.charts import result_charts, training_charts
from softcam.report.content import Predictions
from tests.report.sample import make


@pytest.mark.parametrize("task", list(Task))
def test_every_task_has_its_roc_and_its_reliability(task):
    data = make(task, cases=0, resamples=10)
    roc, calibration = result_charts(data, resamples=10)
    found = data.metrics.classification
    if task is Task.BINARY:
        expected = ["SoftCAM", "Twin"]
        areas = [found.intervals["auc"], data.metrics.twin_classification.intervals["auc"]]
    else:
        expected = list(found.classes)
        areas = [found.per_class[name]["auc"] for name in expected]
    for name, area in zip(expected, areas, strict=True):
        assert f"{name}, AUC {area.value:.3f}" in roc.alt
        assert f"{name}, AUC {area.value:.3f}" in roc.svg
    assert "bootstrap over patients" in roc.caption
    assert str(found.intervals["calibration_error"]) in calibration.alt


def test_without_a_twin_no_chart_speaks_of_one():
    data = make(twin=False, cases=0, resamples=10)
    for chart in training_charts(data) + result_charts(data, resamples=10):
        assert "Twin" not in chart.svg + chart.alt + chart.caption


def test_without_history_or_predictions_there_is_nothing_to_draw():
    data = replace(make(cases=0, resamples=10), history=[], predictions=None)
    assert training_charts(data) == []
    assert result_charts(data) == []


def test_a_history_without_validation_auc_has_the_loss_alone():
    data = make(cases=0, resamples=10)
    data = replace(data, history=[{"epoch": 0, "train_loss": 1.0}], twin_history=[])
    assert len(training_charts(data)) == 1


def test_the_best_epoch_is_named_in_words():
    data = make(cases=0, resamples=10)
    history = [{"epoch": 3, "val_auc": 0.9}, {"epoch": 4, "val_auc": 0.8}]
    charts = training_charts(replace(data, history=history))
    assert charts[1].alt.endswith("the model's best is 0.900.")
    assert "(3 for the model)" in charts[1].caption


def test_a_class_without_examples_has_no_roc_curve():
    data = make(Task.MULTICLASS, cases=0, resamples=10)
    labels = np.where(data.predictions.labels == 2, 0, data.predictions.labels)
    data = replace(data, predictions=Predictions(labels, data.predictions.probabilities))
    roc, _ = result_charts(data, resamples=10)
    assert "oedema" not in roc.alt
    one = replace(data, predictions=Predictions(labels * 0, data.predictions.probabilities))
    assert len(result_charts(one, resamples=10)) == 1  # the reliability remains
