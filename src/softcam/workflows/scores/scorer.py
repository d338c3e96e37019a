"""From the records of a block to the files of a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.plane import PlaneGeometry
from softcam.data.readers import read_record
from softcam.data.records import Record
from softcam.errors import InputError
from softcam.explanation.explain import preprocessing_of
from softcam.explanation.explanation import evidence_problem
from softcam.explanation.predictor import Predictor
from softcam.explanation.views import AveragedPredictor
from softcam.workflows.scores import columns
from softcam.workflows.scores.columns import UNDEFINED, UNREADABLE, Scored
from softcam.workflows.scores.job import Job
from softcam.workflows.scores.maps import chunk_bytes, chunk_name
from softcam.workflows.scores.names import Names
from softcam.workflows.scores.settings import ScoreSettings

LISTED = 10
"""How many problems of a block are kept in words outside of the rows."""


@dataclass(frozen=True)
class Prepared:
    """An image as the model takes it, or why it cannot be taken.

    Attributes:
        record: The image.
        pixels: Normalised input of shape (C, H, W); None if it could not be read.
        geometry: Where every file pixel went; likewise.
        plane: Where the image lies in the patient, if its file says so.
        problem: Why it could not be read; None if it was.
    """

    record: Record
    pixels: npt.NDArray[np.float32] | None = None
    geometry: Geometry | None = None
    plane: PlaneGeometry | None = None
    problem: str | None = None


@dataclass(frozen=True)
class BlockFiles:
    """A block that is ready to be written.

    Attributes:
        block: Its number.
        files: Name in the results' folder to content.
        facts: What is said of the block beside its files, as JSON values.
    """

    block: int
    files: dict[str, bytes]
    facts: dict[str, Any]


class Scorer:
    """Reads, prepares, predicts and puts into files.

    Args:
        predictor: The model.
        settings: What to make of every image.

    Raises:
        InputError: The model does not say how it wants its input, or does not allow the views.
    """

    def __init__(self, predictor: Predictor, settings: ScoreSettings) -> None:
        self.settings = settings
        self.preprocessing = preprocessing_of(predictor)
        self.predictor = AveragedPredictor(predictor, settings.tta)

    def shape(self) -> tuple[int, int, int]:
        """Find out how many maps of which size (h, w) the model gives, by one black image.

        Raises:
            InputError: The maps are not two-dimensional, or the model names other classes.
        """
        blank = np.zeros((1, len(self.preprocessing.mean), *self.preprocessing.size), np.float32)
        logits, evidence = self.predictor.predict(blank)
        if evidence.ndim != 4 or evidence.shape[:2] != logits.shape:
            raise InputError(
                "A table can be scored by a model with one logit and one 2-D map for each output; "
                f"this one gives logits of shape {logits.shape} and evidence of shape "
                f"{evidence.shape}."
            )
        outputs, height, width = evidence.shape[1:]
        info = self.predictor.info
        expected = len(Names(info.model_copy(update={"classes": ()}), outputs).classes)
        if info.classes and len(info.classes) != expected:
            raise InputError(
                f"The model names {len(info.classes)} classes ({', '.join(info.classes)}) but "
                f"tells {expected} apart; set info.classes to as many names."
            )
        return int(outputs), int(height), int(width)

    def prepare(self, record: Record) -> Prepared:
        """Read an image and bring it into the model's form; may run in any thread."""
        try:
            pixels = read_record(record)
            sample = self.preprocessing(pixels)
        except InputError as error:
            return Prepared(record, problem=str(error))
        return Prepared(record, sample.pixels, sample.geometry, pixels.plane)

    def predict(self, prepared: Sequence[Prepared]) -> list[Scored]:
        """Run the model on a batch.

        Args:
            prepared: The images of the batch; those that could not be read are passed over.

        Returns:
            What came of each, in order.
        """
        pixels = [item.pixels for item in prepared if item.pixels is not None]
        answers: Iterator[tuple[Any, Any]] = iter(())
        if pixels:
            answers = zip(*self.predictor.predict(np.stack(pixels)), strict=True)
        return [
            Scored(item.record, UNREADABLE, item.problem)
            if item.pixels is None
            else _scored(item, *next(answers))
            for item in prepared
        ]


def files_of_block(job: Job, block: int, scored: Sequence[Scored]) -> BlockFiles:
    """Put a block into files; the same images give the same bytes.

    Args:
        job: What the results belong to; its digest goes into every Parquet file.
        block: Its number.
        scored: Its images, in order.
    """
    settings, names = job.settings, job.names
    start = job.rows_of(block).start
    said = {"softcam.job": job.digest}
    rows = columns.image_rows(scored, start, names, job.labels)
    files = {}
    regions: list[dict[str, Any]] = []
    if settings.maps:
        files[chunk_name(block)] = chunk_bytes(_stack(scored, job.shape), settings.block)
    if settings.regions:
        regions = columns.region_rows(
            scored, start, names, contrast=settings.contrast, threshold=settings.threshold
        )
        content = columns.parquet_bytes(regions, columns.region_schema(), said)
        files[part_name("regions", block)] = content
    content = columns.parquet_bytes(rows, columns.image_schema(names), said)
    files[part_name("images", block)] = content
    problems = [item for item in scored if item.problem is not None]
    errors = [row["completeness_error"] for row in rows if "completeness_error" in row]
    facts = {
        "images": len(scored),
        "problems": len(problems),
        "listed": [str(item.problem) for item in problems[:LISTED]],
        "regions": len(regions),
        "completeness_error": max(errors, default=0.0),
    }
    return BlockFiles(block, files, facts)


def _stack(scored: Sequence[Scored], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Every image's maps, NaN where there are none."""
    stacked = np.full((len(scored), *shape), np.nan, np.float32)
    for place, item in enumerate(scored):
        if item.evidence is not None:
            stacked[place] = item.evidence
    return stacked


def _scored(item: Prepared, logits: Any, evidence: Any) -> Scored:
    own = np.asarray(logits, dtype=np.float32)
    # A copy, since a view would keep the whole batch in memory until the block is full.
    maps = np.array(evidence, dtype=np.float32)
    problem = evidence_problem(item.record.name, own, maps)
    if problem is not None:
        return Scored(item.record, UNDEFINED, problem, item.geometry, item.plane)
    return Scored(item.record, columns.OK, None, item.geometry, item.plane, own, maps)


def part_name(kind: str, block: int) -> str:
    """Name the Parquet file of a block: images or regions."""
    return f"{kind}/part-{block:06d}.parquet"
