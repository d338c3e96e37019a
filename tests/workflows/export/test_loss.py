import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from softcam.evaluation.bootstrap import Interval
from softcam.workflows.export.loss import (
    Loss,
    _ranked,
    correlations,
    mean_auc,
    peak_shifts,
)


def maps(seed, shape=(4, 3, 5, 6)):
    return np.random.default_rng(seed).normal(size=shape)


def test_the_auc_is_scikit_learns():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    scores = generator.dirichlet([1, 1, 1], 60).round(1)  # with ties
    expected = [roc_auc_score(labels == k, scores[:, k]) for k in range(3)]
    assert mean_auc(scores, labels, [0, 1, 2]) == pytest.approx(np.mean(expected), abs=1e-12)
    assert mean_auc(scores, labels, [1]) == pytest.approx(expected[1], abs=1e-12)


def test_unknown_labels_and_classes_without_examples_are_left_out():
    labels = np.array([[1, 0, np.nan], [0, 0, 1], [1, 0, 0], [np.nan, 0, 1]])
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.2, 0.8], [0.1, 0.3, 0.9], [0.5, 0.4, 0.6]])
    assert mean_auc(scores, labels, [0, 1, 2]) == pytest.approx((0.5 + 0.0) / 2)
    assert np.isnan(mean_auc(scores, labels, [1]))


def test_correlations_are_scipys_averaged_over_classes():
    first, second = maps(0), maps(1)
    pairs = [
        [(a.ravel(), b.ravel()) for a, b in zip(*two, strict=True)]
        for two in zip(first, second, strict=True)
    ]
    pearson = [np.mean([pearsonr(*pair)[0] for pair in row]) for row in pairs]
    spearman = [np.mean([spearmanr(*pair)[0] for pair in row]) for row in pairs]
    np.testing.assert_allclose(correlations(first, second), pearson, atol=1e-9)
    np.testing.assert_allclose(correlations(_ranked(first), _ranked(second)), spearman, atol=1e-9)


def test_constant_maps_have_no_correlation():
    first, second = maps(0), maps(1)
    first[0] = 2.0
    first[1, 0] = 0.0
    found = correlations(first, second)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(correlations(first[1:2, 1:], second[1:2, 1:])[0])


def test_the_strongest_cell_moves_in_input_pixels():
    first, second = np.zeros((1, 2, 4, 8)), np.zeros((1, 2, 4, 8))
    first[0, 0, 1, 2] = first[0, 1, 3, 7] = 1
    second[0, 0, 1, 2] = second[0, 1, 0, 3] = 1
    # Cells of 16 x 8 pixels: the second class moves by 3 rows and 4 columns.
    assert peak_shifts(first, second, (64, 64)) == pytest.approx([np.hypot(48, 32) / 2])


@pytest.mark.parametrize(
    ("lost", "alike", "refused"),
    [(0.01, 0.95, None), (0.2, 0.95, "loses 0.200 of AUC"), (0.0, 0.3, "correlation")],
)
def test_another_model_is_refused(lost, alike, refused):
    values = {"auc_loss": lost, "pearson": alike}
    intervals = {name: Interval(value, value, value, 9, 0) for name, value in values.items()}
    found = Loss("test", 9, intervals).refusal()
    assert found is None if refused is None else refused in found
