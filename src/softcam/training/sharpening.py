"""Concentration raised after training, as far as the validation AUC stands it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evidence.concentration import concentrate
from softcam.evidence.info import Task
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.evidence.probe import evaluating
from softcam.training.monitor import validation_auc

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Sharpness that is tried, as multiples of the one that the model was trained with. From 8 on the
logit is nearly the strongest cell alone, and more would change little."""


@dataclass(frozen=True)
class Sharpened:
    """What was tried and what was taken.

    Attributes:
        sharpness: The concentrations that were tried, the trained one first.
        auc: The validation AUC of each.
        chosen: The one taken.
    """

    sharpness: tuple[float, ...]
    auc: tuple[float, ...]
    chosen: float

    def to_json(self) -> dict[str, Any]:
        """Give it as a mapping of plain values."""
        tried = [
            {"concentration": sharpness, "val_auc": None if auc != auc else round(auc, 6)}
            for sharpness, auc in zip(self.sharpness, self.auc, strict=True)
        ]
        return {"tried": tried, "concentration": self.chosen}


def sharpen(
    model: SoftCAM,
    batches: Iterable[npt.NDArray[np.float32]],
    labels: npt.NDArray[Any],
    task: Task,
    margin: float,
) -> Sharpened:
    """Concentrate a trained model's evidence more, where its accuracy does not need the rest.

    Training needs the evidence of many positions, a reader the place of the finding. The sharpness
    is a number of the head and not of the weights: raised after training, the mean of a map stays
    the logit. The largest of `FACTORS` is taken whose validation AUC lies no more than the margin
    below that of the trained sharpness. No annotation is looked at.

    Args:
        model: The model; its head and its description are changed.
        batches: Normalised validation images, each of shape (B, C, H, W).
        labels: Their labels: class indices (N,), or 0/1/NaN (N, C) for multi-label.
        task: What the labels mean.
        margin: How much validation AUC may be lost.

    Returns:
        What was tried and taken; the trained sharpness where no AUC is known.

    Raises:
        InputError: If the model's evidence is not concentrated.
    """
    head = model.head
    if not isinstance(head, EvidenceLayer | StageEvidence) or not head.concentration:
        raise InputError("sharpen: this model's evidence is not concentrated; leave sharpen out.")
    tried = tuple(factor * head.concentration for factor in FACTORS)
    logits = _logits(model, head, batches, tried)
    truth = torch.from_numpy(np.asarray(labels))
    auc = tuple(validation_auc(found, truth, task) for found in logits)
    chosen = _largest(tried, auc, margin)
    head.concentration = chosen
    info = model.info
    if info.architecture is not None:
        info.architecture = info.architecture.model_copy(update={"concentration": chosen})
    if info.conversion is not None:
        info.conversion = info.conversion.model_copy(update={"concentration": chosen})
    return Sharpened(tried, auc, chosen)


def _logits(
    model: SoftCAM,
    head: EvidenceLayer | StageEvidence,
    batches: Iterable[npt.NDArray[np.float32]],
    sharpness: Sequence[float],
) -> list[Tensor]:
    """Run the backbone once an image and pool its evidence with each sharpness."""
    like = next(model.parameters())
    found: list[list[Tensor]] = [[] for _ in sharpness]
    with evaluating(model):
        for pixels in batches:
            images = torch.from_numpy(pixels).to(like.device, like.dtype)
            plain = head.plain(model.backbone(images))
            for value, kept in zip(sharpness, found, strict=True):
                kept.append(concentrate(plain, value).flatten(2).mean(2).cpu())
    return [torch.cat(kept) for kept in found]


def _largest(sharpness: Sequence[float], auc: Sequence[float], margin: float) -> float:
    # AUCs of few images are ratios of small counts, and the margin is often one exactly. The
    # smaller ones need not stand too: of few images, an AUC goes up and down by chance.
    stand = [
        value
        for value, reached in zip(sharpness, auc, strict=True)
        if reached >= auc[0] - margin - 1e-9
    ]
    return max(stand, default=sharpness[0])
