from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions import gradients
from softcam.explanation.attributions.class_activation import GRAD_CAM
from softcam.explanation.attributions.subject import subject_of


def check(found, expected):
    assert found.dtype == torch.float32
    largest = expected.abs().max()
    assert largest > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * largest.item())


def slope(subject, image, score):
    """The gradient (C, H, W) of one image's score."""
    image = image.clone().requires_grad_()
    value = score(subject.classifier(image[None])[0])
    return torch.autograd.grad(value, image)[0]


def test_gradient_by_hand(case, images, by_hand):
    subject, contrast, classes = case
    found = gradients.GRADIENT(subject, images, classes, contrast=contrast)
    check(found, by_hand(lambda image, score: slope(subject, image, score).sum(dim=0)))
    found = gradients.SALIENCY(subject, images, classes, contrast=contrast)
    check(found, by_hand(lambda image, score: slope(subject, image, score).abs().amax(dim=0)))


def test_the_gradient_is_a_difference_quotient(case, images):
    subject, contrast, _ = case
    found = gradients.GRADIENT(subject, images, [1], contrast=contrast)[0, 0, 5, 7]
    brighter = images.clone()
    brighter[0, :, 5, 7] += 1e-6
    logits = subject.classifier(images)[0], subject.classifier(brighter)[0]
    own = [x[1] if len(x) > 1 else x[0] for x in logits]
    if contrast and len(logits[0]) > 1:
        own = [x[1] - (x[0] + x[2]) / 2 for x in logits]
    quotient = (own[1] - own[0]).item() / 1e-6
    assert abs(quotient) > 1e-5
    assert found.item() == pytest.approx(quotient, rel=1e-3)


def test_input_x_gradient_by_hand(case, images, by_hand):
    subject, contrast, classes = case
    found = gradients.INPUT_X_GRADIENT(subject, images, classes, contrast=contrast)
    check(found, by_hand(lambda x, score: (x * slope(subject, x, score)).sum(dim=0)))


def test_smooth_grad_by_hand(case, images, by_hand):
    subject, contrast, classes = case
    chosen = {"samples": 5, "noise": 0.2, "seed": 3}

    def mean(image, score):
        generator = torch.Generator().manual_seed(3)
        sigma = 0.2 * (image.max() - image.min())
        total = torch.zeros_like(image)
        for _ in range(5):
            noise = torch.randn(image.shape, generator=generator).double()
            total += slope(subject, image + sigma * noise, score)
        return total / 5

    found = gradients.SMOOTH_GRAD.configured(**chosen)(subject, images, classes, contrast=contrast)
    check(found, by_hand(lambda image, score: mean(image, score).sum(dim=0)))
    found = gradients.SMOOTH_SALIENCY.configured(**chosen)(
        subject, images, classes, contrast=contrast
    )
    check(found, by_hand(lambda image, score: mean(image, score).abs().amax(dim=0)))


def test_another_seed_is_other_noise(softcam, images):
    subject = subject_of(softcam)
    method = gradients.SMOOTH_GRAD.configured(samples=2)
    assert torch.equal(method(subject, images, [0]), method(subject, images, [0]))
    other = method.configured(seed=1)(subject, images, [0])
    assert not torch.equal(method(subject, images, [0]), other)


def test_without_noise_smooth_grad_is_the_gradient(softcam, images):
    subject = subject_of(softcam)
    method = gradients.SMOOTH_GRAD.configured(samples=2, noise=0.0)
    check(method(subject, images, [0, 1]), gradients.GRADIENT(subject, images, [0, 1]))


def test_integrated_gradients_are_complete(case, images, by_hand):
    subject, contrast, classes = case

    @torch.no_grad()
    def whole(image, score):
        pair = subject.classifier(torch.stack([image, torch.zeros_like(image)]))
        return score(pair[0]) - score(pair[1])

    # Enough steps for the kinks of the ReLUs, which no quadrature is exact on.
    method = gradients.INTEGRATED_GRADIENTS.configured(steps=400)
    found = method(subject, images, classes, contrast=contrast).sum(dim=(2, 3))
    torch.testing.assert_close(found, by_hand(whole), rtol=2e-3, atol=2e-3)


def test_integrated_gradients_by_hand_at_any_batch_size(case, images, by_hand):
    subject, contrast, classes = case
    places, widths = np.polynomial.legendre.leggauss(9)

    def formula(image, score):
        total = torch.zeros_like(image)
        for place, width in zip(places, widths, strict=True):
            total += width / 2 * slope(subject, image * (1 + place) / 2, score)
        return (image * total).sum(dim=0)

    expected = by_hand(formula)
    for size in (1, 7, 1000):
        method = gradients.INTEGRATED_GRADIENTS.configured(steps=9, batch_size=size)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(method(subject, images, classes, contrast=contrast), expected)


class Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (gradient > 0) * (x > 0)


class Reusing(nn.Module):
    """One ReLU module for two places, as torchvision's ResNet has it, with a skip connection."""

    def __init__(self, inplace, relu=None):
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 5, 3, stride=2, padding=1)
        self.relu = relu or nn.ReLU(inplace=inplace)

    def forward(self, x):
        x = self.relu(self.first(x))
        return self.last(self.relu(self.second(x) + x))


def guided_pair(inplace):
    torch.manual_seed(5)
    head = EvidenceLayer(5, 3).double()
    subject = subject_of(SoftCAM(Reusing(inplace).double(), head))
    return subject, SoftCAM(Reusing(inplace, Guided.apply).double(), head)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("contrast", [False, True])
def test_guided_backprop_by_hand_with_one_relu_module_for_all(images, inplace, contrast):
    subject, guided = guided_pair(inplace)
    inputs = images.clone().requires_grad_()
    logits = guided(inputs).logits
    score = logits[:, 1] - (logits[:, 0] + logits[:, 2]) / 2 if contrast else logits[:, 1]
    (expected,) = torch.autograd.grad(score.sum(), inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradients.GUIDED_BACKPROP(subject, images, [1], contrast=contrast)[:, 0]
    check(found, expected.sum(dim=1).float())
    plain = gradients.GRADIENT(subject, images, [1], contrast=contrast)[:, 0]
    assert (found - plain).abs().max() > 1e-3


def test_guided_grad_cam_is_their_product(images):
    subject, _ = guided_pair(inplace=True)
    found = gradients.GUIDED_GRAD_CAM(subject, images, [0, 2])
    coarse = GRAD_CAM(subject, images, [0, 2]).clamp(min=0)
    fine = F.interpolate(coarse, (12, 16), mode="bilinear", align_corners=False)
    expected = gradients.GUIDED_BACKPROP(subject, images, [0, 2]) * fine
    assert (expected == 0).any()
    torch.testing.assert_close(found, expected)


def test_a_model_without_relu_modules_is_refused(images):
    model = SoftCAM(nn.Sequential(nn.Conv2d(3, 5, 3), nn.GELU()), EvidenceLayer(5, 2))
    for method in (gradients.GUIDED_BACKPROP, gradients.GUIDED_GRAD_CAM):
        with pytest.raises(InputError, match="ReLU modules; SoftCAM has none"):
            method(subject_of(model), images, [0])


def test_an_unknown_way_with_channels_is_refused(softcam, images):
    with pytest.raises(InputError, match="'mean'; give 'sum' or 'largest'"):
        gradients.GRADIENT.configured(channels="mean")(subject_of(softcam), images, [0])
