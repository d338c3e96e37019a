"""The learning-rate range test: the rate rises step by step, and the loss says how far it may."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from softcam.data.table import read_table
from softcam.errors import InputError, WorkError
from softcam.files import write_atomically
from softcam.training.augment import Augment
from softcam.training.config import TrainConfig
from softcam.training.dataset import EpochSampler, ImageDataset
from softcam.training.freezing import freeze
from softcam.training.loop import class_weights, model_outputs
from softcam.training.losses import require_task
from softcam.training.precision import choose_device
from softcam.training.sampling import require_one_class
from softcam.training.shuffling import learned_split
from softcam.training.task import ClassificationTask
from softcam.workflows.models import new_model, preprocessing_for
from softcam.workflows.progress import image_progress

LOWEST, HIGHEST = 1e-6, 1.0
"""The peak learning rates that are tried."""

_MEMORY = 0.9
"""Of the running mean over the losses: it forgets within about ten steps."""

_LOST = 3.0
"""The test ends where the smoothed loss is this many times the least one."""


@dataclass(frozen=True)
class RateTest:
    """What a range test found.

    Attributes:
        rates: The learning rates, one for each step.
        losses: The loss of each step's batch, before the step.
        smoothed: Their running mean.
        suggestion: The rate at which the smoothed loss fell most steeply.
        files: The table and the picture that were written.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float
    files: tuple[Path, ...]

    def sentence(self) -> str:
        """Say it in two sentences."""
        return (
            f"Suggested: --lr {self.suggestion:.1e}, where the loss fell most steeply over "
            f"{len(self.rates)} steps from {self.rates[0]:.0e} to {self.rates[-1]:.0e}. "
            f"Written: {', '.join(map(str, self.files))}"
        )


def find_learning_rate(
    settings: TrainConfig, *, steps: int = 100, show_progress: bool = True
) -> RateTest:
    """Train a new model for some steps while the learning rate rises, and suggest a rate.

    Everything else is as the settings say: optimizer, factors over the depth, loss, penalty,
    sampling, augmentation and seed; the precision is 32 bits. No run is begun.

    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017
    (arXiv 1506.01186), Section 3.3.

    Args:
        settings: The settings; `OUT-lr.csv` and `OUT-lr.png` are written beside their `out`.
        steps: Number of steps from the lowest rate to the highest.
        show_progress: Whether to show a progress bar.

    Returns:
        Rates, losses and the suggestion.

    Raises:
        InputError: As `softcam.workflows.train.train`.
        ConversionError: As `softcam.workflows.train.train`.
        WorkError: If the loss fell at no rate.
    """
    table = read_table(
        settings.table, images=settings.images, spec=settings.dataset, seed=settings.seed
    )
    chosen = learned_split(table, "train", settings)
    require_task(settings.loss, table.spec.task)
    require_one_class(settings.sampling, chosen.labels())
    device = choose_device(settings)
    model = new_model(settings, table, len(chosen))
    with image_progress("reading training images", shown=show_progress) as told:
        data = ImageDataset(
            chosen,
            preprocessing_for(settings),
            augment=Augment(settings.augment),
            seed=settings.seed,
            cache_bytes=int(settings.cache_gb * 2**30),
            progress=told,
        )
    frozen = freeze(model, settings.freeze, settings.size)
    weights = class_weights(
        data.labels, table.spec.task, model_outputs(model), settings.class_weights
    )
    task = ClassificationTask(model, settings, table.spec.task, weights, steps).to(device).train()
    for name in frozen:
        model.get_submodule(name).eval()
    rates = np.geomspace(LOWEST, HIGHEST, steps).tolist()
    losses = _rise(task, rates, _batches(data, settings), device, show_progress=show_progress)
    smoothed = smooth(losses)
    suggestion = steepest(rates[: len(losses)], smoothed)
    if suggestion is None:
        raise WorkError(
            f"find-lr: the loss fell at no learning rate from {LOWEST:g} to {HIGHEST:g}; look at "
            "the table with `softcam check`, or try --overfit-batch."
        )
    found = RateTest(tuple(rates[: len(losses)]), tuple(losses), tuple(smoothed), suggestion, ())
    return _written(found, settings.out)


