"""The curves behind the numbers: ROC with its band, and reliability; numbers only, no drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evaluation.bootstrap import resamples_of
from softcam.evaluation.measures import CALIBRATION_BINS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RocBand:
    """A ROC curve with its pointwise interval.

    Attributes:
        fpr: 1 - specificity at each threshold, from 0 to 1.
        tpr: Sensitivity at each threshold, from 0 to 1.
        grid: Values of 1 - specificity at which the interval is given.
        low: Lower end of the sensitivity's interval on the grid.
        high: Upper end of the sensitivity's interval on the grid.
    """

    fpr: Floats
    tpr: Floats
    grid: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Reliability:
    """Frequency against probability in equal bins; empty bins are NaN.

    Attributes:
        edges: Bin edges, shape (bins + 1,).
        confidence: Mean probability of the images in each bin, shape (bins,).
        frequency: Share of them in which it came true, shape (bins,).
        count: Number of images in each bin, shape (bins,).
    """

    edges: Floats
    confidence: Floats
    frequency: Floats
    count: npt.NDArray[np.int64]


def roc_curve(score: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """Sensitivity against 1 - specificity over all thresholds.

    Args:
        score: Probabilities of shape (N,).
        truth: Whether the image is of the class, shape (N,).

    Returns:
        1 - specificity and sensitivity, one point per distinct score, beginning at (0, 0).

    Raises:
        InputError: Unless both kinds of image are there.
    """
    examples = int(truth.sum())
    if examples in (0, truth.size):
        raise InputError(
            f"{examples} of {truth.size} images are of the class; a ROC curve needs both kinds."
        )
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), truth.size - 1)  # of equal scores
    tpr = np.concatenate([[0.0], hits[last] / examples])
    fpr = np.concatenate([[0.0], (last + 1 - hits[last]) / (truth.size - examples)])
    return fpr, tpr


def roc_band(
    score: Floats,
    truth: Bools,
    patients: Sequence[str],
    *,
    resamples: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> RocBand:
    """ROC curve with a pointwise interval from a bootstrap over patients.

    Args:
        score: Probabilities of shape (N,).
        truth: Whether the image is of the class, shape (N,).
        patients: N patient names.
        resamples: Number of resamples; those with one kind of image only are left out.
        seed: Seed of the bootstrap.
        level: Coverage of the interval at each point of the grid.

    Returns:
        The curve and, on a grid of 101 points, the interval of the sensitivity; NaN if more than
        half of the resamples had one kind of image only.

    Raises:
        InputError: Unless both kinds of image are there.
    """
    fpr, tpr = roc_curve(score, truth)
    grid = np.linspace(0, 1, 101)
    lines = []
    for rows in resamples_of(patients, resamples, seed):
        kinds = truth[rows]
        if kinds.any() and not kinds.all():
            x, y = roc_curve(score[rows], kinds)
            # At a jump the curve has many heights: the grid point takes the highest.
            x, first = np.unique(x[::-1], return_index=True)
            lines.append(np.interp(grid, x, y[::-1][first]))
    if 2 * len(lines) < resamples:
        nothing = np.full(grid.shape, np.nan)
        return RocBand(fpr, tpr, grid, nothing, nothing)
    tail = (1 - level) / 2
    low, high = np.quantile(np.stack(lines), [tail, 1 - tail], axis=0)
    return RocBand(fpr, tpr, grid, low, high)


def reliability(confidence: Floats, correct: Bools, bins: int = CALIBRATION_BINS) -> Reliability:
    """Compare stated probability and observed frequency, in the bins of the calibration error.

    Args:
        confidence: Probabilities of shape (N,).
        correct: What happened, of shape (N,).
        bins: Number of equal bins between 0 and 1; the last one holds also 1.

    Returns:
        Means per bin.
    """
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):  # an empty bin has no mean
        mean = np.bincount(which, confidence, bins) / count
        share = np.bincount(which, correct.astype(np.float64), bins) / count
    return Reliability(edges, mean, share, count)
