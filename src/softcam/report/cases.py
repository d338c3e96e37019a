"""Which images a report shows: chosen by stated rules, never by their looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evidence.info import Task

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Case:
    """One image to show.

    Attributes:
        index: Its row among the images.
        class_index: The class that the case is about, whose map is to be drawn.
    """

    index: int
    class_index: int


@dataclass(frozen=True)
class CaseGroup:
    """Images that one rule chose.

    Attributes:
        title: What they have in common, in a few words.
        rule: The rule, in a sentence for the reader.
        cases: The images, in the rule's order; empty if none fits.
    """

    title: str
    rule: str
    cases: tuple[Case, ...]


def choose_cases(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    calls: npt.ArrayLike,
    k: int = 2,
    *,
    task: Task,
    classes: Sequence[str],
    positive: str | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> list[CaseGroup]:
    """Choose images by rule: confident and right, confident and wrong, and undecided ones.

    Binary tasks give true and false positives and negatives and the images nearest the threshold;
    multi-label tasks the same over all known pairs of image and label; the others the most
    confident right call of each class, the most confident wrong calls and the closest calls.
    Among equal ones the first row goes first. No image is shown twice, except under another label.

    Args:
        probabilities: Shape (N, C), between 0 and 1.
        labels: Class indices of shape (N,), or 0, 1 and NaN of shape (N, C) for multi-label.
        calls: What the model said: class indices of shape (N,), or booleans of shape (N, C).
        k: Most images that a rule chooses.
        task: What the labels mean.
        classes: C class names in column order.
        positive: The class that a binary task looks for; the second one if None.
        thresholds: Class name to the probability from which it is called; 0.5 if not given.

    Returns:
        One group per rule, also where no image fits.

    Raises:
        InputError: If the shapes do not fit or k is below 1.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth, said = np.asarray(labels), np.asarray(calls)
    shape = scores.shape if task is Task.MULTILABEL else scores.shape[:1]
    fits = scores.ndim == 2 and scores.shape[1] == len(classes)
    if not fits or truth.shape != shape or said.shape != shape:
        raise InputError(
            f"Probabilities of shape {scores.shape}, labels {truth.shape} and calls {said.shape} "
            f"do not fit a {task.value} task with {len(classes)} classes."
        )
    if k < 1:
        raise InputError(f"k is {k}; show at least 1 case per rule.")
    limits = thresholds or {}
    if task is Task.BINARY:
        column = classes.index(positive) if positive in classes else 1
        name = classes[column]
        question = _Questions(
            scores[:, column],
            truth == column,
            said == column,
            np.full(len(scores), limits.get(name, 0.5)),
            [Case(row, column) for row in range(len(scores))],
        )
        return question.groups(k, name, classes[1 - column])
    if task is Task.MULTILABEL:
        rows, columns = np.nonzero(~np.isnan(truth))
        question = _Questions(
            scores[rows, columns],
            truth[rows, columns] == 1,
            said[rows, columns].astype(bool),
            np.array([limits.get(name, 0.5) for name in classes])[columns],
            [Case(int(r), int(c)) for r, c in zip(rows, columns, strict=True)],
        )
        return question.groups(k, "a label", "no such label")
    return _of_several_classes(scores, truth, said, k, classes)


@dataclass(frozen=True)
class _Questions:
    """Yes-or-no questions: how probable yes is, what is true, what was said, from where on."""

    score: Floats
    truth: Bools
    said: Bools
    limit: Floats
    cases: list[Case]

    def groups(self, k: int, yes: str, no: str) -> list[CaseGroup]:
        chosen: set[Case] = set()
        kinds = (
            (f"Rightly called {yes}", self.truth & self.said, -self.score, "highest"),
            (f"Rightly called {no}", ~self.truth & ~self.said, self.score, "lowest"),
            (f"Wrongly called {yes}", ~self.truth & self.said, -self.score, "highest"),
            (f"Wrongly called {no}", self.truth & ~self.said, self.score, "lowest"),
        )
        found = []
        for title, fits, order, end in kinds:
            picked = _first(fits, order, self.cases, k, chosen)
            found.append(CaseGroup(title, f"The {end} probability of {yes} among them.", picked))
        distance = np.abs(self.score - self.limit)
        picked = _first(np.ones_like(self.said), distance, self.cases, k, chosen)
        rule = "The probability nearest the threshold, among the images not shown above."
        return [*found, CaseGroup("Undecided", rule, picked)]


def _of_several_classes(
    scores: Floats, truth: npt.NDArray[Any], said: npt.NDArray[Any], k: int, classes: Sequence[str]
) -> list[CaseGroup]:
    rows = np.arange(len(scores))
    cases = [Case(row, int(call)) for row, call in enumerate(said)]
    confidence = scores[rows, said]
    chosen: set[Case] = set()
    found = []
    for column, name in enumerate(classes):
        fits = (truth == column) & (said == column)
        rule = f"The highest probability of {name} among them."
        picked = _first(fits, -confidence, cases, k, chosen)
        found.append(CaseGroup(f"Rightly called {name}", rule, picked))
    rule = "The highest probability of the called class among all wrong calls."
    picked = _first(truth != said, -confidence, cases, k, chosen)
    found.append(CaseGroup("Wrongly called", rule, picked))
    ranked = np.sort(scores, axis=1)
    lead = ranked[:, -1] - ranked[:, -2]
    rule = "The smallest lead of the first class over the second, among the images not shown above."
    picked = _first(np.ones_like(truth, dtype=bool), lead, cases, k, chosen)
    return [*found, CaseGroup("Undecided", rule, picked)]


def _first(
    fits: npt.NDArray[np.bool_], order: Floats, cases: list[Case], k: int, chosen: set[Case]
) -> tuple[Case, ...]:
    """Take the k first by `order` that fit and were not chosen before; ties by position."""
    ranked = (cases[i] for i in np.argsort(order, kind="stable") if fits[i])
    picked = [case for case in ranked if case not in chosen][:k]
    chosen.update(picked)
    return tuple(picked)
