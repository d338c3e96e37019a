"""Perturbations: hide parts of the image and see how the score changes; no gradients.

What is hidden becomes 0 in normalised units, the mean colour of the training set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from captum.attr import Occlusion
from torch import Tensor
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.explanation.attributions.base import Attribution, class_scores
from softcam.explanation.attributions.subject import Subject


def _pixels(share: float, length: int) -> int:
    return min(length, max(1, round(share * length)))


def _occlusion(
    subject: Subject,
    images: Tensor,
    classes: Tensor,
    *,
    contrast: bool,
    window: float,
    stride: float,
) -> Tensor:
    if not (0 < stride <= window <= 1):
        raise InputError(
            f"Occlusion has the window {window} and the stride {stride}, as shares of the image; "
            "give 0 < stride <= window <= 1."
        )
    count, channels, height, width = images.shape
    wanted = classes.shape[1]

    def scores(batch: Tensor) -> Tensor:
        # One output for each image and class: captum explains each, and hides the same window
        # in the whole batch, so that one pass serves all classes.
        return class_scores(subject.classifier(batch), classes, contrast=contrast).flatten()

    maps: Tensor = Occlusion(scores).attribute(
        images,
        sliding_window_shapes=(channels, _pixels(window, height), _pixels(window, width)),
        strides=(channels, _pixels(stride, height), _pixels(stride, width)),
        baselines=0.0,
    )
    return maps[:, 0].reshape(count, wanted, height, width)


def rise_masks(
    size: tuple[int, int], *, masks: int, cells: int, keep: float, seed: int, batch_size: int
) -> Iterator[Tensor]:
    """Draw the masks of RISE: coarse random grids, enlarged smoothly and shifted.

    Args:
        size: H, W.
        masks: How many.
        cells: Cells of the grid along each side of the image.
        keep: Probability that a cell is kept.
        seed: Seed; the masks do not depend on `batch_size`.
        batch_size: How many at once.

    Yields:
        Float32 masks in 0..1 of shape (B, 1, H, W), on the CPU.
    """
    height, width = size
    cell = math.ceil(height / cells), math.ceil(width / cells)
    enlarged = (cells + 1) * cell[0], (cells + 1) * cell[1]
    generator = torch.Generator().manual_seed(seed)
    grids = (torch.rand(masks, 1, cells, cells, generator=generator) < keep).float()
    down = torch.randint(0, cell[0], (masks,), generator=generator).tolist()
    right = torch.randint(0, cell[1], (masks,), generator=generator).tolist()
    for start in range(0, masks, batch_size):
        stop = min(start + batch_size, masks)
        wide = F.interpolate(grids[start:stop], enlarged, mode="bilinear", align_corners=False)
        yield torch.stack(
            [
                mask[:, top : top + height, left : left + width]
                for mask, top, left in zip(wide, down[start:stop], right[start:stop], strict=True)
            ]
        )


def _probabilities(subject: Subject, logits: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    """The chance of each class (N, K), which is what RISE averages."""
    alone = logits.shape[1] == 1 or subject.task is Task.MULTILABEL
    if contrast or alone:
        return torch.sigmoid(class_scores(logits, classes, contrast=contrast))
    return class_scores(torch.softmax(logits, dim=1), classes, contrast=False)


@torch.no_grad()
def _rise(
    subject: Subject,
    images: Tensor,
    classes: Tensor,
    *,
    contrast: bool,
    masks: int,
    cells: int,
    keep: float,
    seed: int,
    batch_size: int,
) -> Tensor:
    size = (images.shape[2], images.shape[3])
    total = torch.zeros(*classes.shape, *size).to(images)
    drawn = rise_masks(size, masks=masks, cells=cells, keep=keep, seed=seed, batch_size=batch_size)
    for some in drawn:
        hiding = some.to(images)
        for n, (image, chosen) in enumerate(zip(images, classes, strict=True)):
            logits = subject.classifier(image * hiding)
            chances = _probabilities(
                subject, logits, chosen.expand(len(hiding), -1), contrast=contrast
            )
            total[n] += torch.einsum("bk,bhw->khw", chances, hiding[:, 0])
    return total / (masks * keep)


OCCLUSION = Attribution(
    "occlusion",
    "Occlusion",
    signed=True,
    compute=_occlusion,
    options={"window": 1 / 8, "stride": 1 / 16},
    source="Zeiler and Fergus, ECCV 2014, section 4.2: the score's fall with a window hidden",
)
RISE = Attribution(
    "rise",
    "RISE",
    signed=False,
    compute=_rise,
    options={"masks": 2000, "cells": 7, "keep": 0.5, "seed": 0, "batch_size": 32},
    source=(
        "Petsiuk et al., BMVC 2018, section 3: random masks weighted by the class's probability, "
        "for the contrast by the sigmoid of the logit difference; all images have the same masks"
    ),
)
