"""Post-hoc attributions of a black box, to compare evidence maps with; torch loads on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.explanation.predictor import evaluating

if TYPE_CHECKING:
    import torch
    from torch import nn


def grad_cam(
    module: nn.Module,
    layer: nn.Module,
    batch: torch.Tensor | npt.NDArray[Any],
    targets: npt.ArrayLike,
    *,
    contrast: bool = False,
    relu_attributions: bool = False,
) -> npt.NDArray[np.float32]:
    """Grad-CAM: a layer's channels, weighted by their mean gradient, summed.

    For the score s of the target class and the layer's output Z of shape (C, h, w):
    map = sum over c of Z_c * mean over positions of ds / dZ_c. On the last feature layer before
    pooling and a linear head this is the class's evidence map without its bias, divided by the
    number of positions.

    The layer's output is read and its gradient taken where the layer returns it; an activation
    behind it that works in place acts on a copy. The module runs in eval mode, in float
    precision of its weights, outside autocast, and is left as it was, its gradients included.

    Args:
        module: A classifier that gives logits of shape (N, K).
        layer: A part of `module` that runs once per forward pass and gives (N, C, h, w).
        batch: Normalised input of shape (N, channels, H, W).
        targets: Class index of each image, shape (N,), or one for all. For a module with one
            logit, 1 is the class that the logit speaks for and 0 the other, whose score is the
            negative logit.
        contrast: Take as score the class's logit minus the mean of the others' instead of the
            class's own. With one logit the two are the same.
        relu_attributions: Keep only what speaks for the class, as the paper does; otherwise
            the map is signed.

    Returns:
        Maps of shape (N, h, w), in float32.

    Raises:
        InputError: Targets that do not fit, or a layer that gives no (N, C, h, w) feature map
            or is not part of the module.

    Source:
        Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based
        localization", ICCV 2017, section 3; computed by captum's LayerGradCam.
    """
    import torch
    from captum.attr import LayerGradCam

    if not any(part is layer for part in module.modules()):
        raise InputError("The Grad-CAM layer is not part of the module; pass one of its parts.")
    like = next(module.parameters(), torch.empty(0))
    inputs = torch.as_tensor(batch).detach().to(device=like.device, dtype=like.dtype)
    count = inputs.shape[0]
    given = np.asarray(targets, dtype=np.int64)
    if given.shape not in ((), (count,)):
        raise InputError(
            f"Grad-CAM targets have the shape {given.shape} for {count} images; pass one class "
            "index for each image, or one for all."
        )
    indices = np.broadcast_to(given, (count,)).copy()

    def scores(images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = module(images)
        if chosen.min() < 0 or chosen.max() >= max(2, logits.shape[1]):
            raise InputError(
                f"Grad-CAM targets lie between {int(chosen.min())} and {int(chosen.max())}, but "
                f"the module tells {max(2, logits.shape[1])} classes apart; pass class indices."
            )
        if logits.shape[1] == 1:
            return logits[:, 0] * (2 * chosen - 1)
        own: torch.Tensor = logits.gather(1, chosen[:, None])[:, 0]
        if not contrast:
            return own
        return own - (logits.sum(dim=1) - own) / (logits.shape[1] - 1)

    with (
        evaluating(module),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(like.device.type, enabled=False),
    ):
        # What is made here is an ordinary tensor even if the caller is in inference mode.
        chosen = torch.from_numpy(indices).to(like.device)
        maps = LayerGradCam(scores, layer).attribute(
            inputs.clone().requires_grad_(), relu_attributions=relu_attributions
        )
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        raise InputError(
            "Grad-CAM needs a layer that gives one feature map of shape (N, C, h, w); pass the "
            "last one before pooling."
        )
    return np.asarray(maps[:, 0].detach().float().cpu().numpy(), dtype=np.float32)
