"""Classification measures of weighted images, many resamples at once.

A resample is a row of weights: how often each image was drawn. Images are sorted once, and every
measure of R resamples costs O(R N). All give shape (R,), NaN where undefined, and the numbers of
`softcam.evaluation.measures` on the images repeated so often.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from softcam.evaluation.measures import CALIBRATION_BINS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Ranking:
    """The images in the order of one class's score, ties together; made once for all resamples.

    Args:
        score: Scores of shape (N,), higher for the class.
        truth: Whether the image is of the class, shape (N,).
        known: Whether that is known, shape (N,); what is unknown does not count. None for all.
    """

    def __init__(self, score: Floats, truth: Bools, known: Bools | None = None) -> None:
        count = np.ones(truth.shape, dtype=bool) if known is None else known
        self._order = np.argsort(-score, kind="stable")
        falling = score[self._order]
        self._starts = np.flatnonzero(np.append(True, falling[1:] != falling[:-1]))
        self._truth = (truth & count)[self._order]
        self._others = (~truth & count)[self._order]

    def _tied(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weights of the examples and of the others at each distinct score, falling, (R, G)."""
        falling = weights[:, self._order]
        hits, others = falling * self._truth, falling * self._others
        if len(self._starts) == len(self._order):
            return hits, others
        return (
            np.add.reduceat(hits, self._starts, axis=1),
            np.add.reduceat(others, self._starts, axis=1),
        )

    def areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Measure the areas under the ROC curve and under precision over sensitivity.

        Args:
            weights: Shape (R, N).

        Returns:
            The AUC: the chance that an example scores higher than another image, ties counting
            half; and the average precision: precision summed over the steps of sensitivity. Both
            are undefined without examples or without others.
        """
        hits, others = self._tied(weights)
        examples, rest = hits.sum(axis=1), others.sum(axis=1)
        passed = np.cumsum(others, axis=1)  # others called so far
        beaten = _rowsum(hits, rest[:, None] - passed) + _rowsum(hits, others) / 2
        reached = np.cumsum(hits, axis=1)
        passed += reached
        passed[passed == 0] = 1.0  # nothing was drawn yet, and nothing was hit
        reached /= passed
        precision = _rowsum(hits, reached)
        return _over(beaten, examples * rest), _over(precision, np.where(rest > 0, examples, 0.0))


def counted(truth: Bools, called: Bools, known: Bools, weights: Floats) -> dict[str, Floats]:
    """Score the calls of one class against the rest.

    Args:
        truth: Whether the image is of the class, shape (N,).
        called: Whether the class was called, shape (N,).
        known: Whether the truth is known, shape (N,).
        weights: Shape (R, N).

    Returns:
        Sensitivity, specificity, precision, F1, accuracy and balanced accuracy.
    """
    total = weights @ known
    examples, calls = weights @ (truth & known), weights @ (called & known)
    hits = weights @ (truth & called & known)
    others = total - examples
    rejected = others - (calls - hits)
    sensitivity, specificity = _over(hits, examples), _over(rejected, others)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": _over(hits, calls),
        "f1": _over(2 * hits, examples + calls),
        "accuracy": _over(hits + rejected, total),
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }


def mean(values: Floats, known: Bools, weights: Floats) -> Floats:
    """Average a value over images.

    Args:
        values: Shape (N,).
        known: Which images count, shape (N,).
        weights: Shape (R, N).
    """
    return _over(weights @ np.where(known, values, 0.0), weights @ known)


def calibration_error(confidence: Floats, correct: Bools, known: Bools, weights: Floats) -> Floats:
    """Mean gap between confidence and frequency over 15 equal bins, weighted by their size.

    Args:
        confidence: Probabilities of shape (N,); a bin holds its lower edge, the last one also 1.
        correct: What happened, shape (N,).
        known: Which images count, shape (N,).
        weights: Shape (R, N).
    """
    # torch's edges, which differ from numpy's in the last digit: no image on one changes its bin.
    edges = torch.linspace(0, 1, CALIBRATION_BINS + 1, dtype=torch.float64).numpy()
    which = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.zeros((confidence.size, CALIBRATION_BINS))
    gaps[np.arange(confidence.size), which] = np.where(known, confidence - correct, 0.0)
    return _over(np.abs(weights @ gaps).sum(axis=1), weights @ known)


def quadratic_kappa(truth: Integers, called: Integers, classes: int, weights: Floats) -> Floats:
    """Agreement of ordered classes beyond chance; NaN if all is one and the same class.

    Args:
        truth: Class indices of shape (N,).
        called: Class indices of shape (N,).
        classes: Number of classes.
        weights: Shape (R, N).
    """
    index = np.arange(classes)
    rows = weights @ (truth[:, None] == index).astype(np.float64)
    columns = weights @ (called[:, None] == index).astype(np.float64)
    squares = ((index[:, None] - index[None]) ** 2).astype(np.float64)
    observed = weights @ squares[truth, called]
    by_chance = np.einsum("ri,ij,rj->r", rows, squares, columns)
    return np.asarray(1 - _over(observed * weights.sum(axis=1), by_chance))


def _rowsum(first: Floats, second: Floats) -> Floats:
    """Sum the products of each row."""
    return np.asarray(np.einsum("rn,rn->r", first, second))


def _over(part: Floats, whole: Floats) -> Floats:
    """Divide, with NaN where there is nothing below the line."""
    shares: Floats = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
