from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from sklearn import metrics as sk

from softcam.errors import InputError
from softcam.evaluation.bootstrap import resamples_of
from softcam.evaluation.classification import METRIC_NAMES, classification
from softcam.evidence.info import Task

NAMES = ("none", "mild", "severe", "worst")


def draw(count, n=120, seed=0):
    """Probabilities with ties and labels that they tell something about."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, n)
    scores = rng.random((n, count))
    scores[np.arange(n), labels] += 0.6
    scores = np.round(scores / scores.sum(axis=1, keepdims=True), 2)
    scores[:, -1] = 1 - scores[:, :-1].sum(axis=1)
    return np.clip(scores, 0, 1), labels


def values(found):
    return {name: interval.value for name, interval in found.intervals.items()}


def test_binary_metrics_are_those_of_the_positive_class_at_its_threshold():
    scores, labels = draw(2)
    found = classification(
        scores,
        labels,
        task=Task.BINARY,
        classes=("healthy", "ill"),
        thresholds={"ill": 0.37},
        resamples=5,
    )
    called = scores[:, 1] >= 0.37
    assert values(found) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(labels, called),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
            "auc": sk.roc_auc_score(labels, scores[:, 1]),
            "auprc": sk.average_precision_score(labels, scores[:, 1]),
            "sensitivity": sk.recall_score(labels, called),
            "specificity": sk.recall_score(labels, called, pos_label=0),
            "precision": sk.precision_score(labels, called),
            "f1": sk.f1_score(labels, called),
            "calibration_error": values(found)["calibration_error"],
        },
        abs=2e-6,
    )
    np.testing.assert_array_equal(found.confusion, sk.confusion_matrix(labels, called))
    assert (found.positive, found.thresholds, found.per_class) == ("ill", {"ill": 0.37}, {})


def test_the_positive_class_may_be_the_first():
    scores, labels = draw(2)
    first = classification(
        scores, labels, task=Task.BINARY, classes=("ill", "well"), positive="ill", resamples=20
    )
    mirrored = classification(
        scores[:, ::-1], 1 - labels, task=Task.BINARY, classes=("well", "ill"), resamples=20
    )
    assert first.intervals == mirrored.intervals
    np.testing.assert_array_equal(first.confusion, mirrored.confusion[::-1, ::-1])


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.ORDINAL])
def test_several_classes_are_averaged_each_against_the_rest(task):
    scores, labels = draw(4)
    found = classification(scores, labels, task=task, classes=NAMES, resamples=5)
    called = scores.argmax(axis=1)
    onehot = np.eye(4)[labels]
    expected = {
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "auc": sk.roc_auc_score(onehot, scores, average="macro"),
        "auprc": sk.average_precision_score(onehot, scores, average="macro"),
        "sensitivity": sk.recall_score(labels, called, average="macro"),
        "specificity": np.mean([sk.recall_score(labels != c, called != c) for c in range(4)]),
        "precision": sk.precision_score(labels, called, average="macro"),
        "f1": sk.f1_score(labels, called, average="macro"),
        "calibration_error": values(found)["calibration_error"],
    }
    if task is Task.ORDINAL:
        expected["kappa"] = sk.cohen_kappa_score(labels, called, weights="quadratic")
    assert values(found) == pytest.approx(expected, abs=2e-6)
    assert list(found.intervals) == [name for name in METRIC_NAMES if name in expected]
    np.testing.assert_array_equal(found.confusion, sk.confusion_matrix(labels, called))
    assert list(found.per_class) == list(NAMES)
    severe = {name: interval.value for name, interval in found.per_class["severe"].items()}
    assert severe["auc"] == pytest.approx(sk.roc_auc_score(labels == 2, scores[:, 2]), abs=2e-6)
    assert severe["f1"] == pytest.approx(sk.f1_score(labels == 2, called == 2))


def test_top_confidence_is_what_is_calibrated_for_several_classes():
    scores = np.tile([0.7, 0.2, 0.1], (10, 1))
    labels = np.array([0] * 4 + [1] * 3 + [2] * 3)
    found = classification(
        scores, labels, task=Task.MULTICLASS, classes=("a", "b", "c"), resamples=5
    )
    assert values(found)["calibration_error"] == pytest.approx(0.3)


def test_unknown_labels_are_left_out_per_label():
    rng = np.random.default_rng(3)
    truth = (rng.random((90, 3)) < 0.4).astype(float)
    scores = np.clip(0.5 * truth + 0.7 * rng.random((90, 3)), 0, 1)
    truth[rng.random((90, 3)) < 0.3] = np.nan
    limits = {"a": 0.4, "b": 0.7}
    found = classification(
        scores,
        truth,
        task=Task.MULTILABEL,
        classes=("a", "b", "c"),
        thresholds=limits,
        resamples=5,
    )
    aucs, f1s, accuracies = [], [], []
    for column, name in enumerate("abc"):
        known = ~np.isnan(truth[:, column])
        label, score = truth[known, column].astype(int), scores[known, column]
        called = score >= limits.get(name, 0.5)
        aucs.append(sk.roc_auc_score(label, score))
        f1s.append(sk.f1_score(label, called))
        accuracies.append(sk.accuracy_score(label, called))
        own = found.per_class[name]
        assert own["auc"].value == pytest.approx(aucs[-1], abs=2e-6)
        assert own["auc"].n == known.sum()
        np.testing.assert_array_equal(found.confusion[column], sk.confusion_matrix(label, called))
    assert values(found)["auc"] == pytest.approx(np.mean(aucs), abs=2e-6)
    assert values(found)["f1"] == pytest.approx(np.mean(f1s), abs=2e-6)
    assert values(found)["accuracy"] == pytest.approx(np.mean(accuracies), abs=2e-6)
    assert "kappa" not in found.intervals
    assert found.thresholds == {"a": 0.4, "b": 0.7, "c": 0.5}


def test_intervals_come_from_the_metrics_of_resampled_patients():
    scores, labels = draw(2, n=40)
    patients = [f"p{i // 3}" for i in range(40)]
    found = classification(
        scores,
        labels,
        task=Task.BINARY,
        classes=("healthy", "ill"),
        patients=patients,
        resamples=60,
        seed=4,
    )
    aucs = [
        sk.roc_auc_score(labels[rows], scores[rows, 1]) for rows in resamples_of(patients, 60, 4)
    ]
    assert found.intervals["auc"].low == pytest.approx(np.percentile(aucs, 2.5), abs=2e-6)
    assert found.intervals["auc"].high == pytest.approx(np.percentile(aucs, 97.5), abs=2e-6)


def test_a_class_missing_from_a_resample_makes_it_undefined_there():
    scores, labels = draw(3, n=30)
    labels[:] = np.arange(30) % 2
    labels[0] = 2
    found = classification(
        scores, labels, task=Task.MULTICLASS, classes=NAMES[:3], resamples=200, seed=1
    )
    rows_without = sum(
        not (labels[rows] == 2).any() for rows in resamples_of([str(i) for i in range(30)], 200, 1)
    )
    assert rows_without > 20
    assert found.intervals["auc"].undefined == rows_without
    assert found.per_class["severe"]["auc"].undefined == rows_without
    assert found.per_class["none"]["auc"].undefined == 0
    assert found.intervals["accuracy"].undefined == 0


def test_a_class_missing_from_the_table_is_named_and_left_out_of_the_means():
    scores, labels = draw(4)
    labels = np.where(labels == 3, 0, labels)
    found = classification(scores, labels, task=Task.MULTICLASS, classes=NAMES, resamples=5)
    assert found.absent == ("worst",)
    assert math.isnan(found.per_class["worst"]["auc"].value)
    expected = np.mean([sk.roc_auc_score(labels == c, scores[:, c]) for c in range(3)])
    assert found.intervals["auc"].value == pytest.approx(expected, abs=2e-6)


def test_a_binary_table_with_one_class_has_no_auc():
    found = classification(
        np.tile([0.4, 0.6], (4, 1)),
        np.ones(4, dtype=int),
        task=Task.BINARY,
        classes=("healthy", "ill"),
        resamples=10,
    )
    assert math.isnan(found.intervals["auc"].value)
    assert found.intervals["sensitivity"].value == 1
    assert found.absent == ("healthy", "ill")


def test_everything_is_json():
    scores, labels = draw(4)
    found = classification(scores, labels, task=Task.ORDINAL, classes=NAMES, resamples=5)
    back = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert back["task"] == "ordinal"
    assert back["confusion"] == found.confusion.tolist()
    assert back["per_class"]["mild"]["auc"] == found.per_class["mild"]["auc"].to_dict()


def test_a_float32_softmax_a_hair_above_one_is_a_probability():
    scores = np.array([[0.0, 1 + 1e-7], [1.0, 0.0], [0.4, 0.6]], dtype=np.float32)
    found = classification(
        scores, np.array([1, 0, 0]), task=Task.BINARY, classes=("a", "b"), resamples=5
    )
    assert found.intervals["auc"].value == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": np.ones((4, 3))}, r"\(4, 3\); they must be \(images, 2\)"),
        ({"probabilities": np.ones((0, 2)), "labels": np.ones(0, int)}, "at least one image"),
        ({"probabilities": np.array([[0, 1], [-3, 2], [0, 1], [0, 1]])}, "image 1 .*not logits"),
        ({"probabilities": np.full((4, 2), np.nan)}, "image 0 .*between 0 and 1"),
        ({"labels": np.array([0, 1, 1])}, r"shape \(3,\); a binary task needs \(4,\)"),
        ({"labels": np.array([0, 1, 2, 0])}, "label of image 2 .* is 2; .* from 0 to 1"),
        ({"labels": np.array([0.0, 1, 1, 0])}, "float64; give class indices"),
        ({"patients": ["a"]}, "1 patients for 4 images"),
        ({"positive": "sick"}, "'sick' is not one of healthy, ill"),
        ({"thresholds": {"sick": 0.5}}, "Threshold for 'sick'"),
        ({"task": Task.MULTILABEL, "labels": np.full((4, 2), 0.5)}, "0, 1 or NaN"),
        (
            {"classes": ("a", "b", "c"), "probabilities": np.ones((4, 3)) / 3},
            "two classes, not 3",
        ),
    ],
)
def test_input_that_does_not_fit_is_named(change, message):
    good = {
        "probabilities": np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1], [0.4, 0.6]]),
        "labels": np.array([1, 0, 0, 1]),
        "task": Task.BINARY,
        "classes": ("healthy", "ill"),
        "resamples": 5,
    }
    with pytest.raises(InputError, match=message):
        classification(**(good | change))


def test_a_thousand_resamples_of_600_images_take_seconds():
    scores, labels = draw(2, n=600)
    start = time.process_time()
    classification(scores, labels, task=Task.BINARY, classes=("healthy", "ill"))
    assert time.process_time() - start < 15  # 1 s where this was written
