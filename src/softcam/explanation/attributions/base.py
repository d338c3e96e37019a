"""The interface of every attribution method, and the score that it explains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.explanation.attributions.subject import Subject


class Compute(Protocol):
    """The computation of a method.

    Takes a subject, normalised images (N, C, H, W) on the subject's device, class indices
    (N, K) and whether the contrast is meant; gives maps (N, K, h, w) at the method's own
    resolution, whose cell i of h covers the image rows [i H / h, (i + 1) H / h).
    """

    def __call__(
        self, subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, **options: Any
    ) -> Tensor:
        """Compute maps."""
        ...


@dataclass(frozen=True)
class Attribution:
    """A way to say where in an image a classifier's answer comes from.

    Attributes:
        name: Its key, such as "grad-cam".
        label: What tables call it, such as "Grad-CAM".
        signed: Whether negative values mean evidence against the class.
        compute: The computation.
        by_class: Whether its maps depend on the class; where not, contrast is the same map.
        needs: What the subject must have: "evidence" (a SoftCAM), "features" (a last feature
            map), "affine" (one that a linear head reads), or "" for any classifier.
        options: Keyword arguments of `compute`, such as the number of samples.
        source: Paper and section.
    """

    name: str
    label: str
    signed: bool
    compute: Compute
    by_class: bool = True
    needs: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    def refusal(self, subject: Subject) -> str | None:
        """Say why the method cannot explain a subject; None if it can."""
        if self.needs == "evidence" and subject.softcam is None:
            return f"{self.label} is a SoftCAM's own; {subject.name} is a black box"
        if self.needs in ("features", "affine") and subject.layer is None:
            return f"{self.label} needs one last feature map; {subject.name}: {subject.no_layer}"
        if self.needs == "affine" and subject.weight is None:
            return (
                f"{self.label} needs a linear head behind an average pool; {subject.name} has none"
            )
        return None

    def __call__(
        self,
        subject: Subject,
        images: Tensor,
        classes: Tensor | list[int],
        *,
        contrast: bool = False,
    ) -> Tensor:
        """Explain images.

        Args:
            subject: The classifier.
            images: Normalised input of shape (N, C, H, W).
            classes: Class indices: (N, K) for each image its own, or (K,) for all the same. For
                a one-logit binary model 1 is the class that its logit speaks for, 0 the other.
            contrast: Explain the logit's difference to the other class (or to the mean of the
                others) instead of the logit. The same for one logit and for multi-label.

        Returns:
            Float32 maps of shape (N, K, h, w) on the subject's device, at the method's own
            resolution; positive values speak for the class.

        Raises:
            InputError: If the method cannot explain the subject, or shapes do not fit.
        """
        if why := self.refusal(subject):
            raise InputError(f"{why}.")
        if images.ndim != 4:
            raise InputError(
                f"The images have the shape {tuple(images.shape)}; attributions take (N, C, H, W)."
            )
        like = next(subject.classifier.parameters(), torch.empty(0))
        inputs = images.detach().to(device=like.device, dtype=like.dtype)
        chosen = class_indices(classes, len(images)).to(like.device)
        against = contrast and subject.task is not Task.MULTILABEL
        maps = self.compute(subject, inputs, chosen, contrast=against, **self.options)
        return maps.detach().float()


def class_indices(classes: Tensor | list[int], count: int) -> Tensor:
    """Spell the wanted classes out for every image.

    Args:
        classes: (K,) for all images, or (N, K).
        count: N.

    Returns:
        Int64 tensor of shape (N, K).

    Raises:
        InputError: If the shape is another.
    """
    given = torch.as_tensor(classes, dtype=torch.int64)
    if given.ndim == 1:
        given = given[None].expand(count, -1)
    if given.ndim != 2 or given.shape[0] != count:
        raise InputError(
            f"Classes have the shape {tuple(given.shape)} for {count} images; give (K,) or (N, K)."
        )
    return given


def class_scores(logits: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    """Take from logits the number that a map explains.

    Args:
        logits: Shape (N, K).
        classes: One class index for each image, shape (N,).
        contrast: The class's logit minus the mean of the others' instead of the logit itself.

    Returns:
        Shape (N,). With one logit, class 1 is the logit and class 0 its negative.

    Raises:
        InputError: If an index is no class.
    """
    count = logits.shape[1]
    if classes.numel() and (int(classes.min()) < 0 or int(classes.max()) >= max(2, count)):
        raise InputError(
            f"Classes lie between {int(classes.min())} and {int(classes.max())}, but the model "
            f"tells {max(2, count)} classes apart; give class indices."
        )
    if count == 1:
        return logits[:, 0] * (2 * classes - 1).to(logits.dtype)
    own = logits.gather(1, classes[:, None])[:, 0]
    if not contrast:
        return own
    return own - (logits.sum(dim=1) - own) / (count - 1)
