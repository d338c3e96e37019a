"""What a sweep found, ready to be written and drawn: plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from softcam.evaluation.bootstrap import Interval

Kind = Literal["black box", "dense", "penalty", "variant", "plain"]

AUC = "auc"

NAMES: dict[str, str] = {
    AUC: "AUC",
    "accuracy": "Accuracy",
    "kappa": "Quadratic kappa",
    "deletion_gain": "Deletion gain",
    "deletion_auc": "Deletion area",
    "activation_precision": "Activation precision",
    "activation_sensitivity": "Activation sensitivity",
    "pointing_game": "Pointing game",
    "gini": "Gini index",
    "area_above_half": "Area above half",
}
"""Measure to what a reader calls it, in the order shown."""

MEANINGS: dict[str, str] = {
    "deletion_gain": "How much further the class's score falls when the patches that the map ranks "
    "highest are removed, one after the other, than when they go in random order: the mean over "
    "the curve, in standard deviations of that score over the images. Above 0 the map names what "
    "the model decides by; no annotation is used, and the scale of the logits does not matter.",
    "deletion_auc": "Area under the confidence, as a share of the untouched image's, while the "
    "patches that the map ranks highest are removed. Lower is better, but a model may lose "
    "confidence whatever is removed.",
    "activation_precision": "Share of the positive evidence that lies on annotated lesions.",
    "activation_sensitivity": "Mean of the map on the lesions, its maximum being 1.",
    "pointing_game": "Share of the images whose map is highest on a lesion.",
    "gini": "How unequally a map's magnitudes are shared out: 0 evenly, near 1 sparse.",
    "area_above_half": "Share of the image where the map reaches half its maximum.",
}
"""Measure to what it is."""

ANNOTATED = ("activation_precision", "activation_sensitivity", "pointing_game")
"""Measures that look at annotations."""


@dataclass(frozen=True)
class Figure:
    """One measure of one recipe on one split.

    Attributes:
        mean: Mean over the seeds, with a 95 % interval over patients (for these seeds).
        each: One value for each seed.
        difference: Recipe minus twin, seed by seed on the same patients; None for the twin.
        p: Two-sided p-value of that difference; NaN without one.
        adjusted: The same after Holm's correction over the table.
    """

    mean: Interval
    each: tuple[float, ...]
    difference: Interval | None = None
    p: float = math.nan
    adjusted: float = math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; NaN for one."""
        known = [value for value in self.each if not math.isnan(value)]
        if len(known) < 2:
            return math.nan
        mean = math.fsum(known) / len(known)
        return math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))


@dataclass(frozen=True)
class Row:
    """One recipe.

    Attributes:
        name: What it is called.
        kind: The black-box twin, the dense model, a penalty, a variant, or its plain twin.
        family: "base", or the variant to whose curve it belongs.
        l1: Weight of the sparse penalty.
        l2: Weight of the smooth penalty.
        seeds: The seeds that were trained to the end.
        changes: Settings that differ from the dense model's.
        val: Measure to figure on the validation images, which decided.
        test: Measure to figure on the test images, taken after the choice; empty without any.
        within: Whether its validation AUC is close enough to the twin's.
        chosen: Whether it was chosen.
    """

    name: str
    kind: Kind
    family: str
    l1: float
    l2: float
    seeds: tuple[int, ...]
    changes: Mapping[str, Any]
    val: Mapping[str, Figure]
    test: Mapping[str, Figure] = field(default_factory=dict)
    within: bool = False
    chosen: bool = False


@dataclass(frozen=True)
class SweepResult:
    """All that a sweep found.

    Attributes:
        rows: One per recipe that has a finished run, the twin first.
        rule: How was chosen, in words.
        why: What that gave, in words; empty where nothing could be chosen.
        qualified: Whether the chosen recipe is close enough to the twin.
        floor: The validation AUC that it takes.
        seed: The seed of the chosen recipe whose model stands for it; None without a choice.
        select_by: "deletion" or "localisation".
        maps: "own" or "contrast".
        failures: Runs that were not finished, with the reason, a sentence each.
        notes: What else a reader must know, a sentence each.
        counts: What was counted: images and patients of each split.
        settings: The sweep's settings.
        seconds: Seconds of training, by recipe, summed over its seeds.
    """

    rows: tuple[Row, ...]
    rule: str
    why: str
    qualified: bool
    floor: float
    seed: int | None
    select_by: Literal["deletion", "localisation"]
    maps: Literal["own", "contrast"]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def chosen(self) -> Row | None:
        """The chosen recipe."""
        return next((row for row in self.rows if row.chosen), None)

    @property
    def twin(self) -> Row | None:
        """The black-box twin."""
        return next((row for row in self.rows if row.kind == "black box"), None)

    @property
    def score(self) -> str:
        """The measure that the explanation was chosen by."""
        return "deletion_gain" if self.select_by == "deletion" else "activation_precision"
