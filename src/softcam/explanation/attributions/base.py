"""The interface of every attribution method, and the score that it explains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.explanation.attributions.subject import Subject
from softcam.explanation.predictor import evaluating

Compute = Callable[..., Tensor]
"""The computation of a method: `compute(subject, images, classes, contrast=..., **options)`.

Takes a subject, normalised images (N, C, H, W) on the subject's device, class indices (N, K) and
whether the contrast is meant; gives maps (N, K, h, w), or (N, 1, h, w) from a method whose maps do
not depend on the class, at the method's own resolution: cell i of h covers the image rows
[i H / h, (i + 1) H / h). It is called with the classifier in eval mode, outside autocast and
inference mode, with gradients on.
"""


@dataclass(frozen=True)
class Attribution:
    """A way to say where in an image a classifier's answer comes from.

    A map depends on its image alone, not on the others of the batch, and is the same each time:
    what is random has a seed among the options.

    Attributes:
        name: Its key, such as "grad-cam".
        label: What tables call it, such as "Grad-CAM".
        signed: Whether negative values mean evidence against the class.
        compute: The computation.
        by_class: Whether its maps depend on the class; where not, contrast is the same map.
        needs: What the subject must have: "evidence" (a SoftCAM), "features" (a last feature
            map), "affine" (one that a linear head reads), "relu" (ReLU modules); nothing for
            any classifier.
        options: Keyword arguments of `compute`, such as the number of samples.
        source: Paper and section.
    """

    name: str
    label: str
    signed: bool
    compute: Compute
    by_class: bool = True
    needs: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    def refusal(self, subject: Subject) -> str | None:
        """Say why the method cannot explain a subject; None if it can."""
        return next((why for need in self.needs if (why := self._lacks(subject, need))), None)

    def _lacks(self, subject: Subject, need: str) -> str | None:
        if need == "evidence" and subject.softcam is None:
            return f"{self.label} is a SoftCAM's own; {subject.name} is a black box"
        if need in ("features", "affine") and subject.layer is None:
            return f"{self.label} needs one last feature map; {subject.name}: {subject.no_layer}"
        if need == "affine" and subject.weight is None:
            return (
                f"{self.label} needs a linear head behind an average pool; {subject.name} has none"
            )
        if need == "relu":
            module = subject.as_trained
            changes = f"{self.label} changes the gradient of ReLU modules"
            if module is None:
                return f"{changes}; the head of {subject.name} reads gates off them"
            if not any(isinstance(part, nn.ReLU) for part in module.modules()):
                return f"{changes}; {subject.name} has none"
        return None

    def configured(self, **options: Any) -> Attribution:
        """Change options.

        Args:
            options: Some of `options` with other values, such as `samples=64`.

        Returns:
            The method with these.

        Raises:
            InputError: If the method has no such option, or a count is not positive.
        """
        if unknown := sorted(set(options) - set(self.options)):
            known = ", ".join(self.options) or "none"
            raise InputError(f"{self.label} has no option {unknown[0]!r}; it has: {known}.")
        for name, value in options.items():
            if name != "seed" and isinstance(self.options[name], int) and value < 1:
                raise InputError(f"{self.label}: {name} is {value}; give at least 1.")
        return replace(self, options={**self.options, **options})

    def __call__(
        self,
        subject: Subject,
        images: Tensor,
        classes: Tensor | list[int],
        *,
        contrast: bool = False,
    ) -> Tensor:
        """Explain images.

        The classifier runs in eval mode, in float precision of its weights, outside autocast, and
        is left as it was, its gradients included; so is the global random state.

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
            MissingExtraError: If the method's library is not installed.
        """
        if why := self.refusal(subject):
            raise InputError(f"{why}.")
        if images.ndim != 4 or not len(images):
            raise InputError(
                f"The images have the shape {tuple(images.shape)}; attributions take (N, C, H, W)."
            )
        module = subject.classifier
        like = next(module.parameters(), torch.empty(0))
        against = contrast and subject.task is not Task.MULTILABEL
        with (
            evaluating(module),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(like.device.type, enabled=False),
        ):
            # Copies made here are ordinary tensors even if the caller is in inference mode.
            inputs = images.to(device=like.device, dtype=like.dtype).clone().detach()
            chosen = class_indices(classes, len(images)).to(like.device).clone()
            maps = self.compute(subject, inputs, chosen, contrast=against, **self.options)
        if not self.by_class:
            maps = maps.expand(-1, chosen.shape[1], -1, -1)
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
        logits: Shape (N, K). Maps of evidence (N, K, h, w) are read in the same way.
        classes: One class index for each image, shape (N,), or several, shape (N, M).
        contrast: The class's logit minus the mean of the others' instead of the logit itself.

    Returns:
        Shape (N,) or (N, M), and the maps' positions. With one logit, class 1 is the logit and
        class 0 its negative.

    Raises:
        InputError: If an index is no class.
    """
    count = logits.shape[1]
    if classes.numel() and (int(classes.min()) < 0 or int(classes.max()) >= max(2, count)):
        raise InputError(
            f"Classes lie between {int(classes.min())} and {int(classes.max())}, but the model "
            f"tells {max(2, count)} classes apart; give class indices."
        )
    several = classes if classes.ndim == 2 else classes[:, None]
    spread = several.reshape(*several.shape, *(1,) * (logits.ndim - 2))
    if count == 1:
        scores = logits * (2 * spread - 1).to(logits.dtype)
    else:
        scores = logits.gather(1, spread.expand(*several.shape, *logits.shape[2:]))
        if contrast:
            scores = scores - (logits.sum(dim=1, keepdim=True) - scores) / (count - 1)
    return scores if classes.ndim == 2 else scores[:, 0]
