"""From a table of images to a finished run folder."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from softcam.conversion.black_box import BlackBox
from softcam.data.cache import PreparedCache
from softcam.data.records import Table
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.model import SoftCAM
from softcam.files import write_atomically
from softcam.training.augment import Augment
from softcam.training.config import TrainConfig, make_config
from softcam.training.dataset import ImageDataset
from softcam.training.freezing import frozen_parameters
from softcam.training.loop import fit
from softcam.training.losses import require_task
from softcam.training.precision import choose_device, choose_precision
from softcam.training.processes import Processes
from softcam.training.provenance import data_checksums, keep_data, note_environment
from softcam.training.run import Run, check_folder, start_folder
from softcam.training.sampling import require_one_class
from softcam.training.shuffling import SHUFFLED, learned_split
from softcam.training.trackers import require_mlflow
from softcam.workflows.after_training import prepare_for_use
from softcam.workflows.check import Checked, check_read
from softcam.workflows.evaluate import Assessment
from softcam.workflows.models import new_model, preprocessing_for
from softcam.workflows.progress import image_progress
from softcam.workflows.results import finish_run

_LOG = logging.getLogger("softcam")

QUALITY = "quality.json"
"""What a check of the table found, in the run folder."""


def train(
    config: TrainConfig | Mapping[str, Any],
    *,
    resume: bool = False,
    check: bool = False,
    strict: bool = False,
    show_progress: bool = True,
) -> Run:
    """Train a self-explaining model, and its black-box twin if asked.

    Args:
        config: The settings, or a mapping of them.
        resume: Go on with the unfinished run in `config.out`.
        check: Check the table first, see `softcam.workflows.check`; what is found is logged and
            written to `quality.json` in the run folder.
        strict: Check, and refuse leaks and label conflicts.
        show_progress: Whether to show progress bars.

    Returns:
        The finished run.

    Raises:
        InputError: If a setting, the table, an image or the folder cannot be used.
        ConversionError: If the backbone cannot become a SoftCAM so.
        KeyboardInterrupt: After an interruption; `resume=True` goes on.
    """
    settings = config if isinstance(config, TrainConfig) else make_config(dict(config))
    processes = Processes.of_environment()
    with processes.joined(choose_device(settings) if processes.several else "cpu"):
        trained = _train_models(
            settings,
            processes,
            resume=resume,
            check=check,
            strict=strict,
            show_progress=show_progress,
        )
        if processes.first:
            trained.finish(settings, show_progress=show_progress)
        processes.wait()
    return trained.run


def train_and_assess(
    settings: TrainConfig,
    *,
    resume: bool = False,
    check: bool = False,
    strict: bool = False,
    title: str | None = None,
    table: Table | None = None,
    show_progress: bool = True,
) -> tuple[Run, Assessment]:
    """Train as `train` does, and keep what was measured at the end.

    Args:
        settings: The settings.
        resume: Go on with the unfinished run in `settings.out`.
        check: As `train`.
        strict: As `train`.
        title: Heading of the report.
        table: The table, if it was read before; that of the settings if None.
        show_progress: Whether to show progress bars.

    Returns:
        The finished run, and its assessment on the test split (on val where there is none).

    Raises:
        InputError: As `train`.
        ConversionError: As `train`.
        KeyboardInterrupt: As `train`.
    """
    processes = Processes.of_environment()
    if processes.several:
        raise InputError("this command runs in one process; start softcam train with torchrun.")
    trained = _train_models(
        settings,
        processes,
        resume=resume,
        check=check,
        strict=strict,
        table=table,
        show_progress=show_progress,
    )
    return trained.run, trained.finish(settings, title=title, show_progress=show_progress)


@dataclass(frozen=True)
class _Trained:
    """Runs whose models are trained, and the table that they are measured on."""

    run: Run
    twin: Run | None
    table: Table

    def finish(
        self, settings: TrainConfig, *, title: str | None = None, show_progress: bool
    ) -> Assessment:
        """Measure the models and write what was found."""
        seed = settings.seed
        if self.twin is not None and not self.twin.finished:
            finish_run(self.twin, self.table, seed=seed, show_progress=show_progress)
        return finish_run(
            self.run,
            self.table,
            twin=self.twin,
            seed=seed,
            title=title,
            show_progress=show_progress,
        )


def _train_models(
    settings: TrainConfig,
    processes: Processes,
    *,
    resume: bool,
    check: bool,
    strict: bool,
    table: Table | None = None,
    show_progress: bool,
) -> _Trained:
    """Train the model and its twin; of several processes, the first writes."""
    show_progress = show_progress and processes.first
    # Bad input leaves nothing behind: the folder is made when table, images and model are good.
    if table is None:
        table = read_table(
            settings.table,
            images=settings.images,
            spec=settings.dataset,
            seed=settings.seed_of_splits(),
        )
    for note in table.notes:
        _LOG.info("%s: %s", settings.table, note)
    data = _Data.of(table, settings)
    if settings.shuffle_labels:
        _LOG.warning("%s: %s; this model is for checks only.", settings.out, SHUFFLED)
    # On machines where none died, torchrun counts no restart.
    restarted = bool(processes.gather(torch.tensor(processes.restarts)).any())
    if restarted and (settings.out / "config.yaml").is_file():
        resume = True  # the command is still the first start's
    if not (restarted and Run(settings.out).finished):
        check_folder(settings.out, resume=resume)
    device = choose_device(settings)
    choose_precision(settings, device)
    if settings.mlflow:
        require_mlflow()
    quality = None
    if (check or strict) and processes.first:
        quality = _check(table, settings, strict=strict, show_progress=show_progress)
    datasets = data.prepare(settings, processes, show_progress=show_progress)
    checksums = None
    if processes.first:
        with image_progress("checksums", shown=show_progress) as told:
            checksums = data_checksums(table, settings.dataset, told)
    processes.wait()  # until all have looked at the folder, which the first one now fills
    models = [(settings, new_model(settings, table, len(data.train)))]
    if settings.with_twin:
        other = settings.for_twin()
        if settings.mosaic:
            _LOG.info("the black-box twin trains without mosaics: it has no maps to shape.")
        models.append((other, new_model(other, table, len(data.train))))
    for which, model in models:
        frozen_parameters(model, which.freeze, which.size)  # or refuse
    runs = []
    for which, model in models:
        run = start_folder(which) if processes.first else Run(which.out)
        if checksums is not None:
            keep_data(run.path, table.path, checksums)
            note_environment(run.path, processes, device)
        if quality is not None and which is settings:
            write_atomically(run.path / QUALITY, json.dumps(quality.to_json(), indent=2) + "\n")
        _train_one(which, model, data, datasets, run, processes, show_progress=show_progress)
        runs.append(run)
    return _Trained(runs[0], runs[1] if settings.with_twin else None, table)


def _check(table: Table, settings: TrainConfig, *, strict: bool, show_progress: bool) -> Checked:
    quality = check_read(table, show_progress=show_progress)
    quality.refuse_unreadable()
    for finding in quality.findings:
        if any(finding.sentence.startswith(note) for note in table.notes):
            continue  # logged with the notes
        _LOG.warning("%s: %s: %s.", settings.table, finding.severity, finding.sentence)
    if strict:
        quality.refuse()
    return quality


@dataclass(frozen=True)
class _Data:
    """The splits that training looks at."""

    table: Table
    train: Table
    val: Table

    @classmethod
    def of(cls, table: Table, settings: TrainConfig) -> _Data:
        train, val = (learned_split(table, split, settings) for split in ("train", "val"))
        require_task(settings.loss, table.spec.task)
        require_one_class(settings.sampling, train.labels())
        if len(train) < 2:
            raise InputError(f"{table.path}: has {len(train)} training image; training needs two.")
        return cls(table, train, val)

    def prepare(
        self, settings: TrainConfig, processes: Processes, *, show_progress: bool
    ) -> tuple[ImageDataset, ImageDataset]:
        if settings.cache is None:
            return self._read(settings, processes, show_progress=show_progress)
        with processes.one_after_another():  # so that each image is prepared once
            return self._read(settings, processes, show_progress=show_progress)

    def _read(
        self, settings: TrainConfig, processes: Processes, *, show_progress: bool
    ) -> tuple[ImageDataset, ImageDataset]:
        preprocessing = preprocessing_for(settings)
        room = int(settings.cache_gb * 2**30) // processes.local_world
        cache = PreparedCache(settings.cache, preprocessing) if settings.cache else None
        with image_progress("reading training images", shown=show_progress) as told:
            train = ImageDataset(
                self.train,
                preprocessing,
                augment=Augment(settings.augment),
                seed=settings.seed,
                cache_bytes=room,
                cache=cache,
                progress=told,
            )
        with image_progress("reading validation images", shown=show_progress) as told:
            val = ImageDataset(
                self.val,
                preprocessing,
                cache_bytes=max(0, room - train.nbytes),
                cache=cache,
                progress=told,
            )
        again = train.decoded_each_epoch + val.decoded_each_epoch
        if again:
            _LOG.info(
                "%s: %d of %d images do not fit into %g GiB of memory and are decoded in every "
                "epoch; --cache FOLDER keeps them on disk",
                settings.table,
                again,
                len(train) + len(val),
                settings.cache_gb,
            )
        return train, val


def _train_one(
    settings: TrainConfig,
    model: SoftCAM | BlackBox,
    data: _Data,
    datasets: tuple[ImageDataset, ImageDataset],
    run: Run,
    processes: Processes,
    *,
    show_progress: bool,
) -> None:
    if processes.agree(run.model.is_file()):
        return  # trained before the interruption
    started = time.monotonic()
    fitted = fit(
        model,
        settings,
        data.table.spec.task,
        *datasets,
        run.path,
        name="black-box twin" if settings.black_box else "SoftCAM",
        show_progress=show_progress,
        processes=processes,
    )
    if not processes.first:
        return
    prepare_for_use(model, settings, fitted, data.val, started, show_progress=show_progress)
    model.save(run.model)
