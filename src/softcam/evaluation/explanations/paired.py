"""Compare many methods on the same cases: means, ranks and differences from shared resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval, percentile_interval, weights_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """One measure of several methods on the same cases.

    Attributes:
        means: Mean over the defined cases of each method, with its interval.
        ranks: Rank of each method's mean, 1 for the best, ties shared; the interval is that of
            the rank over resamples. NaN where the mean is.
        differences: The reference's mean minus the method's, over the cases that both define.
        undefined: Cases without a value, for each method.
    """

    means: tuple[Interval, ...]
    ranks: tuple[Interval, ...]
    differences: tuple[Interval, ...]
    undefined: tuple[int, ...]


def compare(
    values: Floats,
    patients: Sequence[str],
    *,
    reference: int = 0,
    higher_is_better: bool = True,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Compared:
    """Average a measure for each method, and rank and subtract them, patient by patient.

    All methods see the same resampled patients, so that what images have in common cancels in
    ranks and differences.

    Args:
        values: Shape (cases, methods); NaN where undefined.
        patients: One name per case.
        reference: Column that the others are subtracted from.
        higher_is_better: Which end of the measure has rank 1.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.
        level: Coverage of the intervals.

    Returns:
        Means, ranks and differences, in the order of the columns.

    Raises:
        InputError: If the shapes do not fit or there is no case.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13
        (percentile interval); Field and Welsh, "Bootstrapping clustered data" (2007).

    Example:
        >>> found = compare(np.array([[1.0, 0.0], [1.0, 1.0]]), ["a", "b"], resamples=50)
        >>> found.means[0].value, found.differences[1].value, found.ranks[1].value
        (1.0, 0.5, 2.0)
    """
    if values.ndim != 2 or len(values) != len(patients):
        raise InputError(
            f"Values of shape {values.shape} for {len(patients)} patients; give one row per case "
            "and one column per method."
        )
    cases, methods = values.shape
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    both = defined & defined[:, [reference]]
    gaps = np.where(both, filled[:, [reference]] - filled, 0.0)
    sign = -1.0 if higher_is_better else 1.0

    def statistics(weights: Floats) -> tuple[Floats, Floats, Floats]:
        with np.errstate(invalid="ignore"):  # 0 / 0: undefined in every case, NaN is meant
            means = (weights @ filled) / (weights @ defined)
            differences = (weights @ gaps) / (weights @ both)
        ranks = _ranks(sign * means)
        return means, ranks, differences

    point = statistics(np.ones((1, cases)))
    alone = len(set(patients)) == 1
    drawn: list[tuple[Floats, Floats, Floats]] = []
    if not alone:
        drawn = [statistics(block) for block in weights_of(patients, resamples, seed)]
    intervals = []
    counts = (defined.sum(axis=0), defined.sum(axis=0), both.sum(axis=0))
    for which, count in enumerate(counts):
        replicates = (
            np.concatenate([part[which] for part in drawn])
            if drawn
            else np.full((resamples, methods), np.nan)
        )
        intervals.append(
            tuple(
                percentile_interval(
                    float(value),
                    replicates[:, column],
                    int(count[column]),
                    level=level,
                    alone=alone,
                )
                for column, value in enumerate(point[which][0])
            )
        )
    missing = tuple(int(cases - count) for count in counts[0])
    return Compared(intervals[0], intervals[1], intervals[2], missing)


def _ranks(costs: Floats) -> Floats:
    """Ranks from 1 in each row, the mean of their places for ties; NaN stays and takes no place."""
    ranks = np.full_like(costs, np.nan)
    measured = ~np.isnan(costs).all(axis=0)
    # Together where nothing is missing, which is most often and many times as fast.
    whole = ~np.isnan(costs[:, measured]).any(axis=1)
    if measured.any():
        ranks[np.ix_(whole, measured)] = rankdata(costs[np.ix_(whole, measured)], axis=1)
    for row in np.flatnonzero(~whole):
        ranks[row] = rankdata(costs[row], nan_policy="omit")
    return ranks
