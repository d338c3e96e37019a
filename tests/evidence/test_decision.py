import math

import numpy as np
import pytest

from softcam.evidence.decision import contrast, decide, probabilities
from softcam.evidence.info import Task


def test_softmax_probabilities_sum_to_one():
    found = probabilities([[1.0, 2.0, 3.0]], Task.MULTICLASS)
    total = sum(math.exp(v) for v in (1, 2, 3))
    assert np.allclose(found, [[math.exp(v) / total for v in (1, 2, 3)]], rtol=1e-14)


def test_one_logit_gives_both_classes():
    found = probabilities([[-40.0], [0.0]], Task.BINARY)
    assert found.shape == (2, 2)
    assert found[0, 1] == pytest.approx(math.exp(-40), rel=1e-12)
    assert found[1].tolist() == [0.5, 0.5]


def test_multilabel_probabilities_are_independent():
    assert probabilities([[0.0, 0.0, 0.0]], Task.MULTILABEL).tolist() == [[0.5, 0.5, 0.5]]


def test_large_logits_do_not_overflow():
    assert np.isfinite(probabilities([[1e4, -1e4]], Task.BINARY)).all()
    assert np.isfinite(probabilities([[-1e4]], Task.BINARY)).all()


def test_a_binary_call_compares_the_positive_class_with_its_threshold():
    scores = np.array([[0.7, 0.3], [0.71, 0.29]])
    calls = decide(scores, Task.BINARY, ("healthy", "ill"), "ill", {"ill": 0.3})
    assert calls.tolist() == [1, 0]


def test_the_most_probable_class_is_called_otherwise():
    scores = np.array([[0.2, 0.5, 0.3]])
    assert decide(scores, Task.ORDINAL, ("a", "b", "c")).tolist() == [1]


def test_every_label_has_its_own_threshold():
    scores = np.array([[0.2, 0.6]])
    found = decide(scores, Task.MULTILABEL, ("a", "b"), thresholds={"a": 0.1, "b": 0.7})
    assert found.tolist() == [[True, False]]


def test_contrast_of_two_classes_is_own_minus_other():
    evidence = np.random.default_rng(0).normal(size=(2, 3, 4))
    assert np.allclose(contrast(evidence)[1], evidence[1] - evidence[0])


def test_contrast_of_several_is_own_minus_the_mean_of_the_rest():
    evidence = np.random.default_rng(0).normal(size=(5, 4, 3, 3))
    for k in range(4):
        rest = [evidence[:, j] for j in range(4) if j != k]
        assert np.allclose(contrast(evidence)[:, k], evidence[:, k] - sum(rest) / 3)


def test_contrast_of_one_map_or_of_independent_labels_is_the_map():
    one = np.ones((1, 2, 2))
    assert contrast(one) is one
    many = np.random.default_rng(0).normal(size=(3, 2, 2))
    assert contrast(many, Task.MULTILABEL) is many


def test_what_is_added_to_every_map_cancels_in_the_contrast():
    evidence = np.random.default_rng(0).normal(size=(3, 4, 4))
    assert np.allclose(contrast(evidence), contrast(evidence + 7.0))
