"""From values of single cases to means, ranks, differences and curves with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from softcam.evaluation.bootstrap import Interval, resamples_of
from softcam.evaluation.explanations.measures import MEASURES
from softcam.evaluation.explanations.paired import Compared, compare
from softcam.evaluation.explanations.result import (
    Curve,
    CurveSet,
    Method,
    MethodRow,
    SizeRecall,
)
from softcam.evaluation.lesions import SIZES
from softcam.workflows.benchmark.settings import BenchmarkSettings

Floats = npt.NDArray[np.float64]
Values = Mapping[Method, Mapping[str, Floats]]
"""Method to what was measured of its maps: (cases,) or (cases, points)."""


def tables(values: Values, methods: Sequence[Method]) -> dict[str, Floats]:
    """Put the single numbers side by side.

    Args:
        values: What was measured.
        methods: The order of the columns.

    Returns:
        Measure to (cases, methods); measures that nobody has a value of are left out.
    """
    found = {}
    for measure in MEASURES:
        columns = [values[method].get(measure.key) for method in methods]
        known = [column for column in columns if column is not None]
        if not known or all(np.isnan(column).all() for column in known):
            continue
        nothing = np.full(len(known[0]), np.nan)
        found[measure.key] = np.stack(
            [nothing if column is None else column for column in columns], axis=1
        )
    return found


def rows_of(
    found: Mapping[str, Floats],
    methods: Sequence[Method],
    patients: Sequence[str],
    settings: BenchmarkSettings,
) -> list[MethodRow]:
    """Average, rank and compare every measure.

    Args:
        found: Measure to (cases, methods), from `tables`.
        methods: The columns; the first is the reference.
        patients: One per case.
        settings: Resamples and seed.

    Returns:
        One row per method, without costs and flags.
    """
    compared: dict[str, Compared] = {}
    ranked = set()
    for measure in MEASURES:
        if measure.key not in found:
            continue
        compared[measure.key] = compare(
            found[measure.key],
            patients,
            higher_is_better=measure.higher_is_better is not False,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        if measure.higher_is_better is not None:
            ranked.add(measure.key)
    return [
        MethodRow(
            method,
            {key: item.means[column] for key, item in compared.items()},
            {key: item.ranks[column] for key, item in compared.items() if key in ranked},
            {key: item.differences[column] for key, item in compared.items()},
            {key: item.undefined[column] for key, item in compared.items()},
        )
        for column, method in enumerate(methods)
    ]


def curve_sets(
    values: Values, methods: Sequence[Method], patients: Sequence[str], settings: BenchmarkSettings
) -> list[CurveSet]:
    """Average the curves, with bands over patients.

    Args:
        values: What was measured.
        methods: The order of the curves.
        patients: One per case.
        settings: Which curves there are.

    Returns:
        Top-k precision per image and pooled, and deletion and insertion for each baseline; those
        that nobody has a point of are left out.
    """
    sets = []
    k = np.arange(1, settings.curve + 1, dtype=np.float64)
    for pooled in (False, True):
        curves = [
            _topk(method, values[method], patients, settings, pooled=pooled) for method in methods
        ]
        sets.append(
            CurveSet(
                "topk_pooled" if pooled else "topk_per_image",
                "Top-k patch precision, " + ("patches pooled" if pooled else "mean over images"),
                "Strongest patches taken (k)",
                "Share that touches the lesion",
                k,
                tuple(curves),
                higher_is_better=True,
            )
        )
    steps = np.array((0, *settings.counts()), dtype=np.float64)
    words = {"deletion": "removed", "insertion": "put in"}
    for baseline in settings.baselines:
        for kind, done in words.items():
            for what, label in (
                ("confidence", "p(class) / p(class, whole image)"),
                ("accuracy", "Right answers kept"),
            ):
                key = f"{kind}_{what}_{baseline}"
                curves = [
                    _mean_curve(method, values[method][key], patients, settings)
                    for method in methods
                ]
                sets.append(
                    CurveSet(
                        key,
                        f"{kind.capitalize()} ({baseline} as baseline): {label}",
                        f"Strongest patches {done}",
                        label,
                        steps,
                        tuple(curves),
                        higher_is_better=kind == "insertion",
                    )
                )
    return [item for item in sets if any(not np.isnan(c.mean).all() for c in item.curves)]


def size_recalls(
    values: Values,
    methods: Sequence[Method],
    findings: Sequence[str],
    patients: Sequence[str],
    settings: BenchmarkSettings,
) -> list[SizeRecall]:
    """Count the lesions that each method finds, by finding and size.

    Args:
        values: What was measured.
        methods: The order of the methods.
        findings: The order of the findings; those of which no lesion is marked are left out.
        patients: One per case.
        settings: Resamples and seed.

    Returns:
        For each method, finding and size one entry, from the smallest size up.
    """
    rows = []
    for method in methods:
        for finding in findings:
            there = np.nan_to_num(values[method][f"lesions of {finding}"])
            hit = np.nan_to_num(values[method][f"found of {finding}"])
            if not there.any():
                continue
            share = _ratio_curve(method, hit, there, patients, settings)
            for size, (low, high) in enumerate(pairwise((0.0, *SIZES, 1.0))):
                count = int(there[:, size].sum())
                ends = float(share.low[size]), float(share.high[size])
                recall = Interval(float(share.mean[size]), *ends, count, 0)
                found = int(hit[:, size].sum())
                rows.append(SizeRecall(method, finding, low, high, count, found, recall))
    return rows


def interval_of(values: Floats, patients: Sequence[str], settings: BenchmarkSettings) -> Interval:
    """Mean of one number per case, with its interval; NaN is left out.

    Args:
        values: Shape (cases,).
        patients: One per case.
        settings: Resamples and seed.
    """
    return compare(
        values[:, None], patients, resamples=settings.resamples, seed=settings.seed
    ).means[0]


def _topk(
    method: Method,
    values: Mapping[str, Floats],
    patients: Sequence[str],
    settings: BenchmarkSettings,
    *,
    pooled: bool,
) -> Curve:
    hits, taken = values["topk_hits"], values["topk_taken"]
    if not pooled:
        with np.errstate(invalid="ignore"):  # nothing taken: no share
            return _mean_curve(method, hits / taken, patients, settings)
    return _ratio_curve(method, np.nan_to_num(hits), np.nan_to_num(taken), patients, settings)


def _mean_curve(
    method: Method, values: Floats, patients: Sequence[str], settings: BenchmarkSettings
) -> Curve:
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    return _ratio_curve(method, filled, defined.astype(np.float64), patients, settings)


def _ratio_curve(
    method: Method,
    above: Floats,
    below: Floats,
    patients: Sequence[str],
    settings: BenchmarkSettings,
) -> Curve:
    """Sum over cases of one by sum of the other, with a percentile band over patients."""
    with np.errstate(invalid="ignore"):  # 0 / 0: undefined there
        mean = above.sum(axis=0) / below.sum(axis=0)
        if len(set(patients)) == 1:
            nothing = np.full_like(mean, np.nan)
            return Curve(method, mean, nothing, nothing)
        weights = np.stack(
            [
                np.bincount(rows, minlength=len(above)).astype(np.float64)
                for rows in resamples_of(patients, settings.resamples, settings.seed)
            ]
        )
        drawn = (weights @ above) / (weights @ below)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    known = ~np.isnan(drawn)
    enough = (2 * known.sum(axis=0) >= len(drawn)) & ~np.isnan(mean)
    for point in np.flatnonzero(enough):
        low[point], high[point] = np.quantile(drawn[known[:, point], point], [0.025, 0.975])
    return Curve(method, mean, low, high)
