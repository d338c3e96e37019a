"""Single measures of one set of images, each in its textbook form; NaN where undefined."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_calibration_error,
    multiclass_cohen_kappa,
)

CALIBRATION_BINS = 15

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def of_a_class(score: Floats, truth: Bools, called: Bools) -> dict[str, float]:
    """Score one class against the rest.

    Args:
        score: Probabilities of the class, shape (N,).
        truth: Whether the image is of the class, shape (N,).
        called: Whether the class was called, shape (N,).

    Returns:
        AUC, average precision, sensitivity, specificity, precision and F1; NaN for a ratio with
        nothing below the line, and for the first two unless both kinds of image are there.
    """
    hits = int((truth & called).sum())
    examples, calls = int(truth.sum()), int(called.sum())
    others = truth.size - examples
    auc = auprc = math.nan
    if examples and others:  # torchmetrics would give 0 here
        values, target = torch.from_numpy(score), torch.from_numpy(truth).long()
        auc = float(binary_auroc(values, target, validate_args=False))
        auprc = float(binary_average_precision(values, target, validate_args=False))
    return {
        "auc": auc,
        "auprc": auprc,
        "sensitivity": _ratio(hits, examples),
        "specificity": _ratio(others - (calls - hits), others),
        "precision": _ratio(hits, calls),
        "f1": _ratio(2 * hits, examples + calls),
    }


def of_a_question(score: Floats, truth: Bools, called: Bools) -> dict[str, float]:
    """Score a yes-or-no question as a whole.

    Args:
        score: Probabilities of yes, shape (N,).
        truth: Whether it is so, shape (N,).
        called: Whether yes was said, shape (N,).

    Returns:
        Accuracy, balanced accuracy and calibration error; NaN where undefined.
    """
    examples = int(truth.sum())
    sensitivity = _ratio(int((truth & called).sum()), examples)
    specificity = _ratio(int((~truth & ~called).sum()), truth.size - examples)
    return {
        "accuracy": _ratio(int((truth == called).sum()), truth.size),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "calibration_error": calibration_error(score, truth),
    }


def calibration_error(
    confidence: Floats,
    correct: Bools,
    bins: int = CALIBRATION_BINS,
) -> float:
    """Mean gap between confidence and frequency over equal bins, weighted by their size.

    It is never negative, so noise only adds to it: its bootstrap intervals lean upwards.

    Args:
        confidence: Probabilities of shape (N,); a bin holds its lower edge, the last one also 1.
        correct: What happened, of shape (N,).
        bins: Number of equal bins between 0 and 1.

    Returns:
        The expected calibration error, between 0 and 1; NaN without images.

    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI
        2015.
    """
    if confidence.size == 0:
        return math.nan
    # torchmetrics gives a confidence of exactly 1 a bin of its own, beyond the last.
    inside = torch.from_numpy(np.minimum(confidence, np.nextafter(1.0, 0.0)))
    happened = torch.from_numpy(correct).long()
    return float(binary_calibration_error(inside, happened, n_bins=bins, validate_args=False))


def quadratic_kappa(
    truth: npt.NDArray[np.int64], called: npt.NDArray[np.int64], classes: int
) -> float:
    """Agreement of ordered classes beyond chance, with squared distances as weights.

    Args:
        truth: Class indices of shape (N,).
        called: Class indices of shape (N,).
        classes: Number of classes.

    Returns:
        Cohen's kappa, at most 1; NaN if truth and calls are all one and the same class, where
        chance leaves nothing to agree on.

    Source: Cohen, "Weighted kappa", Psychological Bulletin 70 (1968).
    """
    if np.all(truth == truth[0]) and np.all(called == truth[0]):
        return math.nan
    pair = torch.from_numpy(called), torch.from_numpy(truth)
    return float(multiclass_cohen_kappa(*pair, classes, weights="quadratic", validate_args=False))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
