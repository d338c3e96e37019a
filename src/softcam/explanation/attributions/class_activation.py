"""The CAM family: channels of the last feature map, weighted and added.

Z is the last feature map (N, C, h, w), y the score that is explained (a logit, or its difference
to the others'), g = dy/dZ. Everything here runs the backbone once for an image and then works
on the read-out behind Z alone, which for a pool and a linear layer costs next to nothing; only
Score-CAM runs the backbone again. Maps are raw: at feature resolution, not scaled, and signed
wherever the paper's last ReLU is all that hides the sign. Where the weights themselves leave
out what speaks against the class, that ReLU is applied and the method is not signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.errors import InputError, MissingExtraError
from softcam.explanation.attributions.base import Attribution, class_scores
from softcam.explanation.attributions.subject import ReadOut, Subject

Formula = Callable[[Tensor, Tensor], Tensor]
"""From activations and gradients, both (N, C, h, w), to maps (N, h, w)."""


def features_of(subject: Subject, images: Tensor) -> Tensor:
    """Compute the last feature map.

    Args:
        subject: A subject with a last feature layer.
        images: Shape (N, C, H, W).

    Returns:
        Shape (N, C, h, w), without gradient history.

    Raises:
        InputError: If the layer gives something else.
    """
    assert subject.layer is not None  # `Attribution.refusal` has seen to it
    with torch.no_grad():
        features = subject.layer(images)
    if not isinstance(features, Tensor) or features.ndim != 4:
        raise InputError(
            f"The last feature layer of {subject.name} gives no feature map of shape (N, C, h, w)."
        )
    return features


def _read_out(subject: Subject) -> ReadOut:
    assert subject.read_out is not None  # there is one wherever there is a layer
    return subject.read_out


def gradient_cam(
    subject: Subject, images: Tensor, classes: Tensor, formula: Formula, *, contrast: bool
) -> Tensor:
    """Apply a formula to the features and the gradients of each class's score.

    Args:
        subject: A subject with a last feature layer.
        images: Shape (N, C, H, W).
        classes: Shape (N, K).
        formula: The method.
        contrast: Which score.

    Returns:
        Shape (N, K, h, w).
    """
    features = features_of(subject, images).requires_grad_()
    scores = class_scores(_read_out(subject)(features), classes, contrast=contrast)
    maps = []
    for k in range(classes.shape[1]):
        total = scores[:, k].sum()
        (gradients,) = torch.autograd.grad(total, features, retain_graph=True)
        maps.append(formula(features.detach(), gradients))
    return torch.stack(maps, dim=1)


def _cam(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, **_: Any) -> Tensor:
    assert subject.weight is not None
    features = features_of(subject, images)
    weight = subject.weight.to(features)
    maps = torch.einsum("kc,nchw->nkhw", weight, features)
    return class_scores(maps, classes, contrast=contrast)


def _grad_cam(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    def formula(features: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)

    return gradient_cam(subject, images, classes, formula, contrast=contrast)


def _library(name: str) -> Any:
    """One of the grad-cam package's methods, held to its formula.

    Called as a whole, the package clips, scales and enlarges maps, and clears the gradients of
    the model. A stand-in model gives it nothing to hook or clear (and this one draws no weights).
    """
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise MissingExtraError(
            "Grad-CAM++, HiResCAM, LayerCAM and Eigen-CAM need grad-cam, which is not installed; "
            'run: pip install "softcam[benchmark]"'
        ) from error
    return getattr(pytorch_grad_cam, name)(nn.PReLU(), [])


def _cam_image(cam: Any, features: Tensor, gradients: Tensor | None) -> Tensor:
    # numpy knows no bfloat16, and half precision would lose small gradients.
    precise = torch.promote_types(features.dtype, torch.float32)
    read = features.cpu().to(precise).numpy()
    slopes = None if gradients is None else gradients.cpu().to(precise).numpy()
    found = cam.get_cam_image(None, None, None, read, slopes, False)
    return torch.from_numpy(found).to(features)


def _grad_cam_plus_plus(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool
) -> Tensor:
    cam = _library("GradCAMPlusPlus")

    def formula(features: Tensor, gradients: Tensor) -> Tensor:
        # The package adds 1e-6 to a denominator of the order of g², and behind an average pool
        # g² is no larger. Large gradients with features as much smaller are the same map, in
        # which that constant is lost.
        largest = gradients.abs().amax(dim=(1, 2, 3), keepdim=True)
        scale = 1e3 / torch.where(largest > 0, largest, 1)
        return _cam_image(cam, features / scale, gradients * scale).clamp(min=0)

    return gradient_cam(subject, images, classes, formula, contrast=contrast)


def _hires_cam(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    cam = _library("HiResCAM")

    def formula(features: Tensor, gradients: Tensor) -> Tensor:
        return _cam_image(cam, features, gradients)

    return gradient_cam(subject, images, classes, formula, contrast=contrast)


def _layer_cam(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    cam = _library("LayerCAM")

    def formula(features: Tensor, gradients: Tensor) -> Tensor:
        return _cam_image(cam, features, gradients).clamp(min=0)

    return gradient_cam(subject, images, classes, formula, contrast=contrast)


def _eigen_cam(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    features = features_of(subject, images)
    maps = _cam_image(_library("EigenCAM"), features, None)
    # A principal component has no sign of its own: it is made large where features are strong.
    strength = features.norm(dim=1)
    strength = strength - strength.mean(dim=(1, 2), keepdim=True)
    turned = (maps * strength).sum(dim=(1, 2), keepdim=True) < 0
    return torch.where(turned, -maps, maps)[:, None]


def _chunks(channels: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, channels)) for start in range(0, channels, size))


@torch.no_grad()
def _weighted(weights: Tensor, features: Tensor) -> Tensor:
    """Add channels (C, h, w) with weights (C, K) to maps (K, h, w)."""
    return torch.einsum("ck,chw->khw", weights, features)


@torch.no_grad()
def _score_cam(
    subject: Subject,
    images: Tensor,
    classes: Tensor,
    *,
    contrast: bool,
    batch_size: int,
) -> Tensor:
    maps = []
    for image, features, chosen in zip(images, features_of(subject, images), classes, strict=True):
        scores = []
        for part in _chunks(len(features), batch_size):
            masks = F.interpolate(
                features[part, None], image.shape[1:], mode="bilinear", align_corners=True
            )
            low, high = masks.amin(dim=(2, 3), keepdim=True), masks.amax(dim=(2, 3), keepdim=True)
            masks = (masks - low) / (high - low + 1e-8)
            logits = subject.classifier(image * masks)
            scores.append(class_scores(logits, chosen.expand(len(masks), -1), contrast=contrast))
        weights = torch.softmax(torch.cat(scores), dim=0)
        maps.append(_weighted(weights, features).clamp(min=0))
    return torch.stack(maps)


@torch.no_grad()
def _ablation_cam(
    subject: Subject,
    images: Tensor,
    classes: Tensor,
    *,
    contrast: bool,
    batch_size: int,
) -> Tensor:
    read_out = _read_out(subject)
    maps = []
    for features, chosen in zip(features_of(subject, images), classes, strict=True):
        whole = class_scores(read_out(features[None]), chosen[None], contrast=contrast)
        drops = []
        for part in _chunks(len(features), batch_size):
            channels = torch.arange(part.start, part.stop, device=features.device)
            ablated = features.expand(len(channels), -1, -1, -1).clone()
            ablated[torch.arange(len(channels), device=features.device), channels] = 0
            logits = read_out(ablated)
            left = class_scores(logits, chosen.expand(len(channels), -1), contrast=contrast)
            drops.append(whole - left)
        maps.append(_weighted(torch.cat(drops), features))
    return torch.stack(maps)


CAM = Attribution(
    "cam",
    "CAM",
    signed=True,
    compute=_cam,
    needs=("affine",),
    source="Zhou et al., CVPR 2016, section 2: the linear head's weights times Z; no bias",
)
GRAD_CAM = Attribution(
    "grad-cam",
    "Grad-CAM",
    signed=True,
    compute=_grad_cam,
    needs=("features",),
    source="Selvaraju et al., ICCV 2017, section 3: the mean of g times Z; without its ReLU",
)
GRAD_CAM_PLUS_PLUS = Attribution(
    "grad-cam++",
    "Grad-CAM++",
    signed=False,
    compute=_grad_cam_plus_plus,
    needs=("features",),
    source="Chattopadhay et al., WACV 2018, section 3.2, equations 10 and 19, for exp(y)",
)
HIRES_CAM = Attribution(
    "hirescam",
    "HiResCAM",
    signed=True,
    compute=_hires_cam,
    needs=("features",),
    source="Draelos and Carin, arXiv 2011.08891, section 3: g times Z, position by position",
)
LAYER_CAM = Attribution(
    "layer-cam",
    "LayerCAM",
    signed=False,
    compute=_layer_cam,
    needs=("features",),
    source="Jiang et al., IEEE TIP 2021, section III: the positive part of g times Z",
)
SCORE_CAM = Attribution(
    "score-cam",
    "Score-CAM",
    signed=False,
    compute=_score_cam,
    needs=("features",),
    options={"batch_size": 32},
    source=(
        "Wang et al., CVPR workshops 2020, section 3: weights are a softmax over channels of the "
        "score with the image masked by the channel; 0 in normalised units is the mask's dark end"
    ),
)
ABLATION_CAM = Attribution(
    "ablation-cam",
    "Ablation-CAM",
    signed=True,
    compute=_ablation_cam,
    needs=("features",),
    options={"batch_size": 64},
    source=(
        "Desai and Ramaswamy, WACV 2020, section 3: weights are the score's drop with the channel "
        "set to zero; not divided by the score, which would turn the map of a negative one over"
    ),
)
EIGEN_CAM = Attribution(
    "eigen-cam",
    "Eigen-CAM",
    signed=False,
    compute=_eigen_cam,
    by_class=False,
    needs=("features",),
    source=(
        "Muhammad and Yeasin, IJCNN 2020, section III: Z on its first principal component, centred "
        "as in the grad-cam package; its sign: positive where features are strong"
    ),
)
