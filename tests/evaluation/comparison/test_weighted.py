"""Weighted measures against scikit-learn, and against plain measures of repeated images."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from softcam.evaluation import measures
from softcam.evaluation.comparison import weighted


def cases(seed, count=60, levels=None):
    random = np.random.default_rng(seed)
    score = random.random(count) if levels is None else random.integers(0, levels, count) / levels
    truth = random.random(count) < 0.4
    weights = random.integers(0, 4, (7, count)).astype(np.float64)
    return score, truth, weights


EVERY = np.ones(60, dtype=bool)


@pytest.mark.parametrize("levels", [None, 5, 1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ranking_measures_are_those_of_scikit_learn(seed, levels):
    score, truth, weights = cases(seed, levels=levels)
    ranking = weighted.Ranking(score, truth)
    for row, auc, precision in zip(weights, *ranking.areas(weights), strict=True):
        assert auc == pytest.approx(reference.roc_auc_score(truth, score, sample_weight=row))
        assert precision == pytest.approx(
            reference.average_precision_score(truth, score, sample_weight=row)
        )


@pytest.mark.parametrize("levels", [None, 5])
def test_called_measures_are_those_of_scikit_learn(levels):
    score, truth, weights = cases(3, levels=levels)
    called = score > 0.5
    found = weighted.counted(truth, called, EVERY, weights)
    for number, row in enumerate(weights):
        kept = {"sample_weight": row}
        expected = {
            "sensitivity": reference.recall_score(truth, called, **kept),
            "specificity": reference.recall_score(~truth, ~called, **kept),
            "precision": reference.precision_score(truth, called, **kept),
            "f1": reference.f1_score(truth, called, **kept),
            "accuracy": reference.accuracy_score(truth, called, **kept),
            "balanced_accuracy": reference.balanced_accuracy_score(truth, called, **kept),
        }
        assert {key: values[number] for key, values in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 5])
def test_kappa_is_that_of_scikit_learn(classes):
    random = np.random.default_rng(classes)
    truth, called = random.integers(0, classes, (2, 60))
    weights = random.integers(0, 4, (7, 60)).astype(np.float64)
    for row, kappa in zip(
        weights, weighted.quadratic_kappa(truth, called, classes, weights), strict=True
    ):
        expected = reference.cohen_kappa_score(
            truth, called, weights="quadratic", sample_weight=row, labels=range(classes)
        )
        assert kappa == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [None, 15, 2])
def test_every_measure_is_the_plain_one_of_repeated_images(levels):
    score, truth, weights = cases(4, levels=levels)
    if levels is not None:
        score[:2] = 0.0, 1.0  # the outer edges of the bins
    called = score >= 0.5
    ranking = weighted.Ranking(score, truth)
    auc, auprc = ranking.areas(weights)
    found = {
        "auc": auc,
        "auprc": auprc,
        **weighted.counted(truth, called, EVERY, weights),
        "calibration_error": weighted.calibration_error(score, truth, EVERY, weights),
    }
    for number, row in enumerate(weights):
        rows = np.repeat(np.arange(60), row.astype(int))
        asked = score[rows], truth[rows], called[rows]
        expected = measures.of_a_class(*asked) | measures.of_a_question(*asked)
        assert {key: found[key][number] for key in expected} == pytest.approx(expected, abs=1e-6)


def test_unknown_labels_count_nowhere():
    score, truth, weights = cases(5)
    known = np.random.default_rng(1).random(60) < 0.7
    called = score > 0.5
    bare = weighted.Ranking(score[known], truth[known])
    ranking = weighted.Ranking(score, truth, known)
    less = weights[:, known]
    every = np.ones(known.sum(), dtype=bool)
    pairs = [
        *zip(ranking.areas(weights), bare.areas(less), strict=True),
        (
            weighted.calibration_error(score, truth, known, weights),
            weighted.calibration_error(score[known], truth[known], every, less),
        ),
        (weighted.mean(score, known, weights), weighted.mean(score[known], every, less)),
    ]
    counts = weighted.counted(truth, called, known, weights)
    fewer = weighted.counted(truth[known], called[known], every, less)
    pairs += [(counts[key], fewer[key]) for key in counts]
    for whole, part in pairs:
        assert np.isfinite(whole).all()
        np.testing.assert_allclose(whole, part, atol=1e-12)


def test_a_resample_of_one_kind_is_undefined_and_says_nothing_aloud():
    score, truth, _ = cases(6)
    weights = np.stack([truth, ~truth]).astype(np.float64)
    ranking = weighted.Ranking(score, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(ranking.areas(weights)).all()
        found = weighted.counted(truth, np.zeros(60, dtype=bool), EVERY, weights)
        one = np.zeros(60, dtype=np.int64)
        assert np.isnan(weighted.quadratic_kappa(one, one, 3, weights)).all()
        assert np.isnan(weighted.calibration_error(score, truth, EVERY, 0 * weights)).all()
    np.testing.assert_array_equal(found["specificity"], [np.nan, 1.0])
    np.testing.assert_array_equal(found["sensitivity"], [0.0, np.nan])
    assert np.isnan(found["precision"]).all()


def test_no_weight_at_all_is_undefined():
    score, truth, _ = cases(7)
    nothing = np.zeros((1, 60))
    assert np.isnan(weighted.Ranking(score, truth).areas(nothing)).all()
    assert np.isnan(weighted.mean(score, EVERY, nothing)).all()
