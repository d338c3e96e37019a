import math

import torch
from sklearn.metrics import roc_auc_score

from softcam.evidence.info import Task
from softcam.training.monitor import validation_auc


def test_binary_auc_agrees_with_scikit_learn_for_one_and_two_logits():
    labels = torch.randint(0, 2, (60,))
    two = torch.randn(60, 2)
    margin = (two[:, 1] - two[:, 0]).numpy()
    assert math.isclose(
        validation_auc(two, labels, Task.BINARY), roc_auc_score(labels, margin), abs_tol=1e-6
    )
    one = torch.randn(60, 1)
    assert math.isclose(
        validation_auc(one, labels, Task.BINARY), roc_auc_score(labels, one[:, 0]), abs_tol=1e-6
    )


def test_multiclass_auc_is_the_mean_of_one_against_the_rest():
    logits, labels = torch.randn(90, 3), torch.randint(0, 3, (90,))
    expected = roc_auc_score(labels, logits.double().softmax(1), multi_class="ovr")
    assert math.isclose(validation_auc(logits, labels, Task.MULTICLASS), expected, abs_tol=1e-6)


def test_classes_without_examples_and_unknown_labels_are_left_out():
    nan = float("nan")
    labels = torch.tensor([[1.0, nan, 1.0], [0.0, nan, 1.0], [nan, 1.0, 1.0]])
    logits = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    assert validation_auc(logits, labels, Task.MULTILABEL) == 1.0


def test_a_diverged_model_tells_nothing_apart():
    logits = torch.tensor([[float("nan"), 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert math.isnan(validation_auc(logits, torch.tensor([0, 1, 0]), Task.BINARY))


def test_nothing_to_tell_apart_is_undefined():
    assert math.isnan(validation_auc(torch.randn(3, 2), torch.ones(3).long(), Task.BINARY))
