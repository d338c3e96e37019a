"""What a precision costs: AUC and agreement of the maps against the model, on a table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Table
from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval, bootstrap
from softcam.evidence.decision import decide, probabilities
from softcam.evidence.info import ModelInfo, Task
from softcam.explanation.predictor import Predictor
from softcam.workflows.inference import batches, task_of

Floats = npt.NDArray[np.float64]

NAMES = {
    "auc_model": "AUC, model",
    "auc_exported": "AUC, exported",
    "auc_loss": "AUC lost",
    "pearson": "Maps, correlation",
    "spearman": "Maps, rank correlation",
    "shift": "Strongest cell moved, input px",
    "calls": "Same call, share of images",
}
"""Figure to what a reader calls it."""


MOST_AUC_LOST, LEAST_CORRELATION = 0.05, 0.8
"""What a precision may cost at most: beyond it is another model."""


@dataclass(frozen=True)
class Loss:
    """How an exported model's answers differ from its model's on a table.

    Attributes:
        split: Which images.
        images: How many.
        intervals: Figure (a key of `NAMES`) to its value, with a 95 % interval over patients.
    """

    split: str
    images: int
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "split": self.split,
            "images": self.images,
            **{name: value.to_dict() for name, value in self.intervals.items()},
        }

    def refusal(self) -> str | None:
        """Say why the exported model is another one; None if it is not."""
        lost, alike = self.intervals["auc_loss"].value, self.intervals["pearson"].value
        if lost > MOST_AUC_LOST:
            return f"loses {lost:.3f} of AUC, more than the {MOST_AUC_LOST} allowed"
        if alike < LEAST_CORRELATION:
            return (
                f"gives maps whose correlation with the model's is {alike:.2f}, less than the "
                f"{LEAST_CORRELATION} wanted"
            )
        return None

    def rows(self) -> list[tuple[str, str]]:
        """Give name and value of each figure, as text."""
        return [(NAMES[name], value.format(4)) for name, value in self.intervals.items()]


@dataclass
class _Answers:
    """What both said of the images so far; the maps themselves are not kept."""

    model: list[npt.NDArray[np.float32]] = field(default_factory=list)
    exported: list[npt.NDArray[np.float32]] = field(default_factory=list)
    pearson: list[Floats] = field(default_factory=list)
    spearman: list[Floats] = field(default_factory=list)
    shift: list[Floats] = field(default_factory=list)


def measure_loss(
    model: Predictor,
    exported: Predictor,
    table: Table,
    *,
    split: str,
    batch_size: int = 8,
    resamples: int = 1000,
    seed: int = 0,
    show_progress: bool = False,
) -> Loss:
    """Run a model and its export over a table and compare.

    Args:
        model: The model.
        exported: The exported one.
        table: The images, with labels.
        split: What they are called.
        batch_size: Images at once.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
        show_progress: Whether to show a bar.

    Returns:
        The figures. A map is every class's own; a constant one has no correlation and is left out.

    Raises:
        InputError: If an image cannot be read or has no label.
    """
    info = model.info
    prepare = Preprocessing.from_dict(info.preprocessing or {})
    labels = table.labels()
    answers = _Answers()
    for batch in batches(
        table, prepare, batch_size=batch_size, title="measuring", show_progress=show_progress
    ):
        own, other = model.predict(batch.pixels), exported.predict(batch.pixels)
        answers.model.append(own[0])
        answers.exported.append(other[0])
        answers.pearson.append(correlations(own[1], other[1]))
        answers.spearman.append(correlations(_ranked(own[1]), _ranked(other[1])))
        answers.shift.append(peak_shifts(own[1], other[1], batch.pixels.shape[2:]))
    return _summary(info, answers, labels, table.patients(), split, resamples, seed)


def _summary(
    info: ModelInfo,
    answers: _Answers,
    labels: npt.NDArray[Any],
    patients: Sequence[str],
    split: str,
    resamples: int,
    seed: int,
) -> Loss:
    task = task_of(info)
    scores = [probabilities(np.concatenate(x), task) for x in (answers.model, answers.exported)]
    called = [
        decide(s, task, info.classes, info.positive, info.thresholds).reshape(len(s), -1)
        for s in scores
    ]
    per_image = {
        "pearson": np.concatenate(answers.pearson),
        "spearman": np.concatenate(answers.spearman),
        "shift": np.concatenate(answers.shift),
        "calls": (called[0] == called[1]).mean(axis=1),
    }
    columns = _columns(info, scores[0].shape[1])

    def statistic(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        first, second = (mean_auc(s[rows], labels[rows], columns) for s in scores)
        found = {"auc_model": first, "auc_exported": second, "auc_loss": first - second}
        return found | {name: _mean(values[rows]) for name, values in per_image.items()}

    return Loss(
        split, len(patients), bootstrap(statistic, patients, resamples=resamples, seed=seed)
    )


def _columns(info: ModelInfo, count: int) -> list[int]:
    """The classes whose AUC counts: the positive one of a binary task, else all."""
    if info.task is not Task.BINARY:
        return list(range(count))
    return [info.classes.index(info.positive) if info.positive in info.classes else 1]


def mean_auc(scores: Floats, labels: npt.NDArray[Any], columns: Sequence[int]) -> float:
    """Average the area under the ROC curve over classes, one against the rest.

    Args:
        scores: Probabilities (N, C).
        labels: Class indices (N,), or 0, 1 and NaN (unknown, left out) of shape (N, C).
        columns: The classes.

    Returns:
        The mean over those classes that have examples and counter-examples; NaN without any.
    """
    found = []
    for column in columns:
        truth = labels == column if labels.ndim == 1 else labels[:, column]
        known = ~np.isnan(truth.astype(np.float64))
        positive = truth[known].astype(bool)
        examples, others = int(positive.sum()), int((~positive).sum())
        if examples and others:
            ranks = rankdata(scores[known, column])[positive].sum()
            found.append((ranks - examples * (examples + 1) / 2) / (examples * others))
    return _mean(np.asarray(found))


def correlations(maps: npt.NDArray[Any], others: npt.NDArray[Any]) -> Floats:
    """Correlate maps (B, K, h, w) and average over the classes; NaN where all are constant."""
    a, b = (values.astype(np.float64).reshape(*values.shape[:2], -1) for values in (maps, others))
    a, b = (values - values.mean(axis=2, keepdims=True) for values in (a, b))
    norms = np.sqrt((a**2).sum(axis=2) * (b**2).sum(axis=2))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(norms > 0, (a * b).sum(axis=2) / norms, np.nan)
    return _row_means(found)


def peak_shifts(maps: npt.NDArray[Any], others: npt.NDArray[Any], size: Sequence[int]) -> Floats:
    """Measure how far the strongest cell of each map moves, in input pixels, per image."""
    rows, columns = maps.shape[2:]
    cell = np.array([size[0] / rows, size[1] / columns])
    places = [
        np.stack(np.unravel_index(values.reshape(*values.shape[:2], -1).argmax(2), (rows, columns)))
        for values in (maps, others)
    ]
    moved = (places[0] - places[1]) * cell[:, None, None]
    return _row_means(np.sqrt((moved**2).sum(axis=0)))


def _ranked(maps: npt.NDArray[Any]) -> Floats:
    flat = maps.reshape(*maps.shape[:2], -1)
    ranks: Floats = rankdata(flat, axis=2).reshape(maps.shape)
    return ranks


def _row_means(values: Floats) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row without any is NaN, as it should be
        return np.asarray(np.nanmean(values, axis=1), dtype=np.float64)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def calibration_images(
    table: Table, info: ModelInfo, count: int
) -> tuple[list[npt.NDArray[np.float32]], Table]:
    """Choose images to measure the ranges of 8-bit numbers on, and others to measure the loss on.

    Args:
        table: The whole table.
        info: The model's description.
        count: How many at most.

    Returns:
        Normalised batches of one image from train and validation, evenly over the table; and the
        table, without those images' patients where it has no splits.

    Raises:
        InputError: If nothing is left for one of the two.
    """
    from dataclasses import replace

    records = tuple(record for record in table.records if record.split in ("train", "val"))
    rest = table
    if not table.splits():
        patients = sorted({record.patient for record in table.records})
        taken = set(patients[::2])
        records = tuple(record for record in table.records if record.patient in taken)
        rest = replace(table, records=tuple(r for r in table.records if r.patient not in taken))
    if not records or not rest.records:
        raise InputError(
            f"{table.path}: int8 needs images of the train or val split to measure ranges on, and "
            "others to measure the loss on; give a table with both."
        )
    steps = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    chosen = replace(table, records=tuple(records[i] for i in dict.fromkeys(steps.tolist())))
    prepare = Preprocessing.from_dict(info.preprocessing or {})
    return [batch.pixels for batch in batches(chosen, prepare, batch_size=1)], rest
