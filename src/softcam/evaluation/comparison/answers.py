"""What several models answered about the same images, and its measures under weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evaluation.classification import METRIC_NAMES, checked_answers
from softcam.evaluation.comparison import weighted
from softcam.evidence.info import Task

COMPARED_NAMES: dict[str, str] = {**METRIC_NAMES, "loss": "Log loss"}
"""Measure key to what a reader calls it, in the order shown."""

LOWER_IS_BETTER = frozenset({"calibration_error", "loss"})

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """What M models said of the same N images with C classes.

    Attributes:
        task: What the labels mean.
        classes: C class names in column order.
        positive: The class that a binary task looks for; None for the other tasks.
        labels: Class indices of shape (N,); for multi-label 0, 1 or NaN (unknown), (N, C).
        probabilities: Shape (M, N, C).
        calls: Called class indices (M, N); for multi-label booleans (M, N, C).
        losses: Log loss of every image, (M, N); from the probabilities if None.

    Raises:
        InputError: If shapes do not fit, or values are out of their range.
    """

    task: Task
    classes: tuple[str, ...]
    positive: str | None
    labels: npt.NDArray[Any]
    probabilities: Floats
    calls: npt.NDArray[Any]
    losses: Floats | None = None

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 3 or len(self.probabilities) == 0:
            raise InputError(
                f"Probabilities of shape {self.probabilities.shape}; give (models, images, "
                "classes), with at least one model."
            )
        for scores in self.probabilities:
            checked_answers(scores, self.labels, self.task, self.classes)
        shape = self.probabilities.shape
        wanted = shape if self.task is Task.MULTILABEL else shape[:2]
        if self.calls.shape != wanted:
            raise InputError(f"Calls of shape {self.calls.shape}; they must be {wanted}.")
        if self.losses is not None and self.losses.shape != shape[:2]:
            raise InputError(f"Losses of shape {self.losses.shape}; they must be {shape[:2]}.")
        if self.task is Task.BINARY and self.positive not in self.classes:
            raise InputError(
                f"The positive class {self.positive!r} is not one of {', '.join(self.classes)}."
            )

    @property
    def models(self) -> int:
        """Number of models."""
        return len(self.probabilities)

    @cached_property
    def truth(self) -> Bools:
        """Whether each image is of each class, (N, C); False where unknown."""
        if self.task is Task.MULTILABEL:
            return np.asarray(self.labels == 1)
        return np.asarray(self.labels[:, None] == np.arange(len(self.classes)))

    @cached_property
    def known(self) -> Bools:
        """Whether that is known, (N, C)."""
        if self.task is Task.MULTILABEL:
            return np.asarray(~np.isnan(self.labels))
        return np.ones(self.truth.shape, dtype=bool)

    @cached_property
    def columns(self) -> list[int]:
        """The classes that measures are averaged over: the positive, or all that can be scored."""
        if self.task is Task.BINARY and self.positive is not None:
            return [self.classes.index(self.positive)]
        examples = (self.truth & self.known).any(axis=0)
        others = (~self.truth & self.known).any(axis=0)
        return [int(column) for column in np.flatnonzero(examples & others)]

    @cached_property
    def _rankings(self) -> list[list[weighted.Ranking]]:
        return [
            [
                weighted.Ranking(scores[:, column], self.truth[:, column], self.known[:, column])
                for column in self.columns
            ]
            for scores in self.probabilities
        ]

    def _called(self, model: int) -> Bools:
        """Whether each class was called, (N, C)."""
        if self.task is Task.MULTILABEL:
            return np.asarray(self.calls[model], dtype=bool)
        return np.asarray(self.calls[model][:, None] == np.arange(len(self.classes)))

    @cached_property
    def image_losses(self) -> Floats:
        """Log loss of every image, (M, N): of the true class, or the mean over known labels."""
        if self.losses is not None:
            return self.losses
        least = np.finfo(np.float64).tiny
        right = np.where(self.truth, self.probabilities, 1 - self.probabilities)
        surprise = -np.log(np.maximum(right, least))
        if self.task is not Task.MULTILABEL:
            return np.asarray((surprise * self.truth).sum(axis=2))
        known = self.known.sum(axis=1)
        total = (surprise * self.known).sum(axis=2)
        return np.asarray(
            np.divide(total, known, out=np.full(total.shape, np.nan), where=known > 0)
        )

    def measures(self) -> list[str]:
        """Give the keys of `COMPARED_NAMES` that this task has."""
        return [k for k in COMPARED_NAMES if k != "kappa" or self.task is Task.ORDINAL]

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Measure every model under weights; the definitions are those of `classification`.

        Args:
            weights: Shape (R, N): how often each image counts in each resample.

        Returns:
            Measure to values of shape (R, M), NaN where undefined.
        """
        each = [self._scores(model, weights) for model in range(self.models)]
        return {key: np.stack([one[key] for one in each], axis=1) for key in self.measures()}

    def _scores(self, model: int, weights: Floats) -> dict[str, Floats]:
        scores, called = self.probabilities[model], self._called(model)
        of_columns = []
        for column, ranking in zip(self.columns, self._rankings[model], strict=True):
            truth, known = self.truth[:, column], self.known[:, column]
            found = weighted.counted(truth, called[:, column], known, weights)
            found["auc"], found["auprc"] = ranking.areas(weights)
            if self.task in (Task.BINARY, Task.MULTILABEL):
                found["calibration_error"] = weighted.calibration_error(
                    scores[:, column], truth, known, weights
                )
            of_columns.append(found)
        undefined = np.full(len(weights), np.nan)
        result = {
            key: np.mean([found[key] for found in of_columns], axis=0) if of_columns else undefined
            for key in (of_columns[0] if of_columns else self.measures())
        }
        losses: Floats = np.asarray(self.image_losses[model])
        result["loss"] = weighted.mean(losses, ~np.isnan(losses), weights)
        if self.task in (Task.BINARY, Task.MULTILABEL):
            return result
        every = np.ones(len(scores), dtype=bool)
        right = np.asarray((self.truth & called).any(axis=1))
        result["accuracy"] = weighted.mean(right.astype(np.float64), every, weights)
        result["balanced_accuracy"] = result["sensitivity"]
        result["calibration_error"] = weighted.calibration_error(
            scores.max(axis=1), right, every, weights
        )
        if self.task is Task.ORDINAL:
            result["kappa"] = weighted.quadratic_kappa(
                self.labels.astype(np.int64),
                self.calls[model].astype(np.int64),
                len(self.classes),
                weights,
            )
        return result


