"""What a run answered: its `predictions.csv` with the classes of its `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.data.csvfile import CsvRow, read_csv
from softcam.data.wording import quoted
from softcam.errors import InputError
from softcam.evaluation.comparison.answers import log_losses
from softcam.evidence.decision import probabilities
from softcam.evidence.info import Task
from softcam.training.run import Run, find_model
from softcam.workflows.evaluate import choose_split, read_for, require_same_classes
from softcam.workflows.inference import predict_table, task_of
from softcam.workflows.models import load_run

_COLUMNS = ("image", "label", "split", "patient", "predicted")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """A model's answers about N images.

    Attributes:
        source: The run folder or file, as errors name it.
        task: What the labels mean.
        classes: C class names in column order.
        positive: The class that a binary task looks for.
        images: Names of the images.
        patients: Whom they show.
        splits: Their splits; "" where there are none.
        labels: Class indices (N,); for multi-label 0, 1 or NaN (unknown), (N, C).
        probabilities: Shape (N, C).
        calls: Called class indices (N,); for multi-label booleans (N, C).
        losses: Log loss of every image, (N,).
    """

    source: str
    task: Task
    classes: tuple[str, ...]
    positive: str | None
    images: tuple[str, ...]
    patients: tuple[str, ...]
    splits: tuple[str, ...]
    labels: npt.NDArray[Any]
    probabilities: Floats
    calls: npt.NDArray[Any]
    losses: Floats

    def take(self, rows: npt.NDArray[np.intp]) -> Answered:
        """Give the answers about some images, in the order asked for."""
        return replace(
            self,
            images=tuple(self.images[row] for row in rows),
            patients=tuple(self.patients[row] for row in rows),
            splits=tuple(self.splits[row] for row in rows),
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            calls=self.calls[rows],
            losses=self.losses[rows],
        )


def read_answered(run: Path) -> Answered:
    """Read what a finished run or an evaluation predicted.

    Args:
        run: The folder, or a model file in it.

    Returns:
        All its images. Probabilities are computed from the logits, which keep more digits near 0
        and 1; a file without logits gives the probabilities that it has.

    Raises:
        InputError: If the run is unfinished, or a file is missing or damaged.
    """
    folder = run.parent if run.is_file() else run
    found = _classification(folder)
    try:
        task, classes = Task(found["task"]), tuple(str(name) for name in found["classes"])
        positive = (found["positive"] or classes[1]) if task is Task.BINARY else None
        if len(set(classes)) != len(classes) or (positive is not None and len(classes) != 2):
            raise ValueError
        if positive is not None and positive not in classes:
            raise ValueError
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{folder / 'metrics.json'}: does not say task and classes; run `softcam evaluate` "
            "again."
        ) from error
    path = folder / "predictions.csv"
    file = read_csv(path, _COLUMNS)
    for column in _COLUMNS:
        if column not in file.columns:
            raise InputError(f"{path}: has no column {quoted(column)}; run `softcam evaluate`.")
    if not file.rows:
        raise InputError(f"{path}: has no rows; run `softcam evaluate` again.")
    labels = [_label(path, row, "label", task, classes) for row in file.rows]
    calls = [_label(path, row, "predicted", task, classes) for row in file.rows]
    truth = np.array(labels)
    if task is Task.MULTILABEL:
        _require_known(path, truth, found)
    logits, scores = _scores(path, file.columns, file.rows, task, classes)
    losses = log_losses(logits, truth, task) if logits is not None else _plain(scores, truth, task)
    return Answered(
        source=str(run),
        task=task,
        classes=classes,
        positive=positive,
        images=tuple(row.cells["image"] for row in file.rows),
        patients=tuple(row.cells["patient"] or row.cells["image"] for row in file.rows),
        splits=tuple(row.cells["split"] for row in file.rows),
        labels=truth,
        probabilities=scores,
        calls=np.array(calls) == 1 if task is Task.MULTILABEL else np.array(calls),
        losses=losses,
    )


def predict_answered(
    run: Path,
    table: Path | str,
    *,
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    show_progress: bool = False,
) -> Answered:
    """Run a model over a table.

    Args:
        run: Run folder or model file.
        table: The table's path.
        split: As in `softcam.workflows.evaluate.evaluate`.
        images: Folder of the images, if not beside the table.
        dataset: The dataset.yaml, if not beside the table.
        show_progress: Whether to show a progress bar.

    Returns:
        What it answers about the images of the split.

    Raises:
        InputError: If the model, the table or an image cannot be used.
    """
    model = load_run(find_model(run))
    info = model.info
    task = task_of(info)
    whole = read_for(info, table, images=images, dataset=dataset)
    require_same_classes(whole, info)
    part, _ = choose_split(whole, split)
    found = predict_table(model, part, title=f"predicting {run}", show_progress=show_progress)
    truth = part.labels()
    return Answered(
        source=str(run),
        task=task,
        classes=info.classes,
        positive=(info.positive or info.classes[1]) if task is Task.BINARY else None,
        images=tuple(record.name for record in part.records),
        patients=tuple(part.patients()),
        splits=tuple(record.split or "" for record in part.records),
        labels=truth,
        probabilities=found.probabilities,
        calls=found.calls,
        losses=log_losses(found.logits.astype(np.float64), truth, task),
    )


def _classification(folder: Path) -> Mapping[str, Any]:
    """Read how a folder's metrics were measured."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder.")
    if not (folder / "metrics.json").is_file() and not (folder / "config.yaml").is_file():
        raise InputError(
            f"{folder}: holds no metrics.json; give the folder of a finished run or evaluation."
        )
    try:
        found = Run(folder).metrics()["classification"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{folder / 'metrics.json'}: is damaged; run `softcam evaluate` again."
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{folder / 'metrics.json'}: is damaged; run `softcam evaluate` again.")
    return found


def _label(path: Path, row: CsvRow, column: str, task: Task, classes: tuple[str, ...]) -> Any:
    """Read a label: a class index, or for multi-label one number per class, NaN for unknown."""
    text = row.cells[column]
    if task is not Task.MULTILABEL:
        if text in classes:
            return classes.index(text)
        raise _wrong(path, row, column, f"{quoted(text)} is not one of {', '.join(classes)}")
    values = [0.0] * len(classes)
    for part in text.split("|") if text else []:
        if part in classes:
            values[classes.index(part)] = 1.0
        elif part.startswith("?") and part[1:] in classes:
            values[classes.index(part[1:])] = math.nan
        else:
            raise _wrong(path, row, column, f"{quoted(part)} is not one of {', '.join(classes)}")
    return values


def _require_known(path: Path, labels: Floats, found: Mapping[str, Any]) -> None:
    """Refuse a file that takes unknown labels for absent ones, as softcam once wrote them."""
    measured = [int(np.sum(table)) for table in found.get("confusion") or []]
    if measured and measured != (~np.isnan(labels)).sum(axis=0).tolist():
        raise InputError(
            f"{path}: does not tell unknown labels from absent ones; run `softcam evaluate` again, "
            "or give --table."
        )


def _scores(
    path: Path,
    columns: tuple[str, ...],
    rows: tuple[CsvRow, ...],
    task: Task,
    classes: tuple[str, ...],
) -> tuple[Floats | None, Floats]:
    """Read logits, if there are any, and probabilities."""
    one = (f"logit_{classes[-1]}",) if task is Task.BINARY else ()
    for names in (tuple(f"logit_{name}" for name in classes), one):
        if names and set(names) <= set(columns):
            logits = _numbers(path, rows, names)
            return logits, probabilities(logits, task)
    names = tuple(f"prob_{name}" for name in classes)
    for name in names:
        if name not in columns:
            raise InputError(f"{path}: has no column {quoted(name)}; run `softcam evaluate`.")
    scores = _numbers(path, rows, names)
    for row, values in zip(rows, scores, strict=True):
        if not ((values >= 0) & (values <= 1)).all():
            raise _wrong(path, row, "prob_", "is not between 0 and 1")
    return None, scores


def _numbers(path: Path, rows: tuple[CsvRow, ...], names: tuple[str, ...]) -> Floats:
    values = np.empty((len(rows), len(names)))
    for number, row in enumerate(rows):
        for column, name in enumerate(names):
            try:
                values[number, column] = float(row.cells[name])
            except ValueError:
                values[number, column] = math.nan
            if not math.isfinite(values[number, column]):
                raise _wrong(path, row, name, f"{quoted(row.cells[name])} is no finite number")
    return values


def _plain(scores: Floats, labels: npt.NDArray[Any], task: Task) -> Floats:
    """Log losses of probabilities, through their logits; 0 and 1 are taken as nearly so."""
    inside = np.clip(scores, 1e-7, 1 - 1e-7)
    if task is Task.MULTILABEL:
        return log_losses(np.log(inside / (1 - inside)), labels, task)
    return log_losses(np.log(inside), labels, task)


def _wrong(path: Path, row: CsvRow, column: str, what: str) -> InputError:
    return InputError(f"{path}, row {row.line}: {column}: {what}; run `softcam evaluate` again.")
