from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from softcam.evaluation.measures import (
    calibration_error,
    of_a_class,
    of_a_question,
    quadratic_kappa,
)


def case(seed, n=83, ties=True):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.35
    score = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    if ties:
        score = np.round(score, 1)
    return score, truth, score >= 0.5


def slow_auc(score, truth):
    """Chance that an example scores above a counter-example, half for a tie."""
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in score[truth] for b in score[~truth]]
    return sum(wins) / len(wins)


def slow_average_precision(score, truth):
    """Sum over thresholds of the precision there times the gain in recall."""
    total = gained = 0.0
    for limit in sorted(set(score.tolist()), reverse=True):
        called = [s >= limit for s in score]
        hits = sum(c and t for c, t in zip(called, truth, strict=True))
        recall = hits / truth.sum()
        total += (recall - gained) * hits / sum(called)
        gained = recall
    return total


def slow_calibration_error(confidence, correct, bins=15):
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [
            i for i, c in enumerate(confidence) if low <= c < high or (b == bins - 1 and c == 1)
        ]
        if inside:
            gap = sum(float(correct[i]) - confidence[i] for i in inside)
            total += abs(gap) / len(confidence)
    return total


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [True, False])
def test_scores_of_a_class_agree_with_sklearn_and_with_slow_loops(seed, ties):
    score, truth, called = case(seed, ties=ties)
    found = of_a_class(score, truth, called) | of_a_question(score, truth, called)
    expected = {
        "auc": sk.roc_auc_score(truth, score),
        "auprc": sk.average_precision_score(truth, score),
        "sensitivity": sk.recall_score(truth, called),
        "specificity": sk.recall_score(~truth, ~called),
        "precision": sk.precision_score(truth, called),
        "f1": sk.f1_score(truth, called),
        "accuracy": sk.accuracy_score(truth, called),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, called),
        "calibration_error": slow_calibration_error(score, truth),
    }
    assert found == pytest.approx(expected, abs=2e-6)  # torchmetrics counts in float32
    assert found["auc"] == pytest.approx(slow_auc(score, truth), abs=2e-6)
    assert found["auprc"] == pytest.approx(slow_average_precision(score, truth), abs=2e-6)


@pytest.mark.parametrize("present", [True, False])
def test_with_one_kind_of_image_only_what_has_a_meaning_is_defined(present):
    truth = np.full(5, present)
    found = of_a_class(np.linspace(0, 1, 5), truth, truth.copy())
    assert math.isnan(found["auc"])
    assert math.isnan(found["auprc"])
    assert math.isnan(found["specificity"]) == present
    assert math.isnan(found["sensitivity"]) != present
    assert math.isnan(of_a_question(np.ones(5), truth, truth)["balanced_accuracy"])


def test_the_precision_of_a_class_never_called_is_undefined_not_zero():
    truth = np.array([True, False, True])
    found = of_a_class(np.array([0.1, 0.2, 0.3]), truth, np.zeros(3, dtype=bool))
    assert math.isnan(found["precision"])
    assert (found["sensitivity"], found["f1"], found["specificity"]) == (0.0, 0.0, 1.0)


def test_no_images_give_no_numbers():
    nothing = np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    for value in (of_a_class(*nothing) | of_a_question(*nothing)).values():
        assert math.isnan(value)


def test_a_confidence_of_one_belongs_to_the_last_bin():
    confidence = np.array([1.0, 0.95, 1.0, 0.97])
    correct = np.array([True, False, True, True])
    found = calibration_error(confidence, correct)
    assert found == pytest.approx(slow_calibration_error(confidence, correct), abs=1e-12)
    assert found == pytest.approx(abs(0.75 - confidence.mean()), abs=1e-12)


def test_a_calibrated_forecast_has_a_small_error_and_an_overconfident_one_its_gap():
    rng = np.random.default_rng(0)
    chance = rng.random(20000)
    assert calibration_error(chance, rng.random(20000) < chance) < 0.02
    assert calibration_error(np.full(1000, 0.9), np.arange(1000) < 600) == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(6))
def test_kappa_agrees_with_sklearn_and_with_the_formula(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 60)
    called = np.clip(truth + rng.integers(-2, 3, 60), 0, 4)
    found = quadratic_kappa(truth, called, 5)
    assert found == pytest.approx(
        sk.cohen_kappa_score(truth, called, weights="quadratic"), abs=1e-6
    )
    observed = np.mean([(t - c) ** 2 for t, c in zip(truth, called, strict=True)])
    by_chance = np.mean([(t - c) ** 2 for t in truth for c in called])
    assert found == pytest.approx(1 - observed / by_chance, abs=1e-6)


def test_kappa_is_undefined_only_where_all_is_one_class():
    ones = np.ones(4, dtype=np.int64)
    assert math.isnan(quadratic_kappa(ones, ones, 3))
    assert quadratic_kappa(ones, ones + 1, 3) == pytest.approx(0)
    assert quadratic_kappa(np.array([0, 2]), np.array([0, 2]), 3) == pytest.approx(1)
