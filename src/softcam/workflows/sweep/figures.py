"""Means over seeds of judged runs, intervals over patients, and differences to the twin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.evaluation.comparison.answers import Answers, stack_answers
from softcam.evaluation.comparison.holm import holm
from softcam.evaluation.comparison.resampled import Resampled, resample, resample_means
from softcam.evidence.decision import decide
from softcam.report.sweep.content import AUC, Figure
from softcam.workflows.inference import task_of
from softcam.workflows.sweep.deletion import MEASURED
from softcam.workflows.sweep.judge import Judged

Floats = npt.NDArray[np.float64]

Runs = Mapping[str, Mapping[int, Judged]]
"""Recipe to seed to what was judged, all on the same images."""

_ANSWERED = (AUC, "accuracy", "kappa")
COMPARED = (AUC, "deletion_gain", "activation_precision", "pointing_game")
"""Measures whose difference to the twin a table shows; Holm's correction is over these."""


def figures_of(
    runs: Runs, twin: str, *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, Figure]]:
    """Summarise every recipe.

    Differences are between runs of the same seed, averaged; what only one of the two has is left
    out of them.

    Args:
        runs: What was judged; each recipe has at least one seed.
        twin: The recipe that the others are compared with; it may be missing.
        resamples: Bootstrap resamples over patients.
        seed: Seed of the draws.

    Returns:
        Recipe to measure to figure.

    Raises:
        InputError: If runs were judged on different images.
    """
    flat = [(name, number) for name, seeds in runs.items() for number in seeds]
    judged = [runs[name][number] for name, number in flat]
    require_same_images(judged)
    columns = {name: [i for i, (of, _) in enumerate(flat) if of == name] for name in runs}
    pairs = {name: _pairs(name, twin, flat) for name in runs if name != twin and twin in runs}
    found: dict[str, dict[str, Figure]] = {name: {} for name in runs}
    for measure, answered in answers_resampled(judged, resamples=resamples, seed=seed).items():
        for name, own in columns.items():
            figure = _figure(answered, own)
            if pair := pairs.get(name):
                figure = _compared(figure, _difference(answered, *pair))
            found[name][measure] = figure
    for measure in MEASURED:
        values = [one.measures[measure] for one in judged]
        patients = judged[0].cases
        for name, own in columns.items():
            figure = _map_figure(values, own, patients, resamples, seed)
            if pair := pairs.get(name):
                both = np.stack([values[i] for i in (*pair[0], *pair[1])], axis=1)
                drawn = resample_means(both, patients, resamples=resamples, seed=seed)
                half = len(pair[0])
                places = list(range(half)), list(range(half, 2 * half))
                figure = _compared(figure, _difference(drawn, *places))
            found[name][measure] = figure
    return _adjusted(found)


def require_same_images(judged: Sequence[Judged]) -> None:
    """Refuse runs that answered about different images.

    Raises:
        InputError: If patients, labels or classes differ.
    """
    first = judged[0]
    for other in judged[1:]:
        if (
            other.patients != first.patients
            or other.cases != first.cases
            or other.info.classes != first.info.classes
            or not np.array_equal(other.labels, first.labels, equal_nan=True)
        ):
            raise InputError(
                "The runs were judged on different images or labels; the table has changed since "
                "the sweep was started. Start another sweep."
            )


def answers_of(judged: Sequence[Judged]) -> Answers:
    """Put the answers of runs together."""
    info = judged[0].info
    task = task_of(info)
    calls = [
        decide(one.probabilities, task, info.classes, info.positive, one.info.thresholds)
        for one in judged
    ]
    return stack_answers(
        task,
        info.classes,
        info.positive,
        judged[0].labels,
        [one.probabilities for one in judged],
        calls,
    )


def answers_resampled(
    judged: Sequence[Judged], *, resamples: int, seed: int = 0
) -> dict[str, Resampled]:
    """Measure the answers of runs on all images and on resampled patients."""
    answers = answers_of(judged)

    def scores(weights: Floats) -> dict[str, Floats]:
        found = answers.scores(weights)
        return {name: found[name] for name in _ANSWERED if name in found}

    return resample(scores, judged[0].patients, resamples=resamples, seed=seed)


def auc_with_error(
    judged: Sequence[Judged], *, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Give the AUC averaged over runs, and its standard error over patients."""
    drawn = answers_resampled(judged, resamples=resamples, seed=seed)[AUC]
    together = drawn.averaged([range(len(judged))])
    return float(together.values[0]), float(together.errors()[0])


def aucs(judged: Sequence[Judged]) -> list[float]:
    """Give the AUC of each run."""
    answers = answers_of(judged)
    values = answers.scores(np.ones((1, len(judged[0].patients))))[AUC]
    return [float(value) for value in values[0]]


def _pairs(
    name: str, twin: str, flat: Sequence[tuple[str, int]]
) -> tuple[list[int], list[int]] | None:
    """Columns of a recipe and of the twin, of the seeds that both have."""
    place = {pair: i for i, pair in enumerate(flat)}
    both = [seed for of, seed in flat if of == name and (twin, seed) in place]
    if not both:
        return None
    return [place[name, seed] for seed in both], [place[twin, seed] for seed in both]


def _figure(drawn: Resampled, columns: Sequence[int]) -> Figure:
    mean = drawn.averaged([columns]).intervals()[0]
    return Figure(mean, tuple(float(drawn.values[i]) for i in columns))


def _map_figure(
    values: Sequence[Floats],
    columns: Sequence[int],
    patients: Sequence[str],
    resamples: int,
    seed: int,
) -> Figure:
    own = np.stack([values[i] for i in columns], axis=1)
    drawn = resample_means(own, patients, resamples=resamples, seed=seed)
    figure = _figure(drawn, range(len(columns)))
    return replace(figure, each=tuple(_mean(values[i]) for i in columns))


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _difference(drawn: Resampled, own: Sequence[int], twin: Sequence[int]) -> Resampled:
    return drawn.averaged([own, twin]).minus(1)


def _compared(figure: Figure, difference: Resampled) -> Figure:
    return replace(
        figure,
        difference=difference.intervals()[0],
        p=float(difference.p_values()[0]),
    )


def _adjusted(found: dict[str, dict[str, Figure]]) -> dict[str, dict[str, Figure]]:
    """Correct the p-values for the number of comparisons in the table."""
    places = [
        (name, measure)
        for name, figures in found.items()
        for measure in COMPARED
        if measure in figures and not math.isnan(figures[measure].p)
    ]
    corrected = holm([found[name][measure].p for name, measure in places])
    for (name, measure), value in zip(places, corrected, strict=True):
        found[name][measure] = replace(found[name][measure], adjusted=float(value))
    return found
