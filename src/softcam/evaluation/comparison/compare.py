"""Models against a reference: every measure, its difference, and how sure the difference is.

The standard error of a model's AUC, and its difference to another's with an interval:

    auc, *_ = compare_answers(answers, patients, measures=["auc"], reference=0)
    auc.errors[1], auc.differences[1], auc.p[1], auc.cross_check.p[1]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.comparison.answers import COMPARED_NAMES, Answers
from softcam.evaluation.comparison.delong import DeLong, delong
from softcam.evaluation.comparison.holm import holm
from softcam.evaluation.comparison.resampled import (
    Resampled,
    draw_members,
    resample,
    resample_means,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """One measure over the training seeds of a group.

    Attributes:
        mean: Mean over the seeds; NaN if it is undefined for one.
        sd: Standard deviation over the seeds, dividing by S - 1; NaN for one seed.
        low: Smallest.
        high: Largest.
        seeds: S, how many.
        undefined: Seeds for which the measure is undefined.
    """

    mean: float
    sd: float
    low: float
    high: float
    seeds: int
    undefined: int = 0

    @classmethod
    def of(cls, values: Floats) -> Spread:
        """Summarise one measure of S seeds, shape (S,)."""
        undefined = int(np.isnan(values).sum())
        if undefined or values.size == 0:
            return cls(math.nan, math.nan, math.nan, math.nan, values.size, undefined)
        sd = float(values.std(ddof=1)) if values.size > 1 else math.nan
        return cls(float(values.mean()), sd, float(values.min()), float(values.max()), values.size)


@dataclass(frozen=True)
class Compared:
    """One measure of G groups of models on the same images, each with its seeds.

    Attributes:
        key: The measure, such as a key of `COMPARED_NAMES`.
        values: Mean over a group's seeds on all images, with its interval over patients.
        errors: Standard errors of the values over patients, (G,).
        spreads: The measure over each group's seeds.
        differences: Each value minus the reference's, paired by patient; the reference's own is
            exactly 0.
        difference_errors: Standard errors of the differences, (G,).
        p: Two-sided bootstrap p-values of no difference, (G,); NaN for the reference itself and
            where undefined.
        adjusted: The same after Holm's correction over the table; NaN before it.
        cross_check: DeLong's test, for the AUC only.
    """

    key: str
    values: tuple[Interval, ...]
    errors: Floats
    spreads: tuple[Spread, ...]
    differences: tuple[Interval, ...]
    difference_errors: Floats
    p: Floats
    adjusted: Floats = field(default_factory=lambda: np.empty(0))
    cross_check: DeLong | None = None


def compare_answers(
    answers: Answers,
    patients: Sequence[str],
    *,
    measures: Sequence[str] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    seeds: Sequence[Sequence[int]] | None = None,
    reference: int = 0,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Compared]:
    """Compare models by what they answered about the same images.

    Patients are resampled, and all models are measured on the same resamples. A group of models
    (the same settings trained with several seeds) has the mean of its members' measures, on each
    resample too.

    Args:
        answers: What the models said.
        patients: N patient names.
        measures: Keys of `COMPARED_NAMES`; all that the task has if None.
        groups: Columns of each group; every model on its own if None.
        seeds: The training seeds of each group's members, to be drawn with replacement as well, so
            that intervals hold for other seeds too; None holds the members fixed.
        reference: The group that the others are compared with.
        resamples: Number of resamples.
        seed: Seed of the draws.
        level: Coverage of the intervals.

    Returns:
        One per measure, with Holm's correction over all of them.

    Raises:
        InputError: If an argument does not fit.
    """
    wanted = _wanted(measures, answers.measures())
    if len(patients) != len(answers.labels):
        raise InputError(
            f"{len(patients)} patients for {len(answers.labels)} images; give one per image."
        )
    members = _members(groups, answers.models, reference)
    losses = answers.image_losses
    known = np.full(answers.models, len(patients))
    counts = dict.fromkeys(answers.measures(), known)
    counts["loss"] = (~np.isnan(losses)).sum(axis=1)
    found = resample(answers.scores, patients, n=counts, resamples=resamples, seed=seed)
    check = None
    if "auc" in wanted and answers.columns:
        check = delong(
            answers.probabilities[..., answers.columns],
            answers.truth[:, answers.columns],
            known=answers.known[:, answers.columns],
            patients=patients,
            groups=members,
            reference=reference,
        )
    compared = [
        _compared(key, found[key], members, seeds, reference, seed, level) for key in wanted
    ]
    return adjusted(
        replace(one, cross_check=check) if one.key == "auc" else one for one in compared
    )


def compare_means(
    values: Floats,
    patients: Sequence[str],
    *,
    key: str = "mean",
    groups: Sequence[Sequence[int]] | None = None,
    seeds: Sequence[Sequence[int]] | None = None,
    reference: int = 0,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Compared:
    """Compare models by a value that every image has, such as the precision of its map.

    Args:
        values: Shape (N, M), NaN where undefined. Images that not all models define are left out;
            each value's `n` counts the others.
        patients: N patient names.
        key: What the measure is called.
        groups: As in `compare_answers`: the seeds' values are averaged, image by image.
        seeds: As in `compare_answers`.
        reference: The group that the others are compared with.
        resamples: Number of resamples.
        seed: Seed of the draws.
        level: Coverage of the intervals.

    Returns:
        Means and their differences; for a table of several, give them to `adjusted`.

    Raises:
        InputError: If an argument does not fit.

    Example:
        >>> values = np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]])
        >>> found = compare_means(values, ["a", "b", "c"], resamples=50)
        >>> round(found.differences[1].value, 3), round(float(found.p[1]), 3)
        (0.3, 0.039)
    """
    means = resample_means(values, patients, resamples=resamples, seed=seed)
    members = _members(groups, values.shape[1], reference)
    return _compared(key, means, members, seeds, reference, seed, level)


def adjusted(compared: Iterable[Compared]) -> list[Compared]:
    """Correct the p-values of a whole table by Holm's method.

    Args:
        compared: All measures of the table; what is undefined, and the reference's own, does not
            count as a comparison.

    Returns:
        The same with `adjusted` filled.
    """
    table = list(compared)
    corrected = holm(np.concatenate([one.p for one in table]) if table else np.empty(0))
    ends = np.cumsum([one.p.size for one in table])[:-1]
    parts = np.split(corrected, ends) if table else []
    return [replace(one, adjusted=part) for one, part in zip(table, parts, strict=True)]


def _compared(
    key: str,
    found: Resampled,
    members: list[list[int]],
    seeds: Sequence[Sequence[int]] | None,
    reference: int,
    seed: int,
    level: float,
) -> Compared:
    drawn = None
    if seeds is not None:
        if [len(group) for group in seeds] != [len(group) for group in members]:
            raise InputError("seeds: give one seed for each member of each group.")
        drawn = draw_members(seeds, len(found.drawn), seed)
    means = found.averaged(members, drawn)
    gaps = means.minus(reference)
    p = gaps.p_values()
    p[reference] = np.nan
    return Compared(
        key=key,
        values=means.intervals(level),
        errors=means.errors(),
        spreads=tuple(Spread.of(found.values[group]) for group in members),
        differences=gaps.intervals(level),
        difference_errors=gaps.errors(),
        p=p,
        adjusted=np.full(p.shape, np.nan),
    )


def _members(
    groups: Sequence[Sequence[int]] | None, models: int, reference: int
) -> list[list[int]]:
    members = [[m] for m in range(models)] if groups is None else [list(g) for g in groups]
    if not all(members) or any(not 0 <= m < models for group in members for m in group):
        raise InputError(f"groups: each needs members between 0 and {models - 1}.")
    if not 0 <= reference < len(members):
        raise InputError(f"reference is {reference}; there are {len(members)} groups.")
    return members


def _wanted(measures: Sequence[str] | None, there: list[str]) -> list[str]:
    if measures is None:
        return there
    for key in measures:
        if key not in there:
            why = "for ordinal tasks only" if key in COMPARED_NAMES else "no such measure"
            raise InputError(f"{key}: is {why}; there are {', '.join(there)}.")
    return [key for key in there if key in measures]
