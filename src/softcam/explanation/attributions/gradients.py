"""Gradients at the image, computed by captum: how the score changes with each pixel.

A pixel's channels become one number by `channels`: "sum" keeps the sign (for the gradient, the
change with a pixel that brightens in all channels; for products with the input, the pixel's
share), "largest" takes the largest magnitude over the channels and has no sign. Maps have the
image's resolution.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from captum.attr import GuidedBackprop, InputXGradient, IntegratedGradients, Saliency
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.explanation.attributions.base import Attribution, class_scores
from softcam.explanation.attributions.class_activation import GRAD_CAM
from softcam.explanation.attributions.subject import Subject
from softcam.explanation.predictor import evaluating


class _Score(nn.Module):
    """A classifier whose output is the score to explain, as captum takes it."""

    def __init__(self, classifier: nn.Module, *, contrast: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.contrast = contrast

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        return class_scores(self.classifier(images), classes, contrast=self.contrast)


def _each_class(
    attribute: Callable[[Tensor, Tensor], Tensor], images: Tensor, classes: Tensor, channels: str
) -> Tensor:
    """Attribute one class after the other, and make one number of each pixel's channels."""
    if channels not in ("sum", "largest"):
        raise InputError(f"The option channels is {channels!r}; give 'sum' or 'largest'.")
    maps = []
    for chosen in classes.unbind(dim=1):
        found = attribute(images, chosen).detach()
        maps.append(found.sum(dim=1) if channels == "sum" else found.abs().amax(dim=1))
    return torch.stack(maps, dim=1)


def _gradient(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, channels: str
) -> Tensor:
    saliency = Saliency(_Score(subject.classifier, contrast=contrast))

    def attribute(batch: Tensor, chosen: Tensor) -> Tensor:
        found: Tensor = saliency.attribute(
            batch.clone().requires_grad_(), abs=False, additional_forward_args=chosen
        )
        return found

    return _each_class(attribute, images, classes, channels)


def _input_x_gradient(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool
) -> Tensor:
    method = InputXGradient(_Score(subject.classifier, contrast=contrast))

    def attribute(batch: Tensor, chosen: Tensor) -> Tensor:
        found: Tensor = method.attribute(
            batch.clone().requires_grad_(), additional_forward_args=chosen
        )
        return found

    return _each_class(attribute, images, classes, "sum")


def _smooth_grad(
    subject: Subject,
    images: Tensor,
    classes: Tensor,
    *,
    contrast: bool,
    channels: str,
    samples: int,
    noise: float,
    seed: int,
) -> Tensor:
    # captum's NoiseTunnel draws from the global generator for the batch as a whole, so that an
    # image's map would change with its neighbours. Here all images have the same noise, in units
    # of their own range, and it is drawn on the CPU so that every device sees the same.
    generator = torch.Generator().manual_seed(seed)
    spread = images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)
    saliency = Saliency(_Score(subject.classifier, contrast=contrast))
    total = torch.zeros(classes.shape[1], *images.shape).to(images)
    for _sample in range(samples):
        drawn = torch.randn(images.shape[1:], generator=generator).to(images)
        noisy = images + noise * spread * drawn
        for k, chosen in enumerate(classes.unbind(dim=1)):
            total[k] += saliency.attribute(
                noisy.clone().requires_grad_(), abs=False, additional_forward_args=chosen
            )
    means = iter(total / samples)
    return _each_class(lambda _images, _chosen: next(means), images, classes, channels)


def _integrated_gradients(
    subject: Subject,
    images: Tensor,
    classes: Tensor,
    *,
    contrast: bool,
    steps: int,
    batch_size: int,
) -> Tensor:
    method = IntegratedGradients(_Score(subject.classifier, contrast=contrast))

    def attribute(batch: Tensor, chosen: Tensor) -> Tensor:
        found: Tensor = method.attribute(
            batch.clone().requires_grad_(),
            baselines=0.0,
            additional_forward_args=chosen,
            n_steps=steps,
            internal_batch_size=max(batch_size, len(batch)),
        )
        return found

    return _each_class(attribute, images, classes, "sum")


def _guided_backprop(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, channels: str
) -> Tensor:
    module = subject.as_trained
    assert module is not None  # `Attribution.refusal` has seen to it
    method = GuidedBackprop(_Score(module, contrast=contrast))

    def attribute(batch: Tensor, chosen: Tensor) -> Tensor:
        with evaluating(module), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
            found: Tensor = method.attribute(
                batch.clone().requires_grad_(), additional_forward_args=chosen
            )
        return found

    return _each_class(attribute, images, classes, channels)


def _guided_grad_cam(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, channels: str
) -> Tensor:
    guided = _guided_backprop(subject, images, classes, contrast=contrast, channels=channels)
    coarse = GRAD_CAM.compute(subject, images, classes, contrast=contrast).clamp(min=0)
    fine = F.interpolate(coarse, images.shape[2:], mode="bilinear", align_corners=False)
    return guided * fine


_SIMONYAN = "Simonyan et al., ICLR workshop 2014 (arXiv 1312.6034), section 3"
_SMILKOV = "Smilkov et al., arXiv 1706.03825, section 2"
_NOISE = {"samples": 32, "noise": 0.15, "seed": 0}

GRADIENT = Attribution(
    "gradient",
    "Gradient",
    signed=True,
    compute=_gradient,
    options={"channels": "sum"},
    source=f"{_SIMONYAN}; signed sum over channels",
)
SALIENCY = Attribution(
    "saliency",
    "Saliency",
    signed=False,
    compute=_gradient,
    options={"channels": "largest"},
    source=f"{_SIMONYAN}: the largest magnitude over channels",
)
INPUT_X_GRADIENT = Attribution(
    "input-x-gradient",
    "Input × gradient",
    signed=True,
    compute=_input_x_gradient,
    source="Shrikumar et al., arXiv 1605.01713, section 2; input in normalised units",
)
SMOOTH_GRAD = Attribution(
    "smoothgrad",
    "SmoothGrad",
    signed=True,
    compute=_smooth_grad,
    options={"channels": "sum", **_NOISE},
    source=f"{_SMILKOV}: noise as a share of the image's range; signed sum over channels",
)
SMOOTH_SALIENCY = Attribution(
    "smoothgrad-saliency",
    "SmoothGrad saliency",
    signed=False,
    compute=_smooth_grad,
    options={"channels": "largest", **_NOISE},
    source=f"{_SMILKOV}: as above, the largest magnitude of the mean over channels",
)
INTEGRATED_GRADIENTS = Attribution(
    "integrated-gradients",
    "Integrated gradients",
    signed=True,
    compute=_integrated_gradients,
    options={"steps": 50, "batch_size": 32},
    source=(
        "Sundararajan et al., ICML 2017, section 3; from 0 in normalised units, which is the mean "
        "colour of the training set, by Gauss-Legendre quadrature"
    ),
)
GUIDED_BACKPROP = Attribution(
    "guided-backprop",
    "Guided backprop",
    signed=True,
    compute=_guided_backprop,
    needs=("relu",),
    options={"channels": "sum"},
    source="Springenberg et al., ICLR workshop 2015 (arXiv 1412.6806), section 3.4; ReLU only",
)
GUIDED_GRAD_CAM = Attribution(
    "guided-grad-cam",
    "Guided Grad-CAM",
    signed=True,
    compute=_guided_grad_cam,
    needs=("features", "relu"),
    options={"channels": "sum"},
    source=(
        "Selvaraju et al., ICCV 2017, section 3.2: guided backprop times the enlarged positive "
        "part of Grad-CAM"
    ),
)
