import torch

from softcam.evidence.info import Task
from softcam.training.loop import class_weights


def test_balanced_weights_are_inverse_to_the_frequencies():
    labels = torch.tensor([0, 0, 0, 1])
    found = class_weights(labels, Task.BINARY, 2, "balanced")
    torch.testing.assert_close(found, torch.tensor([4 / 6, 4 / 2]))
    one_logit = class_weights(labels, Task.BINARY, 1, "balanced")
    torch.testing.assert_close(one_logit, found)


def test_multilabel_weights_are_negatives_over_positives():
    nan = float("nan")
    labels = torch.tensor([[1.0, 0.0], [0.0, nan], [0.0, 1.0], [nan, 1.0]])
    found = class_weights(labels, Task.MULTILABEL, 2, "balanced")
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5]))


def test_no_rule_gives_no_weights():
    assert class_weights(torch.tensor([0, 1]), Task.BINARY, 2, "none") is None
