"""Is the answer right: classification metrics with intervals from a bootstrap over patients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Indices, Interval, bootstrap
from softcam.evaluation.measures import (
    calibration_error,
    of_a_class,
    of_a_question,
    quadratic_kappa,
)
from softcam.evidence.decision import decide
from softcam.evidence.info import Task

METRIC_NAMES: dict[str, str] = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC (ROC)",
    "auprc": "AUPRC (average precision)",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "kappa": "Quadratic kappa",
    "calibration_error": "Calibration error (ECE)",
}
"""Metric key to what a reader calls it, in the order in which they are shown."""

_CELL = "confusion cell "

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Classification:
    """How well a model classifies a table.

    Attributes:
        task: What the labels mean.
        classes: C class names in column order.
        positive: The class that a binary task looks for; None for the other tasks.
        thresholds: Class name to the probability at or above which it was called.
        intervals: Metric (a key of `METRIC_NAMES`) to its value and interval. Of the positive
            class for a binary task, else the mean over the classes (macro), one against the rest.
        per_class: Class name to the same metrics of that class; empty for a binary task.
        confusion: Counts of shape (C, C), rows are the true class and columns the called one; for
            multi-label (C, 2, 2), one such 2 x 2 table per label over its known images.
        confusion_low: Lower ends of the counts' 95 % intervals, of the same shape; NaN where
            there is no interval.
        confusion_high: Their upper ends.
        absent: Classes that this table has no example (or no counter-example) of; they are left
            out of the means, and their own undefined metrics are NaN.
    """

    task: Task
    classes: tuple[str, ...]
    positive: str | None
    thresholds: Mapping[str, float]
    intervals: dict[str, Interval]
    per_class: dict[str, dict[str, Interval]]
    confusion: npt.NDArray[np.int64]
    confusion_low: Floats
    confusion_high: Floats
    absent: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it; undefined numbers are None."""
        return {
            "task": self.task.value,
            "classes": list(self.classes),
            "positive": self.positive,
            "thresholds": dict(self.thresholds),
            "intervals": {name: value.to_dict() for name, value in self.intervals.items()},
            "per_class": {
                label: {name: value.to_dict() for name, value in metrics.items()}
                for label, metrics in self.per_class.items()
            },
            "confusion": self.confusion.tolist(),
            "confusion_low": _numbers(self.confusion_low),
            "confusion_high": _numbers(self.confusion_high),
            "absent": list(self.absent),
        }


