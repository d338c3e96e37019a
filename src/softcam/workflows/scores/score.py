"""Score every image of a table and keep the answers in files; a killed run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.explanation.predictor import Predictor
from softcam.files import locked
from softcam.workflows.predictors import open_predictor
from softcam.workflows.progress import image_progress
from softcam.workflows.scores import extra
from softcam.workflows.scores.device import place
from softcam.workflows.scores.identity import (
    digest_files,
    digest_predictor,
    digest_table,
    files_of,
)
from softcam.workflows.scores.job import Job, Source
from softcam.workflows.scores.scorer import Scorer
from softcam.workflows.scores.settings import Effort, ScoreSettings
from softcam.workflows.scores.store import COMMAND, ScoreStore, check_folder
from softcam.workflows.scores.stream import score_blocks

if TYPE_CHECKING:
    from softcam.evidence.model import SoftCAM
    from softcam.workflows.models import RunLike

_LOG = logging.getLogger("softcam")


@dataclass(frozen=True)
class ScoredTable:
    """What came of scoring a table; the answers are on disk, see `read_scores`.

    Attributes:
        folder: Where they are.
        images: Number of images of the table.
        before: How many of them had been scored by an earlier call.
        problems: How many could not be scored.
        listed: The first of the problems, one sentence each.
        regions: Number of evidence regions.
        completeness_error: The largest difference between a logit and the mean of its map.
    """

    folder: Path
    images: int
    before: int
    problems: int
    listed: tuple[str, ...]
    regions: int
    completeness_error: float


def score_table(
    model: SoftCAM | Predictor | RunLike,
    table: Path | str,
    out: Path | str,
    *,
    settings: ScoreSettings | None = None,
    effort: Effort | None = None,
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    retry: bool = False,
    ray: str | None = None,
    show_progress: bool = False,
) -> ScoredTable:
    """Score every image of a table, block by block.

    Called again after it was stopped in whatever way, it does the blocks that are not there yet.

    Args:
        model: A SoftCAM, a predictor, a run folder or a model file.
        table: A table.csv, its folder, or a folder of images or of class folders; labels are
            kept where there are any.
        out: Where to write; a folder of its own.
        settings: What to make of every image; the defaults if None.
        effort: How to work; the defaults if None.
        split: "train", "val" or "test" for these images only; all if None.
        images: Folder of the images, if not beside the table.
        dataset: The dataset.yaml, if not beside the table.
        retry: Score the blocks again in which images could not be scored.
        ray: Address of a Ray cluster to work on, or "local" for one on this machine; None works
            without Ray.
        show_progress: Whether to show a progress bar.

    Returns:
        What came of it.

    Raises:
        InputError: An argument cannot be used, the folder holds the scores of another model,
            table or settings, or cannot be written.
        MissingExtraError: A library of the extra `scores` or `ray` is not installed.
    """
    wanted, how, folder = settings or ScoreSettings(), effort or Effort(), Path(out)
    extra.pyarrow()
    if wanted.maps:
        extra.zarr()
    if ray is not None:
        extra.ray(ray)
        if not isinstance(model, str | Path):
            raise InputError("ray: other processes need a run folder or a model file, no object.")
    check_folder(folder)
    predictor = place(open_predictor(model), how.device)
    scorer = Scorer(predictor, wanted)
    chosen = _read(predictor, table, split, images, dataset)
    job, begun = _job_in(folder, scorer, _model_of(model, scorer), chosen, wanted)
    store = ScoreStore(folder, job)
    with locked(folder, COMMAND):
        if not begun:
            store.start()
        blocks = store.missing(retry=retry)
        before = store.job.images - sum(len(store.job.rows_of(block)) for block in blocks)
        with image_progress("scoring", shown=show_progress) as bar:
            told = _counter(before, store.job.images, bar)
            if ray is not None and blocks:
                from softcam.workflows.scores.cluster import score_on_cluster

                run = Path(str(model))
                score_on_cluster(run, store, chosen.records, blocks, how, told, address=ray)
            else:
                score_blocks(
                    scorer,
                    job,
                    lambda block: _records_of(chosen, job, block),
                    blocks,
                    effort=how,
                    write=store.write,
                    told=told,
                )
        totals = store.finish()
    return ScoredTable(
        folder,
        totals.images,
        before,
        totals.problems,
        totals.listed,
        totals.regions,
        totals.completeness_error,
    )


def _read(
    predictor: Predictor,
    table: Path | str,
    split: str | None,
    images: Path | None,
    dataset: Path | None,
) -> Table:
    """Read a table whose labels, if it has any, mean what they meant in the model's training."""
    info = predictor.info
    spec: DatasetSpec | Path | None = dataset
    if spec is None and info.task is not None and info.classes:
        spec = DatasetSpec(
            info.task, info.classes, info.positive, dict(info.findings), dict(info.labels)
        )
    # Absolute, since results outlive the folder that the command was called in.
    table = Path(table).absolute()
    images = None if images is None else images.absolute()
    more: dict[str, Any] = {"images": images, "require_labels": False, "make_splits": False}
    try:
        read = read_table(table, spec=spec, **more)
    except InputError:
        own = None if dataset is not None else _read_as_it_stands(table, more)
        if own is None:
            raise
        read = own
    for note in read.notes:
        _LOG.info("%s: %s", table, note)
    return read if split in (None, "all") else read.subset(str(split))


def _read_as_it_stands(table: Path, more: dict[str, Any]) -> Table | None:
    """Read a table whose labels are no classes of the model, such as folders by date."""
    try:
        read = read_table(table, **more)
    except InputError:
        return None
    shown = ", ".join(read.spec.classes[:5])
    _LOG.info("%s: its labels (%s) are no classes of the model", table, shown)
    return read


def _records_of(table: Table, job: Job, block: int) -> tuple[Record, ...]:
    rows = job.rows_of(block)
    return table.records[rows.start : rows.stop]


def _model_of(model: Any, scorer: Scorer) -> Source:
    if isinstance(model, str | Path) or hasattr(model, "path"):
        files = files_of(model)
        if files:
            return Source(files[0].name, digest_files(files))
    digest = digest_predictor(scorer.predictor.predictor, scorer.preprocessing)
    return Source(type(model).__name__, digest)


def _job_in(
    folder: Path, scorer: Scorer, model: Source, table: Table, settings: ScoreSettings
) -> tuple[Job, bool]:
    """Give the job whose results the folder shall hold, and whether it holds some already."""
    source = Source(table.path.name, digest_table(table))
    info = scorer.predictor.info
    begun = check_folder(folder)
    shape = Job.read(folder).shape if begun else scorer.shape()
    job = Job(model, source, len(table), settings, info, shape, table.spec.classes)
    if begun:
        Job.read(folder).refuse_other(folder, job)
    return job, begun


def _counter(before: int, total: int, bar: Callable[[int, int], None]) -> Callable[[int], None]:
    """Count images up for a progress bar."""
    done = before
    bar(done, total)

    def told(count: int) -> None:
        nonlocal done
        done += count
        bar(done, total)

    return told
