"""The peers: Grad-CAM of captum, torchcam and grad-cam, each called as well as its API allows.

"Tuned" rows go beyond ordinary use, so that no weak baseline flatters SoftCAM: the layers in front
of the target layer's end are frozen, so that autograd neither records nor walks them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Images (B, channels, H, W) and classes in; per class one map of each image, (B, h, w), out.
Attribute = Callable[[Tensor, Sequence[int]], Sequence[Any]]


@dataclass(frozen=True)
class Peer:
    """One way to call a Grad-CAM library.

    Attributes:
        name: The library, and how it is called.
        attribute: Gives the maps of the classes asked for.
        rectified: Whether its maps are cut at zero.
        one_class: Whether it is worth timing for one class too.
    """

    name: str
    attribute: Attribute
    rectified: bool
    one_class: bool = True


def captum_peers(model: nn.Module) -> list[Peer]:
    """Call captum: it gives no logits and runs the model anew in each call.

    The best that its API allows for all classes is one call on the batch repeated for each class.
    """
    from captum.attr import LayerGradCam

    stock, frozen = copy.deepcopy(model), _frozen(model)
    plain = LayerGradCam(stock, stock.get_submodule("layer4"))
    tuned = LayerGradCam(frozen, frozen.get_submodule("layer4"))

    def loop(x: Tensor, classes: Sequence[int]) -> list[Tensor]:
        return [plain.attribute(x, target=k).detach().squeeze(1) for k in classes]

    def repeated(x: Tensor, classes: Sequence[int]) -> list[Tensor]:
        maps = tuned.attribute(x.repeat(len(classes), 1, 1, 1), target=_targets(x, classes))
        return list(maps.detach().squeeze(1).split(len(x)))

    return [Peer("captum", loop, False), Peer("captum, tuned", repeated, False, one_class=False)]


def torchcam_peers(model: nn.Module) -> list[Peer]:
    """Call torchcam: one forward pass serves every class, and gives the logits too."""
    from torchcam.methods import GradCAM

    stock = copy.deepcopy(model)
    cam = GradCAM(stock, "layer4")

    def attribute(x: Tensor, classes: Sequence[int]) -> list[Tensor]:
        scores, last = stock(x), classes[-1]
        return [cam(k, scores, normalized=False, retain_graph=k != last)[0] for k in classes]

    return [Peer("torchcam", attribute, True)]


def grad_cam_peers(model: nn.Module) -> list[Peer]:
    """Call grad-cam: it upsamples its maps to the image and walks back through the whole model.

    The walk ends at the target layer where the layers in front of it are frozen.
    """
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def attribute_with(twin: nn.Module) -> Attribute:
        cam = GradCAM(twin, [twin.get_submodule("layer4")])

        def attribute(x: Tensor, classes: Sequence[int]) -> list[Any]:
            return [cam(x, [ClassifierOutputTarget(k)] * len(x)) for k in classes]

        return attribute

    return [
        Peer("grad-cam", attribute_with(copy.deepcopy(model)), True),
        Peer("grad-cam, tuned", attribute_with(_frozen(model)), True),
    ]


LIBRARIES = {"captum": captum_peers, "torchcam": torchcam_peers, "grad-cam": grad_cam_peers}


def installed_peers(model: nn.Module, libraries: Sequence[str]) -> tuple[list[Peer], list[str]]:
    """Set up the peers on copies of a model; name the libraries that are not installed."""
    peers: list[Peer] = []
    missing: list[str] = []
    for name in libraries:
        try:
            peers += LIBRARIES[name](model)
        except ModuleNotFoundError:
            missing.append(name)
    return peers, missing


def _frozen(model: nn.Module) -> nn.Module:
    """Copy a model so that autograd records nothing in front of the end of its last stage."""
    twin = copy.deepcopy(model).requires_grad_(False)
    list(twin.get_submodule("layer4").parameters())[-1].requires_grad_(True)
    return twin


def _targets(x: Tensor, classes: Sequence[int]) -> list[int]:
    return [k for k in classes for _ in range(len(x))]


def correlations(peer: Peer, x: Tensor, evidence: Tensor, bias: Tensor) -> np.ndarray:
    """Correlate a peer's maps with the evidence of the same class, brought to the same form.

    Grad-CAM's map of a class is the evidence less the bias, divided by the number of positions,
    and cut at zero. A map that is constant (nothing above zero) has no correlation: NaN.

    Returns:
        Shape (B * K,).
    """
    count = evidence.shape[1]
    maps = torch.stack([torch.as_tensor(m) for m in peer.attribute(x, range(count))], dim=1)
    reference = evidence - bias.view(1, -1, 1, 1)
    reference = reference.relu() if peer.rectified else reference
    if reference.shape != maps.shape:
        reference = F.interpolate(reference, size=maps.shape[2:], mode="bilinear")
    a, b = (t.double().flatten(2) - t.double().flatten(2).mean(2, True) for t in (maps, reference))
    return ((a * b).sum(2) / (a.norm(dim=2) * b.norm(dim=2))).flatten().numpy()
