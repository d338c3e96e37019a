"""Means over an epoch that survive an interruption in its middle, over all processes."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from softcam.training.processes import Processes


class EpochMeans(Callback):
    """Adds up what a step measures and logs the means at the epoch's end.

    Lightning's own means forget, when a run goes on in the middle of an epoch, what came before,
    and reach the log only after the epoch's checkpoint, so that a kill in between leaves a gap.

    Args:
        processes: Over which the means are taken.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        self.processes = processes or Processes()
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor, count: int) -> None:
        """Add a step's mean.

        Args:
            name: What it is.
            value: A scalar, the mean over `count` images.
            count: The number of images.
        """
        # No more than a sum on the device: to look at its value would wait for the device.
        added = value.detach().float() * count
        self._sums[name] = self._sums[name] + added if name in self._sums else added
        self._counts[name] = self._counts.get(name, 0) + count

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Start anew; Lightning leaves this out where a run goes on within an epoch."""
        self._sums, self._counts = {}, {}

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Log the means, for other callbacks and in the files."""
        means = {name: float(value) for name, value in self.means().items()}
        for name, value in means.items():
            pl_module.log(name, value, logger=False, batch_size=1)
        for logger in trainer.loggers:
            logger.log_metrics(means, step=trainer.global_step - 1)

    def means(self) -> dict[str, Tensor]:
        """Give the means so far."""
        given = {}
        for name, value in self._sums.items():
            if self.processes.several:
                both = torch.stack([value.double(), value.new_tensor(self._counts[name]).double()])
                total = self.processes.sum(both)
                given[name] = total[0] / total[1]
            else:
                given[name] = value / self._counts[name]
        return given

    def state_dict(self) -> dict[str, Any]:
        """Give the sums of every process to the checkpoint."""
        names = list(self._sums)
        rows = torch.stack([self._sums[name] for name in names]) if names else torch.zeros(0)
        counts = torch.tensor([self._counts[name] for name in names])
        return {
            "names": names,
            "sums": self.processes.gather(rows).cpu(),
            "counts": self.processes.gather(counts.to(rows.device)).cpu(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this process's sums from the checkpoint."""
        names, rank = state_dict["names"], self.processes.rank
        self._sums = dict(zip(names, state_dict["sums"][rank], strict=True))
        self._counts = dict(zip(names, state_dict["counts"][rank].tolist(), strict=True))
