from __future__ import annotations

import pytest
import torch
from torch import nn

from softcam.conversion.black_box import BlackBox
from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.class_activation import CAM, GRAD_CAM
from softcam.explanation.attributions.gradients import GRADIENT, GUIDED_BACKPROP
from softcam.explanation.attributions.native import EVIDENCE
from softcam.explanation.attributions.subject import subject_of
from tests.explanation.attributions.conftest import backbone


class Stages(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, x):
        fine = self.first(x).tanh()
        return [fine, self.second(fine)]


def black_box(*head) -> BlackBox:
    torch.manual_seed(0)
    model = nn.Sequential(backbone(), *head).double()
    return BlackBox(model, info=ModelInfo(task=Task.BINARY, classes=("no", "yes")))


def check_parts(subject, images):
    features = subject.layer(images)
    torch.testing.assert_close(subject.read_out(features), subject.classifier(images))


def test_a_softcam_is_its_own_classifier(softcam, images):
    subject = subject_of(softcam)
    assert (subject.name, subject.softcam, subject.layer) == ("SoftCAM", softcam, softcam.backbone)
    assert torch.equal(subject.classifier(images), softcam(images).logits)
    check_parts(subject, images)
    assert torch.equal(subject.weight, softcam.head.conv.weight[:, :, 0, 0])


def test_a_black_box_is_explained_in_its_converted_form(images):
    twin = black_box(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)).eval()
    subject = subject_of(twin)
    assert (subject.name, subject.softcam) == ("Black-box twin", None)
    assert (subject.task, subject.info) == (Task.BINARY, twin.info)
    torch.testing.assert_close(subject.classifier(images), twin(images))
    check_parts(subject, images)
    assert torch.equal(subject.weight, twin.model[-1].weight)
    assert EVIDENCE.refusal(subject) == "Evidence is a SoftCAM's own; Black-box twin is a black box"


def test_gradients_of_the_converted_form_are_the_black_box_s(images):
    """A head that normalises holds factors of the whole image, and they have gradients too."""
    twin = black_box(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(5), nn.Linear(5, 2)).eval()
    subject = subject_of(twin)
    assert subject.layer is not None and subject.weight is None
    check_parts(subject, images)
    inputs = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(twin(inputs)[:, 1].sum(), inputs)
    found = GRADIENT(subject, images, [1])[:, 0]
    torch.testing.assert_close(found, expected.sum(dim=1).float())
    assert "needs a linear head behind an average pool" in CAM.refusal(subject)


def test_what_cannot_be_converted_is_explained_by_the_gradient_alone(images):
    twin = black_box(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 2)).eval()
    subject = subject_of(twin, "Maximum")
    assert subject.layer is None and subject.no_layer
    why = GRAD_CAM.refusal(subject)
    assert why == f"Grad-CAM needs one last feature map; Maximum: {subject.no_layer}"
    assert GRADIENT.refusal(subject) is None
    assert GRADIENT(subject, images, [0, 1]).shape == (2, 2, 12, 16)


def test_evidence_of_several_stages_has_no_last_feature_map(images):
    torch.manual_seed(0)
    model = SoftCAM(Stages(), StageEvidence([4, 6], 3)).double()
    subject = subject_of(model)
    assert EVIDENCE.refusal(subject) is None
    assert EVIDENCE(subject, images, [1]).shape == (2, 1, 12, 16)
    assert GRADIENT.refusal(subject) is None
    for method in (GRAD_CAM, CAM):
        assert method.refusal(subject).endswith("its evidence comes from several stages")
    assert "ReLU modules" in GUIDED_BACKPROP.refusal(subject)


def test_a_head_with_an_activation_is_not_linear(images):
    model = SoftCAM(backbone(), EvidenceLayer(5, 3, activation=nn.ReLU())).double()
    subject = subject_of(model)
    assert subject.weight is None
    assert CAM.refusal(subject) and GRAD_CAM.refusal(subject) is None


@pytest.mark.parametrize("training", [False, True])
def test_a_model_is_put_into_eval_mode(softcam, training):
    softcam.train(training)
    assert not subject_of(softcam).classifier.training and not softcam.training
