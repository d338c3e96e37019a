"""Decision thresholds, chosen on the validation set and stored in the model file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.evidence.info import Task


def youden_threshold(
    scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]
) -> float | None:
    """Choose the threshold with the highest sensitivity + specificity - 1.

    Source: Youden, "Index for rating diagnostic tests", Cancer 1950.

    Args:
        scores: Probabilities of shape (N,).
        positive: Truth of shape (N,).

    Returns:
        The middle between two neighbouring scores, so that small numerical differences change
        no call; of several equally good thresholds the one nearest 0.5. None when one of the
        classes is missing.
    """
    total = int(positive.sum())
    if total in (0, len(positive)):
        return None
    order = np.argsort(scores, kind="stable")
    values, truth = scores[order], positive[order]
    cuts = np.flatnonzero(np.diff(values) > 0) + 1  # cases from `cut` on are called positive
    if len(cuts) == 0:
        return 0.5
    missed = np.cumsum(truth)[cuts - 1]
    spared = cuts - missed
    index = (total - missed) / total + spared / (len(positive) - total) - 1
    middles = (values[cuts - 1] + values[cuts]) / 2
    best = np.flatnonzero(index >= index.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def choose_thresholds(
    probabilities: npt.NDArray[np.float64],
    labels: npt.NDArray[Any],
    task: Task,
    classes: Sequence[str],
) -> dict[str, float]:
    """Choose the thresholds of a task.

    Args:
        probabilities: Shape (N, C), of the validation images.
        labels: Class indices (N,), or 0/1/NaN of shape (N, C) for multi-label.
        task: Binary gets one for the positive (second) class, multi-label one per class; the
            others take the most probable class and need none.
        classes: C class names.

    Returns:
        Class name to threshold; 0.5 where validation has only one kind of example.
    """
    if task is Task.BINARY:
        found = youden_threshold(probabilities[:, 1], labels == 1)
        return {classes[1]: 0.5 if found is None else found}
    if task is not Task.MULTILABEL:
        return {}
    chosen = {}
    for column, name in enumerate(classes):
        known = ~np.isnan(labels[:, column])
        found = youden_threshold(probabilities[known, column], labels[known, column] == 1)
        chosen[name] = 0.5 if found is None else found
    return chosen