def log_losses(logits: Floats, labels: npt.NDArray[Any], task: Task) -> Floats:
    """Log loss of every image from logits, which keep what a probability near 1 has lost.

    Args:
        logits: Shape (N, K).
        labels: As in `Answers`.
        task: What the labels mean.

    Returns:
        Shape (N,): of the true class, or the mean over known labels (NaN without any).
    """
    if task is Task.MULTILABEL:
        known = ~np.isnan(labels)
        surprise = np.logaddexp(0, np.where(labels == 1, -logits, logits))
        total, count = np.where(known, surprise, 0.0).sum(axis=1), known.sum(axis=1)
        return np.asarray(
            np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        )
    if logits.shape[1] == 1:  # speaks for the second class
        return np.asarray(np.logaddexp(0, np.where(labels == 1, -logits[:, 0], logits[:, 0])))
    own = np.take_along_axis(logits, labels[:, None].astype(np.intp), axis=1)[:, 0]
    return np.asarray(np.logaddexp.reduce(logits, axis=1) - own)


def stack_answers(
    task: Task,
    classes: Sequence[str],
    positive: str | None,
    labels: npt.ArrayLike,
    probabilities: Sequence[npt.ArrayLike],
    calls: Sequence[npt.ArrayLike],
    losses: Sequence[npt.ArrayLike] | None = None,
) -> Answers:
    """Put the answers of several models together; see `Answers`.

    Args:
        task: What the labels mean.
        classes: C class names in column order.
        positive: The class that a binary task looks for; the second one if None.
        labels: As in `Answers`.
        probabilities: One array (N, C) per model.
        calls: One array (N,) or (N, C) per model.
        losses: One array (N,) per model; None for those of the probabilities.

    Returns:
        The answers.

    Raises:
        InputError: If the models answered about different numbers of images, or as `Answers`.
    """
    for what, given in (("probabilities", probabilities), ("calls", calls)):
        shapes = {np.shape(one) for one in given}
        if len(shapes) != 1:
            listed = " and ".join(map(str, sorted(shapes))) or "none"
            raise InputError(
                f"The models' {what} have different shapes ({listed}); give the same images."
            )
    return Answers(
        task,
        tuple(classes),
        (positive or classes[1]) if task is Task.BINARY else None,
        np.asarray(labels),
        np.stack([np.asarray(one, dtype=np.float64) for one in probabilities]),
        np.stack([np.asarray(one) for one in calls]),
        None if losses is None else np.stack([np.asarray(one, np.float64) for one in losses]),
    )
