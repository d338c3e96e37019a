"""Run Lightning's trainer over a task, from the start or from its last checkpoint."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.training.averaging import WeightAverage
from softcam.training.callbacks import History, TrainingProgress
from softcam.training.config import TrainConfig
from softcam.training.dataset import EpochSampler, ImageDataset, Unnormalised
from softcam.training.freezing import KeepFrozen, freeze
from softcam.training.precision import choose_device, choose_precision
from softcam.training.seeds import WORKER, derive, seed_worker
from softcam.training.task import ClassificationTask
from softcam.training.trackers import make_loggers


@dataclass(frozen=True)
class Fitted:
    """What a training loop gave; the model holds the weights of the best epoch.

    Attributes:
        model: The model that was given, in eval mode on the CPU.
        history: One row per epoch.
        best_epoch: Number of the best epoch, from 1.
        precision: The precision that was used.
        device: The device that was used.
    """

    model: nn.Module
    history: tuple[dict[str, float | int | None], ...]
    best_epoch: int
    precision: str
    device: str


def fit(
    model: nn.Module,
    config: TrainConfig,
    task: Task,
    train: ImageDataset,
    val: ImageDataset,
    folder: Path,
    *,
    name: str = "training",
    show_progress: bool = True,
) -> Fitted:
    """Train a model; where `folder` has a checkpoint, go on from it.

    Args:
        model: A SoftCAM or a black box, trained in place.
        config: All settings.
        task: What the labels mean.
        train: Training images.
        val: Validation images, on which the best epoch is chosen by AUC.
        folder: The run folder; checkpoints and logs go there.
        name: What the progress bar calls this run.
        show_progress: Whether to show it.

    Returns:
        The model with the best epoch's weights, and the history.

    Raises:
        KeyboardInterrupt: After an interruption; the last finished epoch is on disk.
        InputError: If the checkpoint in the folder is of another model, or the backbone has not
            the stages that are to be frozen.
    """
    device = choose_device(config)
    precision = choose_precision(config, device)
    workers = config.workers
    if workers is None:
        workers = choose_workers(device, train.decoded_each_epoch + val.decoded_each_epoch)
    gpu = device == "cuda"
    loader = make_loader(
        train,
        EpochSampler(
            len(train),
            config.seed,
            labels=train.labels,
            rule=config.sampling,
            epochs=config.epochs,
        ),
        batch_size=config.batch_size,
        seed=config.seed,
        workers=workers,
        pin_memory=gpu,
        # Batch statistics of a single image are of no use to batch normalisation.
        drop_last=len(train) % config.batch_size == 1 and len(train) > 1,
    )
    val_loader = make_loader(
        val,
        None,
        batch_size=config.batch_size,
        seed=config.seed,
        workers=workers,
        pin_memory=gpu,
    )
    frozen = freeze(model, config.freeze, config.size)
    weights = class_weights(train.labels, task, model_outputs(model), config.class_weights)
    lightning_task = ClassificationTask(model, config, task, weights, len(loader) * config.epochs)
    model.to(memory_format=torch.channels_last)

    checkpoints = folder / "checkpoints"
    best = ModelCheckpoint(
        dirpath=checkpoints,
        filename="best",
        monitor="val_score",
        mode="max",
        enable_version_counter=False,
    )
    # Lightning's own save_last follows the best epoch; a killed run goes on from the last one.
    newest = ModelCheckpoint(
        dirpath=checkpoints,
        filename="last",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    history = History(folder / "logs" / "metrics.csv")
    callbacks: list[Callback] = [
        history,
        best,
        TrainingProgress(name, shown=show_progress),
        newest,
    ]
    if frozen:
        callbacks.append(KeepFrozen(frozen))
    if config.ema:
        callbacks.append(WeightAverage(config.ema))
    if config.patience:
        callbacks.append(EarlyStopping("val_score", mode="max", patience=config.patience))
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    last = checkpoints / "last.ckpt"
    with _quiet_lightning(), _interruptible():
        trainer = lightning.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision=precision,
            max_epochs=config.epochs,
            logger=make_loggers(config, folder),
            callbacks=callbacks,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
        )
        try:
            trainer.fit(
                lightning_task,
                loader,
                val_loader,
                ckpt_path=str(last) if last.is_file() else None,
                weights_only=True,
            )
        except SystemExit as error:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from error
        except (RuntimeError, KeyError, EOFError) as error:
            if last.is_file() and "state_dict" in str(error):
                raise InputError(
                    f"{last}: is of another model than these settings make; use the same settings "
                    "or another run folder."
                ) from error
            raise
    state = torch.load(checkpoints / "best.ckpt", map_location="cpu", weights_only=True)
    lightning_task.load_state_dict(state["state_dict"])
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Fitted(
        model.eval(), tuple(history.rows), int(state["epoch"]) + 1, str(precision), device
    )


def choose_workers(device: str, decoded: int) -> int:
    """Choose the number of worker processes.

    A GPU waits for what the processor prepares, so that it gets a worker per core, up to eight. On
    the processor alone two workers overlap what must be decoded, and images that are prepared
    already need none: training takes every core there is.

    Args:
        device: "cpu" or "cuda".
        decoded: Images that have to be decoded in every epoch.

    Returns:
        The number; 0 prepares images in the training process.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    if device == "cuda":
        return min(8, cores)
    return min(2, cores) if decoded else 0


