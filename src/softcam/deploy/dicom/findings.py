"""What an explanation says of each class, with its regions as pixels and as single polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.evidence.info import Task
from softcam.explanation.explanation import Explanation
from softcam.explanation.outline import Polygon
from softcam.explanation.regions import Region, threshold_of


@dataclass(frozen=True, eq=False)
class ClassFinding:
    """The answer about one class.

    Attributes:
        name: The class.
        probability: Its probability.
        called: Whether the model called it.
        call_threshold: Probability from which it is called; None where the likeliest class is.
        logit: The mean of its map.
        region_threshold: Evidence from which a cell is in a region, in logit units.
        regions: Its regions that the image shows, the largest part of the logit first.
        mask: (rows, columns) of the frame: the pixels whose centres lie in a region.
    """

    name: str
    probability: float
    called: bool
    call_threshold: float | None
    logit: float
    region_threshold: float
    regions: tuple[Region, ...]
    mask: npt.NDArray[np.bool_]


def find(explanation: Explanation, *, contrast: bool = False) -> list[ClassFinding]:
    """Collect what is written about each class.

    Args:
        explanation: What a model says about an image.
        contrast: Take each class against the others instead of its own evidence.

    Returns:
        One for each class, in the model's order.
    """
    found = []
    for index, name in enumerate(explanation.classes):
        values = explanation.class_evidence(index, contrast=contrast)
        limit = threshold_of(values, threshold=explanation.threshold)
        # A pixel belongs where its centre lies; what was cut away belongs nowhere.
        laid = explanation.map(index, contrast=contrast, outside=-1.0).astype(np.float64)
        regions = explanation.regions(index, contrast=contrast)
        found.append(
            ClassFinding(
                name=name,
                probability=float(explanation.probabilities[index]),
                called=name in explanation.predicted,
                call_threshold=_call_threshold(explanation, name),
                logit=explanation.logit(index, contrast=contrast),
                region_threshold=limit,
                regions=tuple(region for region in regions if not region.outside_image),
                mask=(laid >= limit) & (laid > 0),
            )
        )
    return found


def _call_threshold(explanation: Explanation, name: str) -> float | None:
    """Give the probability from which a class is called, as `softcam.evidence.decision` does."""
    info = explanation.info
    if explanation.task is Task.MULTILABEL:
        return float(info.thresholds.get(name, 0.5))
    if explanation.task is Task.BINARY:
        positive = info.positive if info.positive in explanation.classes else explanation.classes[1]
        return float(info.thresholds.get(name, 0.5)) if name == positive else None
    return None


def one_polygon(outline: Sequence[Polygon]) -> npt.NDArray[np.float64]:
    """Join the loops of a region into one closed polygon.

    Parts that touch at a corner are walked through in one go. Holes, and parts that only padding
    joins, are reached by a line that is walked both ways and encloses nothing, so that the area
    inside the polygon is the region's, whether counted by crossings or by turns.

    Args:
        outline: Loops of (x, y), clockwise around parts and counter-clockwise around holes.

    Returns:
        (n, 2) array of x, y, the last corner being the first again.
    """
    loops = [np.asarray(loop, dtype=np.float64) for loop in outline]
    path, rest = loops[0], loops[1:]
    while rest:
        gaps = [_nearest(path, loop) for loop in rest]
        chosen = min(range(len(rest)), key=lambda k: gaps[k][0])
        _, at, start = gaps[chosen]
        loop = np.roll(rest.pop(chosen), -start, axis=0)
        # There, around it, back to its start, and back to where the path was left.
        path = np.concatenate([path[: at + 1], loop, loop[:1], path[at:]])
    closed = np.concatenate([path, path[:1]])
    moved = np.any(np.diff(closed, axis=0) != 0, axis=1)
    return np.asarray(closed[np.concatenate([[True], moved])])


def _nearest(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> tuple[float, int, int]:
    """Find the two nearest corners of two loops: squared distance and their positions."""
    away = ((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=2)
    at, start = divmod(int(away.argmin()), len(second))
    return float(away[at, start]), at, start
