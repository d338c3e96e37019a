"""Trials before a long run: the whole way on one batch, and one batch learnt by heart."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import torch
from torch import nn

from softcam.conversion.black_box import BlackBox
from softcam.data.records import Record, Table
from softcam.data.table import read_table
from softcam.errors import InputError, WorkError
from softcam.evidence.loss import classification_loss
from softcam.evidence.model import SoftCAM
from softcam.training.config import TrainConfig
from softcam.training.dataset import ImageDataset
from softcam.training.freezing import freeze
from softcam.training.precision import choose_device
from softcam.training.schedule import make_optimizer
from softcam.training.seeds import STEP, derive
from softcam.training.shuffling import learned_split
from softcam.workflows.find_lr import find_learning_rate
from softcam.workflows.models import new_model, preprocessing_for
from softcam.workflows.progress import image_progress
from softcam.workflows.train import train_and_assess

LEARNT = 0.05
"""The cross-entropy below which a batch counts as learnt by heart."""


@dataclass(frozen=True)
class Trial:
    """What to do instead of a run.

    Attributes:
        work: Does it and says what came of it.
        keeps_nothing: Whether it writes nothing, so that no folder has to be named.
    """

    work: Callable[[TrainConfig], str]
    keeps_nothing: bool


def find_trial(
    *, fast_dev_run: bool, overfit_batch: int | None, find_lr: bool, resume: bool
) -> Trial | None:
    """Choose the trial that the flags of `softcam train` ask for.

    Args:
        fast_dev_run: Whether that flag was given.
        overfit_batch: Its number of images, if that flag was given.
        find_lr: Whether that flag was given.
        resume: Whether an unfinished run is to be resumed.

    Returns:
        The trial, or None for a run.

    Raises:
        InputError: If more than one thing was asked for.
    """
    asked = {
        "--fast-dev-run": fast_dev_run,
        "--overfit-batch": overfit_batch is not None,
        "--find-lr": find_lr,
    }
    given = [flag for flag, wanted in asked.items() if wanted]
    if len(given) + resume > 1 and given:
        other = given[1] if len(given) > 1 else "--resume"
        raise InputError(f"train: {given[0]} and {other} cannot be done at once; leave one out.")
    if fast_dev_run:
        return Trial(run_fast, keeps_nothing=True)
    if overfit_batch is not None:
        count = overfit_batch
        return Trial(lambda settings: _learn_by_heart(settings, count), keeps_nothing=True)
    if find_lr:
        return Trial(lambda settings: find_learning_rate(settings).sentence(), keeps_nothing=False)
    return None


def _learn_by_heart(settings: TrainConfig, images: int) -> str:
    result = overfit_batch(settings, images)
    if not result.learnt:
        raise WorkError(result.sentence())
    return result.sentence()


def few(table: Table, count: int) -> Table:
    """Keep a few images of each split, of as many classes as there is room for.

    Args:
        table: A table with or without splits.
        count: Images to keep of each split.

    Returns:
        A table with at most that many images of each split, in the table's order.
    """
    splits: dict[str | None, dict[object, list[Record]]] = {}
    for record in table.records:
        splits.setdefault(record.split, {}).setdefault(record.label, []).append(record)
    kept: set[str] = set()
    for by_label in splits.values():
        rounds = chain.from_iterable(zip_longest(*by_label.values()))
        chosen = [record for record in rounds if record is not None][:count]
        kept.update(record.name for record in chosen)
    return replace(table, records=tuple(r for r in table.records if r.name in kept))


def read_for_training(settings: TrainConfig) -> Table:
    """Read the table of a run as training does."""
    return read_table(
        settings.table, images=settings.images, spec=settings.dataset, seed=settings.seed
    )


def run_fast(settings: TrainConfig, *, show_progress: bool = True) -> str:
    """Go the whole way of a run on one batch: train, validate, save, load, evaluate, report.

    Args:
        settings: The settings; nothing is written to their `out`.
        show_progress: Whether to show progress bars.

    Returns:
        What was done, in a sentence. Nothing else is left: the run folder was a temporary one.

    Raises:
        InputError: As `softcam.workflows.train.train`.
        ConversionError: As `softcam.workflows.train.train`.
    """
    table = few(read_for_training(settings), max(2, settings.batch_size * settings.accumulate))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="softcam-") as folder:
        trial = settings.model_copy(update={"out": Path(folder) / "run", "epochs": 1})
        train_and_assess(trial, table=table, show_progress=show_progress)
    counts = ", ".join(f"{count} {name}" for name, count in table.splits().items())
    twin = " and its twin" if settings.with_twin else ""
    return (
        f"Fast run passed in {time.monotonic() - started:.0f} s: one batch was trained{twin}, "
        f"validated, saved, evaluated and reported ({counts} images). Nothing was kept."
    )


@dataclass(frozen=True)
class Overfit:
    """What came of training on one batch.

    Attributes:
        images: Images in the batch.
        losses: Cross-entropy before each step.
        learnt: Whether it fell below `LEARNT`.
    """

    images: int
    losses: tuple[float, ...]
    learnt: bool

    def sentence(self) -> str:
        """Say it in a sentence."""
        went = (
            f"the loss of one batch of {self.images} images went from {self.losses[0]:.3g} to "
            f"{self.losses[-1]:.3g} in {len(self.losses)} steps"
        )
        if self.learnt:
            return f"Learnt by heart: {went}."
        return (
            f"overfit-batch: {went}, and not below {LEARNT:g}; look at labels and images of the "
            "table, or try another --lr, fewer frozen layers or --drop-rate 0."
        )


def overfit_batch(
    settings: TrainConfig, images: int, *, steps: int = 300, show_progress: bool = True
) -> Overfit:
    """Train on the same few images again and again; a model that cannot learn them has a fault.

    The images are as many as asked for, of as many classes as possible, not augmented; the loss is
    plain cross-entropy without penalty, weights or smoothing, at the constant peak learning rate.
    Nothing is written.

    Args:
        settings: The settings.
        images: Images in the batch, at least 2.
        steps: Steps after which to give up.
        show_progress: Whether to show a progress bar.

    Returns:
        The losses, and whether the batch was learnt.

    Raises:
        InputError: As `softcam.workflows.train.train`, or for fewer than 2 images.
        ConversionError: As `softcam.workflows.train.train`.
        WorkError: If the loss is no number any more.
    """
    if images < 2:
        raise InputError(f"overfit-batch: a batch of {images} is too small; give 2 or more images.")
    table = read_for_training(settings)
    chosen = few(learned_split(table, "train", settings), images)
    data = ImageDataset(chosen, preprocessing_for(settings))
    items = [data[index] for index in range(len(data))]
    pixels = torch.stack([image for image, _ in items])
    labels = torch.stack([label for _, label in items])
    device = choose_device(settings)
    model = new_model(settings, table, len(chosen))
    frozen = freeze(model, settings.freeze, settings.size)
    model.to(device).train()
    for name in frozen:
        model.get_submodule(name).eval()
    pixels, labels = pixels.to(device), labels.to(device)
    optimizer = make_optimizer(model, settings)
    losses: list[float] = []
    with image_progress("learning one batch by heart", shown=show_progress) as told:
        for step in range(steps):
            torch.manual_seed(derive(settings.seed, STEP, 0, step))
            loss = classification_loss(logits_of(model, pixels), labels)
            losses.append(float(loss.detach()))
            if not torch.isfinite(loss):
                raise WorkError(
                    f"overfit-batch: the loss is {losses[-1]} after {step} steps; use a lower "
                    f"--lr (it was {settings.learning_rate():g})."
                )
            if losses[-1] < LEARNT:
                break
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            told(step + 1, steps)
    return Overfit(len(chosen), tuple(losses), losses[-1] < LEARNT)


def logits_of(model: SoftCAM | BlackBox | nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Give the logits of a SoftCAM or a black box."""
    result = model(pixels)
    logits: torch.Tensor = result.logits if isinstance(model, SoftCAM) else result.float()
    return logits
