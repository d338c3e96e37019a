"""The losses, against slow float64 loops and the libraries' own where those fit."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.evidence.loss import classification_loss
from softcam.training.losses import ClassificationLoss, require_task

NAN = float("nan")


def draw(form, seed=0, classes=4, count=7):
    """Logits in float64, targets and class weights of one form."""
    generator = torch.Generator().manual_seed(seed)
    columns = 1 if form == "one-logit" else classes
    logits = 3 * torch.randn(count, columns, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 2 if form == "one-logit" else classes, (count,), generator=generator)
    weight = torch.rand(2 if form == "one-logit" else classes, generator=generator).double() + 0.2
    if form == "multi-label":
        target = torch.randint(0, 2, (count, classes), generator=generator).double()
        target[torch.rand(count, classes, generator=generator) < 0.3] = NAN
    return logits, target, weight


def slow(loss, logits, target, weight):
    """The same, one number at a time, from the definitions."""
    total = count = 0.0
    gamma = loss.gamma if loss.kind == "focal" else 0.0
    s = loss.smoothing
    for row, labels in zip(logits.tolist(), target.tolist(), strict=True):
        if isinstance(labels, list):  # multi-label
            for z, label, w in zip(row, labels, weight.tolist(), strict=True):
                if math.isnan(label):
                    continue
                p, q = 1 / (1 + math.exp(-z)), label * (1 - s) + s / 2
                total -= w * q * (1 - p) ** gamma * math.log(p)
                total -= (1 - q) * p**gamma * math.log(1 - p)
                count += 1
            continue
        if len(row) == 1:
            row = [0.0, row[0]]  # a softmax over (0, z) is the sigmoid of z
        classes = len(row)
        top = sum(math.exp(z) for z in row)
        p = [math.exp(z) / top for z in row]
        q = [(1 - s) * (k == labels) + s / classes for k in range(classes)]
        w = weight.tolist()
        count += w[labels]
        if loss.kind == "ordinal":
            terms = 0.0
            for k in range(classes - 1):
                terms -= sum(q[k + 1 :]) * math.log(sum(p[k + 1 :]))
                terms -= sum(q[: k + 1]) * math.log(sum(p[: k + 1]))
            total += w[labels] * terms / (classes - 1)
        else:
            total -= sum(w[k] * q[k] * (1 - p[k]) ** gamma * math.log(p[k]) for k in range(classes))
    return total / count


FORMS = ("softmax", "one-logit", "multi-label")
CASES = [
    *((form, kind) for form in FORMS for kind in ("cross-entropy", "focal")),
    ("softmax", "ordinal"),
]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("form", "kind"), CASES)
def test_every_loss_is_its_definition(form, kind, smoothing):
    for seed in range(3):
        loss = ClassificationLoss(kind, smoothing, gamma=1.5)
        logits, target, weight = draw(form, seed)
        found = loss(logits, target, weight)
        assert float(found) == pytest.approx(slow(loss, logits, target, weight), rel=1e-10)
        unweighted = loss(logits, target)
        ones = torch.ones_like(weight)
        assert float(unweighted) == pytest.approx(slow(loss, logits, target, ones), rel=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("form", "kind"), CASES)
def test_gradients_are_those_of_finite_differences(form, kind, smoothing):
    logits, target, weight = draw(form)
    loss = ClassificationLoss(kind, smoothing, gamma=2.0)
    assert torch.autograd.gradcheck(
        lambda z: loss(z, target, weight), logits.requires_grad_(), eps=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("form", FORMS)
def test_focal_with_gamma_zero_is_cross_entropy(form):
    logits, target, weight = draw(form)
    for given in (None, weight):
        found = ClassificationLoss("focal", gamma=0.0)(logits, target, given)
        torch.testing.assert_close(found, classification_loss(logits, target, given))


def test_focal_of_independent_labels_is_torchvisions():
    logits, target, _ = draw("multi-label")
    known = ~target.isnan()
    expected = sigmoid_focal_loss(logits, target.nan_to_num(), alpha=-1, gamma=2)[known].mean()
    torch.testing.assert_close(ClassificationLoss("focal")(logits, target), expected)
    logits, target, _ = draw("one-logit")
    expected = sigmoid_focal_loss(logits, target[:, None].double(), alpha=-1, reduction="mean")
    torch.testing.assert_close(ClassificationLoss("focal")(logits, target), expected)


def test_smoothing_is_torchs_own_with_class_weights_too():
    logits, target, weight = draw("softmax")
    for given in (None, weight):
        expected = F.cross_entropy(logits, target, weight=given, label_smoothing=0.3)
        found = ClassificationLoss(smoothing=0.3)(logits, target, given)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("form", FORMS)
def test_plain_cross_entropy_keeps_every_bit(form):
    logits, target, weight = draw(form)
    logits, weight = logits.float(), weight.float()
    for given in (None, weight):
        found = ClassificationLoss()(logits, target, given)
        assert torch.equal(found, classification_loss(logits, target, given))


@pytest.mark.parametrize("kind", ["cross-entropy", "focal"])
def test_one_logit_is_two_of_which_the_first_is_zero(kind):
    logits, target, weight = draw("one-logit")
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    loss = ClassificationLoss(kind, smoothing=0.1)
    torch.testing.assert_close(loss(logits, target, weight), loss(two, target, weight))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("form", FORMS)
def test_a_certain_answer_has_a_finite_gradient(form, gamma):
    logits, target, _ = draw(form)
    certain = (1e4 * logits.sign()).float().requires_grad_()
    ClassificationLoss("focal", gamma=gamma)(certain, target).backward()
    assert certain.grad.isfinite().all()


def test_a_batch_of_unknown_labels_has_no_loss():
    logits = torch.randn(3, 2, requires_grad=True)
    found = ClassificationLoss("focal")(logits, torch.full((3, 2), NAN))
    found.backward()
    assert found.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 2))


def test_the_ordinal_loss_grows_with_the_distance_where_cross_entropy_does_not():
    # The same probability of the true class 0; the rest lies one, two or three grades off.
    far = [torch.full((4,), 0.02).index_fill(0, torch.tensor([k]), 0.86) for k in (1, 2, 3)]
    logits = torch.stack(far)
    logits[:, 0] = 0.1
    logits = logits.log()
    target = torch.zeros(1).long()
    ordinal = [float(ClassificationLoss("ordinal")(row[None], target)) for row in logits]
    plain = [float(classification_loss(row[None], target)) for row in logits]
    assert plain[0] == pytest.approx(plain[1]) == pytest.approx(plain[2])
    assert ordinal[0] < ordinal[1] - 0.2 < ordinal[2] - 0.4


def test_the_ordinal_loss_of_two_classes_is_cross_entropy():
    logits, target, weight = draw("softmax", classes=2)
    found = ClassificationLoss("ordinal")(logits, target, weight)
    torch.testing.assert_close(found, classification_loss(logits, target, weight))


def test_the_ordinal_loss_is_least_where_the_softmax_is_the_truth():
    truth = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    logits = truth.log()[None].repeat(4, 1).requires_grad_()
    terms = [ClassificationLoss("ordinal")(logits[k : k + 1], torch.tensor([k])) for k in range(4)]
    (sum(p * term for p, term in zip(truth, terms, strict=True))).backward()
    torch.testing.assert_close(logits.grad.sum(0), torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize(("form", "kind"), CASES)
def test_the_parts_of_two_halves_add_up_to_the_whole(form, kind):
    loss = ClassificationLoss(kind, smoothing=0.1)
    logits, target, weight = draw(form)
    halves = [loss.parts(logits[s], target[s], weight) for s in (slice(3), slice(3, None))]
    total = sum(part[0] for part in halves) / sum(part[1] for part in halves)
    torch.testing.assert_close(total, loss(logits, target, weight))


@pytest.mark.parametrize("kind", ["cross-entropy", "focal", "ordinal"])
def test_targets_that_fit_in_no_way_are_refused(kind):
    with pytest.raises(ValueError, match="fits neither"):
        ClassificationLoss(kind, smoothing=0.1)(torch.zeros(3, 2), torch.zeros(3, 4))


def test_the_ordinal_loss_needs_classes_in_order():
    require_task("ordinal", Task.ORDINAL)
    require_task("focal", Task.MULTILABEL)
    with pytest.raises(InputError, match=r"the task of this table is multiclass; write `task: ord"):
        require_task("ordinal", Task.MULTICLASS)
