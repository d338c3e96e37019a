"""One statistic of several models on the same resamples of patients, to be subtracted and averaged.

All models see the same resampled patients, so that what images have in common cancels when one
is subtracted from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval, percentile_interval, weights_of

Floats = npt.NDArray[np.float64]

Statistic = Callable[[Floats], Mapping[str, Floats]]
"""Takes weights (R, N), how often each image counts, and gives named values (R, M)."""


@dataclass(frozen=True)
class Resampled:
    """One statistic of M models, on all images and on resamples of the patients.

    Attributes:
        values: On all images, shape (M,); NaN where undefined.
        drawn: On every resample, shape (R, M); NaN where undefined.
        n: Number of images that each value rests on, shape (M,).
        alone: Whether there is one patient only, who tells nothing about others.
    """

    values: Floats
    drawn: Floats
    n: npt.NDArray[np.int64]
    alone: bool = False

    def minus(self, reference: int) -> Resampled:
        """Subtract one model from each, resample by resample; from itself this leaves exactly 0."""
        return Resampled(
            self.values - self.values[reference],
            self.drawn - self.drawn[:, [reference]],
            np.minimum(self.n, self.n[reference]),
            self.alone,
        )

    def averaged(
        self, groups: Sequence[Sequence[int]], seeds: Sequence[Floats] | None = None
    ) -> Resampled:
        """Average over groups of models, such as the same settings trained with several seeds.

        A group with an undefined member is undefined.

        Args:
            groups: Columns of each group.
            seeds: For each group which of its members each resample takes, shape (R, S), from
                `draw_members`; None takes all, so that intervals are of these members.

        Returns:
            One column per group.
        """
        columns = []
        for number, group in enumerate(groups):
            members = self.drawn[:, list(group)]
            if seeds is not None:
                members = np.take_along_axis(members, seeds[number].astype(np.intp), axis=1)
            columns.append(members.mean(axis=1))
        return Resampled(
            np.array([self.values[list(group)].mean() for group in groups]),
            np.stack(columns, axis=1),
            np.array([self.n[list(group)].min() for group in groups]),
            self.alone,
        )

    def intervals(self, level: float = 0.95) -> tuple[Interval, ...]:
        """Give the values with percentile intervals; see `percentile_interval`."""
        return tuple(
            percentile_interval(
                float(value), self.drawn[:, column], int(n), level=level, alone=self.alone
            )
            for column, (value, n) in enumerate(zip(self.values, self.n, strict=True))
        )

    def errors(self) -> Floats:
        """Give standard errors, (M,): the spread over resamples, NaN where there is no interval."""
        return np.array(
            [
                known.std(ddof=1) if self._usable(known, value) else np.nan
                for known, value in zip(self._known(), self.values, strict=True)
            ]
        )

    def p_values(self) -> Floats:
        """Give two-sided p-values, (M,), of the hypothesis that the statistic is 0.

        Twice the smaller share of resamples that lie on one side of 0, a resample at 0 counting
        for both and one more resample counting as if it lay there:
        ``p = min(1, 2 (1 + min(#(d <= 0), #(d >= 0))) / (1 + R))``. So p is never 0, it is below
        0.05 about when the 95 % interval leaves 0 out, and it is 1 where nothing differs.

        Returns:
            NaN where there is no interval.

        Source: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), chapter 4.
        """
        found = []
        for known, value in zip(self._known(), self.values, strict=True):
            if not self._usable(known, value):
                found.append(np.nan)
                continue
            fewer = min(int((known <= 0).sum()), int((known >= 0).sum()))
            found.append(min(1.0, 2 * (1 + fewer) / (1 + known.size)))
        return np.array(found)

    def _known(self) -> list[Floats]:
        return [column[~np.isnan(column)] for column in self.drawn.T]

    def _usable(self, known: Floats, value: float) -> bool:
        enough = known.size > 1 and 2 * known.size >= len(self.drawn)
        return bool(enough and not self.alone and not np.isnan(value))


def resample(
    statistic: Statistic,
    patients: Sequence[str],
    *,
    n: Mapping[str, npt.NDArray[np.int64]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Compute statistics of several models on all images and on the same resampled patients.

    Args:
        statistic: Takes weights (R, N) and gives named values (R, M), NaN where undefined.
        patients: N patient names, one per image.
        n: Name to the number of images that each model's value rests on, (M,); all if None.
        resamples: Number of resamples.
        seed: Seed of the draws; the same draws as in `softcam.evaluation.bootstrap.bootstrap`.

    Returns:
        Name to what was found.

    Raises:
        InputError: If there is no image or the number of resamples is not positive.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; Field and
        Welsh, "Bootstrapping clustered data" (2007).
    """
    draws = weights_of(patients, resamples, seed)
    first = next(draws)
    point = {name: value[0] for name, value in statistic(np.ones((1, len(patients)))).items()}
    alone = len(set(patients)) == 1
    blocks: list[Mapping[str, Floats]] = []
    if not alone:
        blocks.append(statistic(first))
        blocks += [statistic(block) for block in draws]
    found = {}
    for name, values in point.items():
        drawn = (
            np.concatenate([block[name] for block in blocks])
            if blocks
            else np.full((resamples, values.size), np.nan)
        )
        count = np.full(values.size, len(patients)) if n is None else n[name]
        found[name] = Resampled(values, drawn, count.astype(np.int64), alone)
    return found


def resample_means(
    values: Floats, patients: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> Resampled:
    """Average a value that every image has of every model, such as a score of its map.

    Only images that all models define count, so that a difference of means is a mean of
    differences.

    Args:
        values: Shape (N, M); NaN where undefined.
        patients: N patient names.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        The means; `n` counts the images.

    Raises:
        InputError: If the shapes do not fit or there is no image.
    """
    if values.ndim != 2 or len(values) != len(patients):
        raise InputError(
            f"Values of shape {values.shape} for {len(patients)} patients; give one row per image "
            "and one column per model."
        )
    everywhere = np.asarray(~np.isnan(values).any(axis=1))
    filled = np.where(everywhere[:, None], values, 0.0)
    count = {"mean": np.full(values.shape[1], int(everywhere.sum()))}

    def means(weights: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore"):  # 0 / 0: no image has a value, NaN is meant
            return {"mean": _sums(weights, filled) / (weights @ everywhere)[:, None]}

    return resample(means, patients, n=count, resamples=resamples, seed=seed)["mean"]


def _sums(weights: Floats, values: Floats) -> Floats:
    """Weighted sums of every column; one by one, so that equal columns have equal sums.

    A product of matrices may add up neighbouring columns in different orders, and what is the
    same would differ in the last digit.
    """
    return np.stack([weights @ column for column in np.ascontiguousarray(values.T)], axis=1)


def draw_members(
    seeds: Sequence[Sequence[int]], resamples: int = 1000, seed: int = 0
) -> list[Floats]:
    """Draw members of groups with replacement, the same ones in groups of the same seeds.

    With few seeds the spread between them is underestimated, by sqrt((S - 1) / S).

    Args:
        seeds: The training seeds of each group's members.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        Positions of shape (resamples, S) for each group, for `Resampled.averaged`.
    """
    random = np.random.default_rng([seed, 1])  # not the draws of the patients
    drawn: dict[tuple[int, ...], Floats] = {}
    for group in seeds:
        key = tuple(group)
        if key not in drawn:
            drawn[key] = random.integers(len(key), size=(resamples, len(key))).astype(np.float64)
    return [drawn[tuple(group)] for group in seeds]
