"""Run a model over a table: read, prepare, predict, a batch at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from softcam.conversion.black_box import BlackBox
from softcam.data.geometry import Geometry
from softcam.data.labels import label_text
from softcam.data.preprocessing import Preprocessing, Sample
from softcam.data.readers import read_record
from softcam.data.records import Record, Table
from softcam.errors import InputError
from softcam.evidence.decision import decide, probabilities
from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.model import SoftCAM
from softcam.evidence.probe import evaluating
from softcam.explanation.views import View, average_views, choose_views
from softcam.files import write_atomically
from softcam.workflows.models import preprocessing_of
from softcam.workflows.progress import image_progress

_MAX_LISTED = 10


@dataclass(frozen=True)
class Batch:
    """Some images of a table as a model sees them.

    Attributes:
        start: Position of the first image in the table.
        records: Their records.
        pixels: Normalised input of shape (B, C, H, W).
        geometries: Where every file pixel went.
    """

    start: int
    records: tuple[Record, ...]
    pixels: npt.NDArray[np.float32]
    geometries: tuple[Geometry, ...]


@dataclass(frozen=True)
class Predictions:
    """What a model says of every image of a table.

    Attributes:
        info: The model's description.
        logits: Shape (N, K).
        probabilities: Shape (N, C).
        calls: Called class index (N,), or booleans (N, C) for multi-label.
    """

    info: ModelInfo
    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float64]
    calls: npt.NDArray[Any]

    def write(self, path: Path, table: Table) -> None:
        """Write `predictions.csv`: image, label, split, patient, call, logits, probabilities.

        Several labels stand as `a|b`; `?c` is a label that is unknown.

        Args:
            path: The file; it appears whole or not at all.
            table: The table that was predicted, in the same order.
        """
        stream = io.StringIO()
        writer = csv.writer(stream)
        classes = self.info.classes
        logit_names = classes if self.logits.shape[1] == len(classes) else classes[-1:]
        writer.writerow(
            [
                *("image", "label", "split", "patient", "predicted"),
                *(f"logit_{name}" for name in logit_names),
                *(f"prob_{name}" for name in classes),
            ]
        )
        for row, record in enumerate(table.records):
            writer.writerow(
                [
                    record.name,
                    label_text(record.label, classes) or "",
                    record.split or "",
                    record.patient,
                    _call_text(self.calls[row], classes),
                    *(f"{value:.6g}" for value in self.logits[row]),
                    *(f"{value:.6g}" for value in self.probabilities[row]),
                ]
            )
        write_atomically(path, stream.getvalue())


def _call_text(call: Any, classes: tuple[str, ...]) -> str:
    if np.ndim(call):
        return "|".join(name for name, value in zip(classes, call, strict=True) if value)
    return classes[int(call)]


def batches(
    table: Table,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 16,
    title: str = "predicting",
    show_progress: bool = False,
) -> Iterator[Batch]:
    """Read and prepare the images of a table, one batch ahead of the model.

    Args:
        table: The images.
        preprocessing: How pixels become input.
        batch_size: Images per batch.
        title: What the progress bar says.
        show_progress: Whether to show it.

    Yields:
        The batches, in order.

    Raises:
        InputError: Naming every image of the batch that cannot be read.
    """

    def prepare(record: Record) -> Sample | InputError:
        try:
            return preprocessing(read_record(record))
        except InputError as error:
            return error

    records = table.records
    starts = range(0, len(records), batch_size)
    with (
        image_progress(title, shown=show_progress) as told,
        ThreadPoolExecutor(max_workers=2) as pool,
    ):
        ahead = [pool.submit(prepare, record) for record in records[:batch_size]]
        for start in starts:
            now = [future.result() for future in ahead]
            following = records[start + batch_size : start + 2 * batch_size]
            ahead = [pool.submit(prepare, record) for record in following]
            samples = _all_readable(now)
            yield Batch(
                start,
                records[start : start + batch_size],
                np.stack([sample.pixels for sample in samples]),
                tuple(sample.geometry for sample in samples),
            )
            told(start + len(samples), len(records))


def _all_readable(results: list[Sample | InputError]) -> list[Sample]:
    problems = [str(item) for item in results if isinstance(item, InputError)]
    if problems:
        raise InputError("\n".join(problems[:_MAX_LISTED]))
    return [item for item in results if isinstance(item, Sample)]


def run_batch(
    model: SoftCAM | BlackBox,
    pixels: npt.NDArray[np.float32],
    views: Sequence[View] = (View(),),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Run one batch.

    Args:
        model: The model.
        pixels: Normalised input of shape (B, C, H, W).
        views: Views of each image to average over, see `softcam.explanation.views`.

    Returns:
        Logits (B, K), and the evidence (B, K, h, w) or None for a black box.
    """
    return average_views(lambda batch: _run(model, batch), pixels, views)


def views_of(model: SoftCAM | BlackBox, tta: str) -> tuple[View, ...]:
    """Choose the views of test-time augmentation for a model.

    Args:
        model: The model.
        tta: "none", "flips" or "rotations".

    Returns:
        The views.

    Raises:
        InputError: If the model's training or its input does not allow them.
    """
    return choose_views(tta, model.info, preprocessing_of(model).size)


def _run(
    model: SoftCAM | BlackBox, pixels: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    parameter = next(model.parameters())
    images = torch.from_numpy(pixels).to(parameter.device, parameter.dtype)
    with evaluating(model):
        result = model(images)
    if isinstance(model, SoftCAM):
        return result.logits.float().cpu().numpy(), result.evidence.float().cpu().numpy()
    return result.float().cpu().numpy(), None


def predictions_from(info: ModelInfo, logits: npt.NDArray[np.float32]) -> Predictions:
    """Turn logits into probabilities and calls.

    Args:
        info: Task, classes and thresholds.
        logits: Shape (N, K).

    Returns:
        The predictions.

    Raises:
        InputError: If the model does not know its task.
    """
    task = task_of(info)
    scores = probabilities(logits, task)
    calls = decide(scores, task, info.classes, info.positive, info.thresholds)
    return Predictions(info, logits, scores, calls)


def predict_table(
    model: SoftCAM | BlackBox,
    table: Table,
    *,
    batch_size: int = 16,
    tta: str = "none",
    title: str = "predicting",
    show_progress: bool = False,
) -> Predictions:
    """Classify every image of a table.

    Args:
        model: A SoftCAM or a black box.
        table: The images.
        batch_size: Images per batch.
        tta: Views of each image to average over: "none", "flips" or "rotations".
        title: What the progress bar says.
        show_progress: Whether to show it.

    Returns:
        The predictions, in the table's order.

    Raises:
        InputError: If an image cannot be read, or the model lacks task or preprocessing.
    """
    views = views_of(model, tta)
    logits = [
        run_batch(model, batch.pixels, views)[0]
        for batch in batches(
            table,
            preprocessing_of(model),
            batch_size=batch_size,
            title=title,
            show_progress=show_progress,
        )
    ]
    return predictions_from(model.info, np.concatenate(logits))


def task_of(info: ModelInfo) -> Task:
    """Give a model's task.

    Raises:
        InputError: If it was never set.
    """
    if info.task is None or not info.classes:
        raise InputError(
            "this model does not say what its classes are; set `model.info.task` and "
            "`model.info.classes` before saving it, or train it with softcam."
        )
    return info.task
