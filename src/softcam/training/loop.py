"""Run Lightning's trainer over a task, from the start or from its last checkpoint."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.training.averaging import WeightAverage
from softcam.training.batches import Shares, StepBatches, loss_weights
from softcam.training.callbacks import History, TrainingProgress
from softcam.training.checkpoints import (
    BEST,
    LAST,
    AtomicCheckpoints,
    clear_unfinished,
    read_checkpoint,
)
from softcam.training.config import TrainConfig
from softcam.training.dataset import EpochSampler, ImageDataset
from softcam.training.freezing import KeepFrozen, freeze
from softcam.training.loaders import choose_workers, make_loader, own_images
from softcam.training.logs import EventFiles, cut_back
from softcam.training.norms import NormStatistics
from softcam.training.precision import choose_device, choose_precision
from softcam.training.processes import Processes
from softcam.training.resume import Newest, Patience, Place
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
    processes: Processes | None = None,
    callbacks: Sequence[Callback] = (),
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
        processes: The processes that train together; read from the environment if None.
        callbacks: More of Lightning's callbacks.

    Returns:
        The model with the best epoch's weights, and the history.

    Raises:
        KeyboardInterrupt: After an interruption; the last finished epoch is on disk.
        InputError: If the checkpoint in the folder is damaged or of another model, if the
            images are too few for a step, or the backbone has not the stages that are to be
            frozen.
    """
    processes = processes or Processes.of_environment()
    device = choose_device(config)
    precision = choose_precision(config, device)
    workers = config.workers
    if workers is None:
        workers = choose_workers(device, train.decoded_each_epoch + val.decoded_each_epoch)
    gpu = device == "cuda"
    batches = StepBatches(
        EpochSampler(
            len(train),
            config.seed,
            labels=train.labels,
            rule=config.sampling,
            epochs=config.epochs,
        ),
        config.batch_size,
        accumulate=config.accumulate,
        rank=processes.rank,
        world=processes.world,
    )
    loader = make_loader(
        train, batches, batch_size=1, seed=config.seed, workers=workers, pin_memory=gpu
    )
    val_loader = make_loader(
        val,
        own_images(len(val), processes) if processes.several else None,
        batch_size=config.batch_size,
        seed=config.seed,
        workers=workers,
        pin_memory=gpu,
    )
    frozen = freeze(model, config.freeze, config.size)
    weights = class_weights(train.labels, task, model_outputs(model), config.class_weights)
    lightning_task = ClassificationTask(
        model,
        config,
        task,
        weights,
        batches.steps * config.epochs,
        shares=Shares(batches, loss_weights(train.labels, task, weights)),
        processes=processes,
        val_images=len(val),
    )
    model.to(memory_format=torch.channels_last)

    checkpoints, logs = folder / "checkpoints", folder / "logs"
    history = History(logs / "metrics.csv")
    added: list[Callback] = [
        Place(batches),
        NormStatistics(processes),
        lightning_task.means,
        history,
        EventFiles(logs),
        ModelCheckpoint(
            dirpath=checkpoints,
            filename=Path(BEST).stem,
            monitor="val_score",
            mode="max",
            enable_version_counter=False,
        ),
        TrainingProgress(name, shown=show_progress and processes.first),
        # Lightning's own save_last follows the best epoch; a killed run goes on from the last one.
        Newest(checkpoints / LAST, config.checkpoint_steps),
        *callbacks,
    ]
    if frozen:
        added.append(KeepFrozen(frozen))
    if config.ema:
        added.append(WeightAverage(config.ema, processes))
    if config.patience:
        added.append(Patience("val_score", mode="max", patience=config.patience))
    last = _start_from(folder, model, processes)
    with _quiet_lightning(), _interruptible():
        trainer = lightning.Trainer(
            accelerator="gpu" if gpu else "cpu",
            precision=precision,
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.clip or None,
            logger=make_loggers(config, folder, first=processes.first),
            callbacks=added,
            plugins=[AtomicCheckpoints()],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
            **_placement(processes, gpu),
        )
        try:
            trainer.fit(
                lightning_task,
                loader,
                val_loader,
                ckpt_path=None if last is None else str(last),
                weights_only=True,
            )
        except SystemExit as error:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from error
    processes.wait()  # until the best epoch is written
    lightning_task.load_state_dict((best := read_checkpoint(checkpoints / BEST))["state_dict"])
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Fitted(model.eval(), tuple(history.rows), int(best["epoch"]) + 1, str(precision), device)


def _start_from(folder: Path, model: nn.Module, processes: Processes) -> Path | None:
    """Find the checkpoint to go on from, and cut the logs back to it.

    Args:
        folder: The run folder.
        model: The model that will be trained.
        processes: The first one puts the folder in order.

    Returns:
        The checkpoint; None to start anew.

    Raises:
        InputError: If it is damaged, of another model, or not seen by every process.
    """
    checkpoints, logs = folder / "checkpoints", folder / "logs"
    last = checkpoints / LAST
    there = last.is_file()
    if bool(processes.agree(there)) is not there:
        raise InputError(
            f"{folder}: process {processes.rank} does not see the checkpoints of process 0; put "
            "--out on a disk that all machines share."
        )
    lengths: dict[str, int] = {}
    if there:
        state = read_checkpoint(last)
        shapes = {f"model.{name}": value.shape for name, value in model.state_dict().items()}
        if shapes != {name: value.shape for name, value in state["state_dict"].items()}:
            raise InputError(
                f"{last}: is of another model than these settings make; use the same settings "
                "or another run folder."
            )
        lengths = state["callbacks"].get(EventFiles.__qualname__, {}).get("bytes", {})
    if processes.first:
        logs.mkdir(parents=True, exist_ok=True)
        clear_unfinished(checkpoints)
        cut_back(logs, lengths)
    processes.wait()
    return last if there else None


def _placement(processes: Processes, gpu: bool) -> dict[str, Any]:
    """Tell Lightning's trainer where it runs."""
    if not processes.several:
        return {"devices": 1}
    strategy = DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),
        broadcast_buffers=False,  # see NormStatistics; batches stay independent of each other
        gradient_as_bucket_view=True,
    )
    return {
        "devices": processes.local_world,
        "num_nodes": processes.machines,
        "strategy": strategy,
        "sync_batchnorm": gpu,
    }


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
