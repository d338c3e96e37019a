"""What a reproduction found, ready to be written and drawn: plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.result import Method
from softcam.report.sweep.content import Figure

BLACK_BOX = "black-box"

ROLES: Mapping[str, str] = {
    BLACK_BOX: "Black box",
    "dense": "Dense SoftCAM",
    "sparse": "Sparse SoftCAM (l1)",
    "smooth": "Smooth SoftCAM (l2)",
    "elastic": "ElasticNet SoftCAM",
}
"""The ways to train, in the order of the tables, and what these call them."""

ANSWERED: Mapping[str, str] = {"auc": "AUC", "accuracy": "Accuracy", "kappa": "Quadratic kappa"}
"""Measures of the answers that the paper reports, and their names."""


@dataclass(frozen=True)
class Published:
    """A published figure.

    Attributes:
        value: The figure.
        source: Where it was read: a key of the sources; empty if nobody said.
    """

    value: float
    source: str = ""


@dataclass(frozen=True)
class Line:
    """A curve of one method.

    Attributes:
        method: The method.
        mean: One value for each point, NaN where undefined.
        low: Lower end of its 95 % band.
        high: Upper end.
    """

    method: Method
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Lines:
    """The same curve of all methods.

    Attributes:
        key: What it is, such as "topk_per_image".
        title: Heading.
        x_label: Of the axis.
        y_label: Of the axis.
        x: The points.
        lines: One for each method.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Explained:
    """What the explanation benchmark found for the models of one seed.

    Attributes:
        seed: The seed.
        means: Method to measure to its mean over cases, with a 95 % interval over patients.
        floors: Methods that know nothing of the model.
        curves: Curves of all methods.
        counts: Images, patients, annotated.
        page: The benchmark's own page, relative to the reproduction's folder.
        skipped: What could not be explained, a sentence each.
    """

    seed: int
    means: Mapping[Method, Mapping[str, Interval]]
    floors: frozenset[Method]
    curves: tuple[Lines, ...]
    counts: Mapping[str, int]
    page: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One task with one backbone.

    Attributes:
        key: Its folder, such as "onset1-resnet50".
        task: The task's name.
        task_label: What tables call it.
        model: The backbone's name in files of published figures.
        model_label: What tables call it.
        measured: Role to measure to figure; on the test images where there are any.
        split: Which images those are.
        penalties: Role to its weights (l1, l2).
        penalty_source: Where the weights come from.
        explained: One for each seed whose models could be explained.
        published: (role or method, measure) to the published figure.
    """

    key: str
    task: str
    task_label: str
    model: str
    model_label: str
    measured: Mapping[str, Mapping[str, Figure]]
    split: str
    penalties: Mapping[str, tuple[float, float]]
    penalty_source: str = ""
    explained: tuple[Explained, ...] = ()
    published: Mapping[tuple[str, str], Published] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.task_label}, {self.model_label}"

    def methods(self) -> list[Method]:
        """The methods that every seed has, in order."""
        if not self.explained:
            return []
        first, *others = self.explained
        return [method for method in first.means if all(method in o.means for o in others)]

    def explanation(self, method: Method, measure: str) -> tuple[Interval, float]:
        """Average a measure of a method over seeds.

        Returns:
            The mean and, for several seeds, their standard deviation (else NaN). The interval is
            over patients where there is one seed, and undefined where there are several.
        """
        nothing = Interval(math.nan, math.nan, math.nan, 0, 0)
        found = [one.means[method].get(measure, nothing) for one in self.explained]
        if len(found) == 1:
            return found[0], math.nan
        values = [one.value for one in found if not math.isnan(one.value)]
        if not values:
            return nothing, math.nan
        mean = math.fsum(values) / len(values)
        spread = math.nan
        if len(values) > 1:
            squares = math.fsum((value - mean) ** 2 for value in values)
            spread = math.sqrt(squares / (len(values) - 1))
        return Interval(mean, math.nan, math.nan, found[0].n, 0), spread


@dataclass(frozen=True)
class Reproduction:
    """All that a reproduction found.

    Attributes:
        data_set: The data set's name.
        title: Its title.
        parts: One for each task and backbone.
        sources: Key to where published figures were read.
        cost: The estimate, as plain values.
        notes: What a reader must know, a sentence each.
        failures: What was not finished, a sentence each.
        counts: Task to split to images and patients.
        settings: All settings.
        inputs: Name of a file to its SHA-256.
        seconds: Seconds of training that the runs took.
    """

    data_set: str
    title: str
    parts: tuple[Part, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def role_of(method: Method) -> str:
    """Give what a row of the benchmark is called in files of published figures.

    A SoftCAM's own evidence is its role ("sparse"); another method is its name ("grad-cam").
    """
    if method.name != "evidence":
        return method.name
    return next((role for role, name in ROLES.items() if name == method.subject), "dense")
