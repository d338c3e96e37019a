"""Where a run is, written so that it goes on from there as if it had never stopped."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping

from softcam.errors import InputError
from softcam.training.batches import StepBatches


class Place(Callback):
    """Keeps the loader's position and the state of every global random generator.

    Nothing here draws from the global generators (see `softcam.training.seeds`), but a backbone
    or a library may.

    Args:
        batches: The loader's batches; a resumed epoch leaves out those that were seen.
    """

    def __init__(self, batches: StepBatches) -> None:
        self.batches = batches
        self.epoch = 0
        self.batch = 0
        self._random: dict[str, Any] | None = None

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch."""
        self.epoch, self.batch = trainer.current_epoch, batch_idx + 1

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Go to the next epoch's first batch, before the epoch's checkpoint is written."""
        self.epoch, self.batch = trainer.current_epoch + 1, 0

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put the random generators where they were."""
        if self._random is not None:
            set_random_state(self._random)
            self._random = None

    def state_dict(self) -> dict[str, Any]:
        """Give the place to the checkpoint."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "accumulate": self.batches.accumulate,
            "processes": self.batches.world,
            "random": random_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the place from the checkpoint, before the loader is asked for its first batch."""
        before = int(state_dict["processes"])
        if before != self.batches.world:
            raise InputError(
                f"resume: the run was started with {_processes(before)}, not "
                f"{_processes(self.batches.world)}; go on with as many, or start another run."
            )
        self.epoch, self.batch = int(state_dict["epoch"]), int(state_dict["batch"])
        self._random = state_dict["random"]
        self.batches.sampler.set_epoch(self.epoch)
        self.batches.skip = self.batch


class Newest(Checkpoint):
    """Writes the newest checkpoint, from which a killed run goes on.

    Args:
        path: The file.
        steps: Write it after every so many optimizer steps too; 0: after each epoch only.
    """

    def __init__(self, path: Path, steps: int = 0) -> None:
        self.path = path
        self.steps = steps

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write within an epoch; at its end the epoch's own checkpoint comes after validation."""
        seen = batch_idx + 1
        if (
            self.steps
            and seen < trainer.num_training_batches
            and seen % trainer.accumulate_grad_batches == 0
            and trainer.global_step % self.steps == 0
        ):
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write at an epoch's end."""
        trainer.save_checkpoint(self.path)


class Patience(EarlyStopping):
    """Stops when validation gets no better, also a run that was killed just when it should."""

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Stop at once where the patience had run out before the interruption."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def random_state() -> dict[str, Any]:
    """Read the global random generators, as tensors and primitives."""
    _, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(np.asarray(keys, np.int64)), place, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Set the global random generators.

    Args:
        state: What `random_state` gave.
    """
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