def make_loader(
    data: ImageDataset,
    sampler: EpochSampler | None,
    *,
    batch_size: int,
    seed: int,
    workers: int = 0,
    pin_memory: bool = False,
    drop_last: bool = False,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Load batches; the number of workers changes none of their numbers.

    Args:
        data: The images.
        sampler: Their order; None for the table's.
        batch_size: Images per batch.
        seed: The run's seed.
        workers: Processes that prepare images.
        pin_memory: Copy batches to memory that a GPU reads from directly.
        drop_last: Leave out a last batch that is smaller.

    Returns:
        A loader of images (B, C, H, W) and their labels.
    """
    images = Unnormalised(data)
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=images.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=partial(seed_worker, seed=seed),
        generator=torch.Generator().manual_seed(derive(seed, WORKER)),
        pin_memory=pin_memory,
        drop_last=drop_last,
    )


def model_outputs(model: nn.Module) -> int:
    """Give K, the number of logits of a SoftCAM or black box."""
    return int(getattr(model, "num_outputs"))  # noqa: B009 - both kinds have it, nn.Module has not


def class_weights(labels: Tensor, task: Task, outputs: int, rule: str) -> Tensor | None:
    """Weigh the classes in the loss.

    Args:
        labels: Class indices (N,), or 0/1/NaN of shape (N, C) for multi-label.
        task: What the labels mean.
        outputs: K, the number of logits.
        rule: "none", or "balanced": N / (classes x images of the class); for multi-label the
            number of negatives over that of positives.

    Returns:
        Weights as `classification_loss` takes them, or None.
    """
    if rule == "none":
        return None
    if task is Task.MULTILABEL:
        positives = (labels == 1).sum(0)
        negatives = (labels == 0).sum(0)
        return negatives / positives.clamp(min=1)
    counts = torch.bincount(labels, minlength=max(2, outputs)).float()
    return counts.sum() / (len(counts) * counts.clamp(min=1))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Put the Ctrl-C handler back: Lightning leaves it ignored after an interruption."""
    try:
        before = signal.getsignal(signal.SIGINT)
        yield
    finally:
        # Only the main thread may set handlers; elsewhere Lightning has not touched it either.
        try:
            signal.signal(signal.SIGINT, before)
        except ValueError:
            before = None


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice for developers out of our users' terminals."""
    loggers = [
        logging.getLogger(name)
        for name in ("lightning.pytorch", "lightning.fabric", "lightning", "pytorch_lightning")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
            warnings.filterwarnings("ignore", message=r".*(num_workers|isinstance\(treespec).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
