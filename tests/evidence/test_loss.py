import math

import pytest
import torch

from softcam.evidence.loss import classification_loss, loss
from softcam.evidence.output import Output
from softcam.evidence.penalty import ElasticNet


def slow_cross_entropy(logits, target):
    total = 0.0
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        total += math.log(sum(math.exp(v) for v in row)) - row[label]
    return total / len(logits)


def slow_binary(value, truth):
    p = 1 / (1 + math.exp(-value))
    return -(truth * math.log(p) + (1 - truth) * math.log(1 - p))


def test_several_logits_and_class_indices_are_softmax_cross_entropy():
    logits = torch.randn(4, 3, dtype=torch.float64)
    target = torch.tensor([0, 2, 1, 2])
    assert math.isclose(
        float(classification_loss(logits, target)), slow_cross_entropy(logits, target)
    )


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_one_logit_is_binary_cross_entropy(shape):
    logits = torch.randn(4, 1, dtype=torch.float64)
    target = torch.tensor([0, 1, 1, 0]).reshape(shape)
    expected = sum(
        slow_binary(v, t)
        for v, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True)
    )
    assert math.isclose(float(classification_loss(logits, target)), expected / 4)


def test_unknown_labels_are_masked():
    logits = torch.randn(2, 3, dtype=torch.float64)
    nan = float("nan")
    target = torch.tensor([[1.0, nan, 0.0], [nan, 1.0, nan]])
    known = [(0, 0, 1.0), (0, 2, 0.0), (1, 1, 1.0)]
    expected = sum(slow_binary(float(logits[i, k]), t) for i, k, t in known) / 3
    assert math.isclose(float(classification_loss(logits, target)), expected)


def test_a_batch_without_known_labels_costs_nothing_and_has_finite_gradients():
    logits = torch.randn(2, 3, requires_grad=True)
    value = classification_loss(logits, torch.full((2, 3), float("nan")))
    value.backward()
    assert value == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_weights_of_one_logit_give_the_same_as_softmax_weights_do():
    logit = torch.randn(5, 1, dtype=torch.float64)
    target = torch.tensor([0, 1, 1, 0, 1])
    weight = torch.tensor([0.3, 2.0], dtype=torch.float64)
    both = torch.cat([torch.zeros_like(logit), logit], dim=1)  # the same model, two logits
    torch.testing.assert_close(
        classification_loss(logit, target, weight), classification_loss(both, target, weight)
    )


def test_the_penalty_is_added():
    output = Output(torch.randn(2, 2), torch.randn(2, 2, 3, 3))
    target = torch.tensor([0, 1])
    penalty = ElasticNet(0.1, 0.2)
    torch.testing.assert_close(
        loss(output, target, penalty), loss(output, target) + penalty(output.evidence)
    )


@pytest.mark.parametrize(("logits", "target"), [((3, 2), (3, 3)), ((3, 2), (4,)), ((3, 1), (4,))])
def test_a_target_that_does_not_fit_is_refused(logits, target):
    with pytest.raises(ValueError, match="target"):
        classification_loss(torch.zeros(logits), torch.zeros(target))


_NAN = float("nan")
_TARGETS = {
    "softmax": (3, torch.tensor([0, 2, 1, 2]), torch.tensor([0.5, 1.0, 3.0])),
    "one logit": (1, torch.tensor([0, 1, 1, 0]), torch.tensor([0.5, 3.0])),
    "labels": (
        2,
        torch.tensor([[1.0, 0.0], [_NAN, 1.0], [0.0, _NAN], [_NAN, _NAN]]),
        torch.tensor([0.5, 3.0]),
    ),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", _TARGETS)
def test_gradients_of_the_whole_loss_are_those_of_finite_differences(kind, weighted):
    outputs, target, weight = _TARGETS[kind]
    features = torch.randn(4, 5, 3, 2, dtype=torch.float64)
    kernel = torch.randn(outputs, 5, 1, 1, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(outputs, dtype=torch.float64, requires_grad=True)

    def whole(features, kernel, bias):
        evidence = torch.nn.functional.conv2d(features, kernel, bias)
        output = Output(evidence.mean((2, 3)), evidence)
        penalty = ElasticNet(0.3, 0.7)
        return loss(output, target, penalty, weight=weight.double() if weighted else None)

    assert torch.autograd.gradcheck(whole, (features.requires_grad_(), kernel, bias))