def _rise(
    task: ClassificationTask,
    rates: list[float],
    batches: Iterator[tuple[Tensor, Tensor]],
    device: str,
    *,
    show_progress: bool,
) -> list[float]:
    optimizer = task.configure_optimizers()["optimizer"]
    peak = task.config.learning_rate()
    # The schedule has set the first step's rate already; what counts is each group's full one.
    factors = [group["initial_lr"] / peak for group in optimizer.param_groups]
    losses: list[float] = []
    least = math.inf
    with (
        image_progress("raising the learning rate", shown=show_progress) as told,
        warnings.catch_warnings(),
    ):
        # The task logs to a trainer, which there is none of here.
        warnings.filterwarnings("ignore", message=r".*self\.log.*")
        for step, (rate, batch) in enumerate(zip(rates, batches, strict=False)):
            for group, factor in zip(optimizer.param_groups, factors, strict=True):
                group["lr"] = rate * factor
            given = (batch[0].to(device), batch[1].to(device))
            task.on_train_batch_start(given, step)
            loss = task.training_step(given, step)
            losses.append(float(loss.detach()))
            now = smooth(losses)[-1]
            least = min(least, now)
            if not math.isfinite(now) or (step >= 10 and now > _LOST * least):
                break
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            told(step + 1, len(rates))
    return losses


def _batches(data: ImageDataset, settings: TrainConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Give batches as training does, epoch after epoch."""
    sampler = EpochSampler(
        len(data),
        settings.seed,
        labels=data.labels,
        rule=settings.sampling,
        epochs=settings.epochs,
    )
    size = min(settings.batch_size, len(data))
    epoch = 0
    while True:
        sampler.set_epoch(epoch)
        places = list(sampler)
        for start in range(0, len(places) - size + 1, size):
            items = [data[place] for place in places[start : start + size]]
            yield (
                torch.stack([image for image, _ in items]),
                torch.stack([label for _, label in items]),
            )
        epoch += 1


def smooth(losses: list[float]) -> list[float]:
    """Compute the running mean of losses, without the pull of its start towards zero.

    Args:
        losses: One for each step.

    Returns:
        As many: sum of memory^(n - i) x loss_i over the sum of the factors.
    """
    result, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = _MEMORY * total + loss, _MEMORY * weight + 1
        result.append(total / weight)
    return result


def steepest(rates: list[float], smoothed: list[float]) -> float | None:
    """Find the rate at which a curve falls most steeply, over the logarithm of the rate.

    Args:
        rates: Rising learning rates.
        smoothed: The smoothed loss at each.

    Returns:
        The rate, of those before the least loss; None if it falls nowhere.
    """
    values = np.asarray(smoothed)
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) < 3:
        return None
    values = values[: finite[-1] + 1]
    lowest = int(values.argmin())
    slope = np.gradient(values, np.log(rates[: len(values)]))
    if lowest == 0 or slope[: lowest + 1].min() >= 0:
        return None
    return float(rates[int(slope[: lowest + 1].argmin())])


def _written(found: RateTest, out: Path) -> RateTest:
    """Write the table and the picture beside a run folder that need not exist."""
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out.parent}: cannot be made ({error.strerror}); choose another --out."
        ) from error
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["step", "lr", "loss", "smoothed"])
    for step, row in enumerate(zip(found.rates, found.losses, found.smoothed, strict=True)):
        writer.writerow([step + 1, *(f"{value:.6g}" for value in row)])
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses, color="0.75", label="loss of the batch")
    axes.plot(found.rates, found.smoothed, color="C0", label="smoothed")
    axes.axvline(found.suggestion, color="C3", linestyle="--", label=f"{found.suggestion:.1e}")
    axes.set(xscale="log", xlabel="Learning rate", ylabel="Training loss")
    known = [value for value in found.smoothed if math.isfinite(value)]
    axes.set_ylim(0, 1.1 * max(known[: max(1, len(known) * 9 // 10)]))
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    files = (
        write_atomically(out.with_name(f"{out.name}-lr.csv"), stream.getvalue()),
        write_atomically(out.with_name(f"{out.name}-lr.png"), picture.getvalue()),
    )
    return RateTest(found.rates, found.losses, found.smoothed, found.suggestion, files)
