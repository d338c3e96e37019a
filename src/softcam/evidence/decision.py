"""From logits to probabilities, calls and contrasts; numpy only, shared by every predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from softcam.evidence.info import Task


def probabilities(logits: npt.ArrayLike, task: Task) -> npt.NDArray[np.float64]:
    """Turn logits into class probabilities.

    Args:
        logits: Array of shape (N, K), in logit units.
        task: Softmax for binary with K = 2, multi-class and ordinal; sigmoid for multi-label and
            for binary with K = 1, whose one logit speaks for the positive (second) class.

    Returns:
        Array of shape (N, C) in float64; C = K except for a one-logit binary model, where the
        columns are (1 - p, p).
    """
    values = np.asarray(logits, dtype=np.float64)
    if task is Task.MULTILABEL:
        return np.asarray(expit(values), dtype=np.float64)
    if values.shape[1] == 1:
        # Both columns from the logit itself: 1 - p would lose the digits of a small 1 - p.
        return np.concatenate([expit(-values), expit(values)], axis=1)
    return np.asarray(softmax(values, axis=1), dtype=np.float64)


def decide(
    class_probabilities: npt.NDArray[np.float64],
    task: Task,
    classes: Sequence[str],
    positive: str | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> npt.NDArray[Any]:
    """Call classes from their probabilities.

    Args:
        class_probabilities: Array of shape (N, C).
        task: A binary task compares the positive class with its threshold (0.5 if none is
            given), multi-label every class with its own; the others take the most probable class.
        classes: C class names in column order.
        positive: The class that a binary task looks for; the second one if None.
        thresholds: Class name to threshold.

    Returns:
        Class indices of shape (N,), int64; for multi-label, booleans of shape (N, C).
    """
    limits = thresholds or {}
    if task is Task.MULTILABEL:
        row = np.array([limits.get(name, 0.5) for name in classes])
        return np.asarray(class_probabilities >= row)
    if task is Task.BINARY:
        index = classes.index(positive) if positive in classes else 1
        called = class_probabilities[:, index] >= limits.get(classes[index], 0.5)
        return np.where(called, index, 1 - index).astype(np.int64)
    return np.asarray(class_probabilities.argmax(axis=1), dtype=np.int64)


def contrast(evidence: npt.NDArray[Any], task: Task | None = None) -> npt.NDArray[Any]:
    """Evidence of each class against the others: what decided under a softmax.

    What is added to every class's map cancels in a softmax, so only differences count.

    Args:
        evidence: Array of shape (..., K, h, w), in logit units.
        task: Multi-label maps are independent and come back as they are.

    Returns:
        Array of the same shape: for K = 1 or multi-label the map itself, for K = 2 own minus
        other, for more the own map minus the mean of the rest.
    """
    count = evidence.shape[-3]
    if count == 1 or task is Task.MULTILABEL:
        return evidence
    total = evidence.sum(axis=-3, keepdims=True)
    return np.asarray((evidence * count - total) / (count - 1))
