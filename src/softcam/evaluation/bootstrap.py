"""Intervals by resampling patients, because the images of one patient are not independent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError

Indices = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]

_WEIGHTS_AT_ONCE = 2**20  # of a block of resamples, 8 MiB: small beside the images, large for numpy
_MOST_ROWS = 256


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its bootstrap interval.

    Attributes:
        value: The statistic on all images; NaN where it is undefined.
        low: Lower end of the interval; NaN where it is undefined.
        high: Upper end of the interval; NaN where it is undefined.
        n: Number of images that the value rests on.
        undefined: Number of resamples in which the statistic was undefined and left out.
    """

    value: float
    low: float
    high: float
    n: int
    undefined: int

    def __str__(self) -> str:
        return self.format()

    def format(self, digits: int = 3) -> str:
        """Write the interval as ``0.912 [0.871, 0.945]``, with ``n/a`` for what is undefined."""
        if math.isnan(self.value):
            return "n/a"
        if math.isnan(self.low):
            return f"{self.value:.{digits}f} [n/a]"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def to_dict(self) -> dict[str, float | int | None]:
        """Give the fields as JSON knows them: an undefined number is None."""
        return {
            "value": _or_none(self.value),
            "low": _or_none(self.low),
            "high": _or_none(self.high),
            "n": self.n,
            "undefined": self.undefined,
        }


def resamples_of(
    patients: Sequence[str], resamples: int = 1000, seed: int = 0
) -> Iterator[Indices]:
    """Draw patients with replacement and take all images of each drawn patient.

    Args:
        patients: N patient names, one per image.
        resamples: Number of resamples.
        seed: Seed of the draws; the same seed and patients give the same resamples.

    Yields:
        Image indices, as many as the drawn patients have images; an image whose patient is drawn
        twice comes twice.

    Raises:
        InputError: If there is no image or the number of resamples is not positive.
    """
    if len(patients) == 0:
        raise InputError("There are no images to resample; give at least one.")
    if resamples < 1:
        raise InputError(f"resamples is {resamples}; give 1 or more.")
    _, owner = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    order = np.argsort(owner, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(owner[order])) + 1)
    one_each = np.concatenate(groups) if len(groups) == len(patients) else None
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(len(groups), size=len(groups))
        if one_each is not None:
            yield one_each[drawn]
        else:
            yield np.concatenate([groups[i] for i in drawn])


def weights_of(patients: Sequence[str], resamples: int = 1000, seed: int = 0) -> Iterator[Floats]:
    """Give the resamples of `resamples_of` as weights: how often each image was drawn.

    A statistic that takes weights sorts its images once and not once for every resample.

    Args:
        patients: N patient names, one per image.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Yields:
        Blocks of shape (n, N), together `resamples` rows.

    Raises:
        InputError: If there is no image or the number of resamples is not positive.
    """
    images = len(patients)
    rows = max(1, min(_MOST_ROWS, _WEIGHTS_AT_ONCE // max(1, images)))
    block: list[Floats] = []
    for drawn in resamples_of(patients, resamples, seed):
        block.append(np.bincount(drawn, minlength=images).astype(np.float64))
        if len(block) == rows:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def percentile_interval(
    value: float, drawn: Floats, n: int, *, level: float = 0.95, alone: bool = False
) -> Interval:
    """Take an interval from a statistic's values on resamples.

    Args:
        value: The statistic on all images.
        drawn: Its values on the resamples, shape (resamples,); NaN where undefined.
        n: Number of images that the value rests on.
        level: Coverage of the interval, between 0 and 1.
        alone: Whether there is one patient only, who tells nothing about others.

    Returns:
        The value with its percentile interval. Undefined resamples are left out and counted; both
        ends are NaN if those are more than half, if the value is undefined, or if `alone`.
    """
    known = drawn[~np.isnan(drawn)]
    undefined = 0 if alone else drawn.size - known.size
    low = high = math.nan
    if not alone and not math.isnan(value) and 2 * undefined <= drawn.size:
        tail = (1 - level) / 2
        low, high = (float(end) for end in np.quantile(known, [tail, 1 - tail]))
    return Interval(value, low, high, n, undefined)


def bootstrap(
    statistic: Callable[[Indices], Mapping[str, float]],
    patients: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Compute statistics with percentile intervals from a bootstrap over patients.

    Args:
        statistic: Takes image indices (with repeats) and gives named values, NaN where undefined.
        patients: N patient names, one per image.
        resamples: Number of resamples.
        seed: Seed of the draws.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        Name to interval. The value comes from all images. Resamples in which a statistic is
        undefined are left out of its percentiles and counted; if that is more than half of them,
        if the value itself is undefined, or if there is only one patient (which tells nothing
        about other patients), both ends are NaN.

    Raises:
        InputError: If there is no image, or an argument is out of its range.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13
        (percentile interval); Field and Welsh, "Bootstrapping clustered data" (2007).
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}; give a number between 0 and 1, for example 0.95.")
    draws = resamples_of(patients, resamples, seed)
    first = next(draws)
    point = {name: float(value) for name, value in statistic(np.arange(len(patients))).items()}
    replicates = np.full((resamples, len(point)), np.nan)
    alone = len(set(patients)) == 1
    if not alone:
        for row, indices in enumerate(_chain(first, draws)):
            values = statistic(indices)
            replicates[row] = [values[name] for name in point]
    return {
        name: percentile_interval(
            value, replicates[:, column], len(patients), level=level, alone=alone
        )
        for column, (name, value) in enumerate(point.items())
    }


def _chain(first: Indices, rest: Iterator[Indices]) -> Iterator[Indices]:
    yield first
    yield from rest


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