def classification(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    task: Task,
    classes: Sequence[str],
    positive: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    patients: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Classification:
    """Score probabilities against labels.

    Calibration error is the expected calibration error over 15 equal bins: of the positive
    class's probability (binary, multi-label), or of the highest probability against whether that
    class is right (multi-class, ordinal). A ratio with nothing below the line (the precision of a
    class never called, the AUC of a class without examples) is NaN, not 0.

    Args:
        probabilities: Array of shape (N, C), between 0 and 1.
        labels: Class indices of shape (N,); for multi-label 0, 1 or NaN (unknown, left out) of
            shape (N, C).
        task: What the labels mean.
        classes: C class names in column order.
        positive: The class that a binary task looks for; the second one if None.
        thresholds: Class name to the probability at or above which it is called (binary and
            multi-label); 0.5 if not given.
        patients: N patient names; every image its own patient if None.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        The metrics with their 95 % intervals.

    Raises:
        InputError: If shapes do not fit, or probabilities or labels are out of their range.

    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI
        2015 (calibration error); Cohen, "Weighted kappa", Psychological Bulletin 70 (1968).
    """
    scores, truth = checked_answers(probabilities, labels, task, classes)
    who = [str(row) for row in range(len(scores))] if patients is None else list(patients)
    if len(who) != len(scores):
        raise InputError(f"{len(who)} patients for {len(scores)} images; give one per image.")
    looked_for = _positive(task, classes, positive)
    limits = _limits(task, classes, looked_for, thresholds or {})
    called = decide(scores, task, classes, looked_for, limits)
    cases = _Cases.build(task, scores, truth, called)
    # Binary metrics are those of one class; the others are means over the classes that exist here.
    columns = range(len(classes)) if looked_for is None else [classes.index(looked_for)]
    scorable = cases.scorable
    flat = bootstrap(
        lambda rows: _all_scores(cases.take(rows), task, columns, scorable),
        who,
        resamples=resamples,
        seed=seed,
    )
    per_class: dict[str, dict[str, Interval]] = {}
    for key, interval in flat.items():
        metric, of_class, column = key.partition("@")
        if of_class and looked_for is None:
            known = int(cases.known[:, int(column)].sum())
            per_class.setdefault(classes[int(column)], {})[metric] = replace(interval, n=known)
    confusion = cases.confusion(task)
    counts = [flat[f"{_CELL}{number}"] for number in range(confusion.size)]
    return Classification(
        task=task,
        classes=tuple(classes),
        positive=looked_for,
        thresholds=limits,
        intervals={key: flat[key] for key in METRIC_NAMES if key in flat},
        per_class=per_class,
        confusion=confusion,
        confusion_low=np.array([count.low for count in counts]).reshape(confusion.shape),
        confusion_high=np.array([count.high for count in counts]).reshape(confusion.shape),
        absent=tuple(np.asarray(classes, dtype=object)[~scorable].tolist()),
    )


@dataclass(frozen=True)
class _Cases:
    """Images as one question per class: probability, truth and call, each of shape (N, C)."""

    probabilities: Floats
    truth: Bools
    called: Bools
    known: Bools

    @classmethod
    def build(
        cls, task: Task, scores: Floats, truth: npt.NDArray[Any], called: npt.NDArray[Any]
    ) -> _Cases:
        if task is Task.MULTILABEL:
            return cls(scores, truth == 1, called, ~np.isnan(truth))
        index = np.arange(scores.shape[1])
        every = np.ones(scores.shape, dtype=bool)
        return cls(scores, truth[:, None] == index, called[:, None] == index, every)

    def take(self, rows: Indices) -> _Cases:
        return _Cases(
            self.probabilities[rows], self.truth[rows], self.called[rows], self.known[rows]
        )

    @property
    def scorable(self) -> Bools:
        """The classes, (C,), that have both an example and a counter-example."""
        with_example = (self.truth & self.known).any(axis=0)
        return np.asarray(with_example & (~self.truth & self.known).any(axis=0))

    def confusion(self, task: Task) -> npt.NDArray[np.int64]:
        count = self.truth.shape[1]
        if task is not Task.MULTILABEL:
            cell = self.truth.argmax(axis=1) * count + self.called.argmax(axis=1)
            return np.bincount(cell, minlength=count * count).reshape(count, count)
        cells = 2 * self.truth + self.called
        tables = [
            np.bincount(cells[self.known[:, column], column], minlength=4).reshape(2, 2)
            for column in range(count)
        ]
        return np.stack(tables)


def _numbers(values: Floats) -> Any:
    """Give nested lists as JSON knows them; undefined numbers are None."""
    known = [None if math.isnan(value) else value for value in values.ravel().tolist()]
    return np.array(known, dtype=object).reshape(values.shape).tolist()


def _all_scores(
    cases: _Cases, task: Task, columns: Sequence[int], scorable: Bools
) -> dict[str, float]:
    """Score a resample, with the cells of its confusion matrix."""
    cells = enumerate(cases.confusion(task).ravel().tolist())
    return _scores(cases, task, columns, scorable) | {f"{_CELL}{n}": count for n, count in cells}


def _scores(cases: _Cases, task: Task, columns: Sequence[int], scorable: Bools) -> dict[str, float]:
    """Score a resample: ``metric`` overall and ``metric@column`` for each class."""
    single = task in (Task.BINARY, Task.MULTILABEL)
    of_column = {}
    for column in columns:
        known = cases.known[:, column]
        question = (
            cases.probabilities[known, column],
            cases.truth[known, column],
            cases.called[known, column],
        )
        of_column[column] = of_a_class(*question) | (of_a_question(*question) if single else {})
    used = [c for c in columns if scorable[c]] if task is not Task.BINARY else list(columns)
    result = {
        name: float(np.mean([of_column[c][name] for c in used])) if used else math.nan
        for name in next(iter(of_column.values()))
    }
    if not single:
        correct = np.asarray((cases.truth & cases.called).any(axis=1))
        result["accuracy"] = float(correct.mean())
        result["balanced_accuracy"] = result["sensitivity"]
        result["calibration_error"] = calibration_error(cases.probabilities.max(axis=1), correct)
    if task is Task.ORDINAL:
        result["kappa"] = quadratic_kappa(
            cases.truth.argmax(axis=1), cases.called.argmax(axis=1), cases.truth.shape[1]
        )
    for column, scores in of_column.items():
        result |= {f"{name}@{column}": value for name, value in scores.items()}
    return result


def _positive(task: Task, classes: Sequence[str], positive: str | None) -> str | None:
    if task is not Task.BINARY:
        return None
    if positive is not None and positive not in classes:
        raise InputError(f"The positive class {positive!r} is not one of {', '.join(classes)}.")
    return positive or classes[1]


def _limits(
    task: Task, classes: Sequence[str], positive: str | None, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """Give the thresholds that decide under this task, with 0.5 where none was given."""
    unknown = [name for name in thresholds if name not in classes]
    if unknown:
        raise InputError(f"Threshold for {unknown[0]!r}, which is not one of {', '.join(classes)}.")
    if task is Task.MULTILABEL:
        return {name: float(thresholds.get(name, 0.5)) for name in classes}
    return {positive: float(thresholds.get(positive, 0.5))} if positive is not None else {}


def checked_answers(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, task: Task, classes: Sequence[str]
) -> tuple[Floats, npt.NDArray[Any]]:
    """Check what is to be scored.

    Args:
        probabilities: As in `classification`.
        labels: As in `classification`.
        task: As in `classification`.
        classes: As in `classification`.

    Returns:
        Probabilities within 0..1, and labels: class indices, or floats for multi-label.

    Raises:
        InputError: If shapes do not fit, or probabilities or labels are out of their range.
    """
    scores, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    count = len(classes)
    if scores.ndim != 2 or scores.shape[1] != count or len(scores) == 0:
        raise InputError(
            f"Probabilities of shape {scores.shape}; they must be (images, {count}) "
            f"for the classes {', '.join(classes)}, with at least one image."
        )
    if task is Task.BINARY and count != 2:
        raise InputError(f"A binary task has two classes, not {count} ({', '.join(classes)}).")
    # A softmax in float32 may end a hair above 1, which torchmetrics would take for a logit.
    wrong = ~((scores >= -1e-6) & (scores <= 1 + 1e-6)).all(axis=1)
    if wrong.any():
        raise InputError(
            f"Probabilities of image {int(wrong.argmax())} (counted from 0) are not between "
            "0 and 1; give probabilities, not logits."
        )
    shape = scores.shape if task is Task.MULTILABEL else scores.shape[:1]
    if truth.shape != shape:
        raise InputError(f"Labels of shape {truth.shape}; a {task.value} task needs {shape}.")
    if task is Task.MULTILABEL:
        truth = truth.astype(np.float64)
        outside = ~(np.isnan(truth) | (truth == 0) | (truth == 1)).all(axis=1)
        allowed = "0, 1 or NaN (unknown)"
    else:
        if not np.issubdtype(truth.dtype, np.integer):
            raise InputError(f"Labels are {truth.dtype}; give class indices as integers.")
        outside = (truth < 0) | (truth >= count)
        allowed = f"class indices from 0 to {count - 1}"
    if outside.any():
        raise InputError(
            f"The label of image {int(outside.argmax())} (counted from 0) is "
            f"{truth[outside.argmax()]}; labels are {allowed}."
        )
    return np.clip(scores, 0, 1), truth
