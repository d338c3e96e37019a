"""A trained model's map laid where it looks, as images and their mirror images tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.conversion.hypercolumn import Hypercolumn, measured
from softcam.errors import InputError
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.evidence.placement import Placement
from softcam.evidence.probe import evaluating

FARTHEST = 4
"""Cells between the peaks of an image and of its mirror image; farther ones are other findings."""

LEAST = 16
"""Pairs of peaks below which nothing is moved: their median would be chance."""


@dataclass(frozen=True)
class Aligned:
    """How far the map lay off.

    Attributes:
        moved: Pixels that the map was moved along each axis; positive is down or right.
        pairs: Pairs of peaks of which that is the median, along each axis.
    """

    moved: tuple[float, ...]
    pairs: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Give it as a mapping of plain values."""
        return {"moved_px": [round(pixels, 2) for pixels in self.moved], "pairs": list(self.pairs)}


def align(model: SoftCAM, batches: Iterable[npt.NDArray[np.float32]]) -> Aligned:
    """Move a trained model's map to where it looks.

    A mean over all positions does not say where evidence must lie, and training may leave the whole
    map some pixels off: it answers to a finding's upper edge, or its kernels lean to a side. Of a
    mirrored image such a map is off to the other side, so that, mirrored back, the two lie apart
    by twice as much. This is read off their highest cells: of each image, and each class's
    contrast, the peak of the one map and of the other, if they are near enough to be of one
    finding. The neck then lays its stages half the median difference farther. They stay where they
    are on each other, and the mean of the map is still the logit. No label and no annotation is
    looked at.

    Args:
        model: The model, whose backbone ends in a `Hypercolumn`; its neck and its description are
            changed.
        batches: Normalised images, each of shape (B, C, ...).

    Returns:
        How far it was moved: 0 along an axis with fewer than `LEAST` pairs.

    Raises:
        InputError: If the model has no neck that could be moved.
    """
    neck, head = model.backbone, model.head
    if not isinstance(neck, Hypercolumn) or not isinstance(head, EvidenceLayer | StageEvidence):
        raise InputError("align: this model has no hypercolumn neck to move; leave align out.")
    like = next(model.parameters())
    apart: list[list[float]] = [[] for _ in range(head.dims)]
    with evaluating(model), torch.inference_mode():
        for pixels in batches:
            images = torch.from_numpy(pixels).to(like.device, like.dtype)
            peaks = _peaks(_scores(head.plain(neck(images))))
            for axis, found in enumerate(apart):
                mirrored = head.plain(neck(images.flip(axis + 2))).flip(axis + 2)
                difference = peaks - _peaks(_scores(mirrored))
                near = (np.abs(difference) <= FARTHEST).all(axis=1)
                cell = images.shape[axis + 2] / mirrored.shape[axis + 2]
                found += (difference[near, axis] * cell).tolist()
    # A map that lies to the left of where it looks, mirrored back, lies as far to the right.
    moved = tuple(-np.median(found) / 2 if len(found) >= LEAST else 0.0 for found in apart)
    _move(model, neck, moved)
    return Aligned(tuple(float(by) for by in moved), tuple(len(found) for found in apart))


def _scores(evidence: Tensor) -> npt.NDArray[np.float64]:
    """Give maps with a peak where a class is spoken for: (B, K', ...), without what all share."""
    if evidence.shape[1] == 1:  # one logit speaks for one class, and its negative for the other
        scores = torch.cat([evidence, -evidence], dim=1)
    else:
        scores = evidence - evidence.mean(dim=1, keepdim=True)
    return scores.double().cpu().numpy()


def _peaks(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Find each map's highest cell, and by a parabola the height between cells: (B K', dims)."""
    maps = scores.reshape(-1, *scores.shape[2:])
    highest = maps.reshape(len(maps), -1).argmax(axis=1)
    cells = np.unravel_index(highest, maps.shape[1:])
    rows = np.arange(len(maps))
    found = []
    for axis, cell in enumerate(cells):
        length = maps.shape[axis + 1]

        def at(step: int, axis: int = axis, cell: Any = cell, length: int = length) -> Any:
            place = list(cells)
            place[axis] = np.clip(cell + step, 0, length - 1)
            return maps[(rows, *place)]

        left, top, right = at(-1), at(0), at(1)
        bend = left - 2 * top + right
        between = np.divide(left - right, 2 * bend, out=np.zeros(len(maps)), where=bend < 0)
        inside = (cell > 0) & (cell < length - 1)
        found.append(cell + np.where(inside, between, 0.0))
    return np.stack(found, axis=1)


def _move(model: SoftCAM, neck: Hypercolumn, moved: tuple[float, ...]) -> None:
    neck.placed = [
        [Placement(at.stride, at.offset + by) for at, by in zip(stage, moved, strict=True)]
        for stage in neck.placed
    ]
    for name in ("architecture", "conversion"):
        form = getattr(model.info, name)
        if form is not None:
            setattr(model.info, name, measured(neck, form))
