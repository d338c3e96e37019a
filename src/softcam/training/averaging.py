"""An exponential moving average of the weights, which is what is validated, chosen and saved."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from softcam.training.processes import Processes

TRAINING_WEIGHTS = "training_weights"
"""Where a checkpoint keeps the weights that training goes on from; `state_dict` is the average."""


class WeightAverage(Callback):
    """Averages the weights over the steps: after each, average += (1 - d) (weights - average).

    The decay d rises as min(decay, (1 + n) / (10 + n)) with the number n of steps averaged so far,
    so that a short run is no average of its random start. The running means and variances of
    batch normalisation are averaged in the same way, since they belong to the weights that they
    were measured with; counters are copied.

    Validation runs with the average. A checkpoint's `state_dict` is the average too, and the
    weights that training goes on with stand beside it, so that a resumed run is the same to the
    last bit.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    Several processes have the same weights and each its own statistics of batch normalisation:
    those are averaged over the processes before validation.

    Args:
        decay: Of the average, at least 0 and below 1, such as 0.999.
        processes: That train together; one alone if None.
    """

    def __init__(self, decay: float, processes: Processes | None = None) -> None:
        self.decay = decay
        self.processes = processes or Processes()
        self.updates = 0
        self.step = 0
        self._average: dict[str, Tensor] | None = None
        self._aside: dict[str, Tensor] | None = None
        self._measured: list[Tensor] = []
        self._loaded: Tensor | None = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begin with the weights as they are, or put a checkpoint's average where they are."""
        now = _weights(pl_module)
        if self._average is None:
            self._average = {name: value.clone() for name, value in now.items()}
        else:
            self._average = {
                name: value.to(now[name].device) for name, value in self._average.items()
            }
        buffers = {name for name, _ in pl_module.named_buffers()}
        self._measured = [
            value
            for name, value in self._average.items()
            if name in buffers and value.is_floating_point()
        ]
        if self._loaded is not None:  # the checkpoint's own are the first process's
            self._put_statistics(self._loaded)
            self._loaded = None

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Take in the new weights, once an optimizer step."""
        if trainer.global_step == self.step or self._average is None:
            return  # gradients are being accumulated
        self.step = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in _weights(pl_module).items():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put the average into the model."""
        if self._average is not None and self._aside is None:
            self._join_statistics()
            self._aside = {name: value.clone() for name, value in _weights(pl_module).items()}
            _put(pl_module, self._average)

    def _join_statistics(self) -> None:
        if self.processes.several:
            self._put_statistics(self.processes.sum(self._statistics()) / self.processes.world)

    def _statistics(self) -> Tensor:
        own = [item.flatten().float() for item in self._measured]
        return torch.cat(own) if own else torch.zeros(0)

    @torch.no_grad()
    def _put_statistics(self, values: Tensor) -> None:
        own = self._measured
        parts = torch.split(values, [item.numel() for item in own])
        for item, part in zip(own, parts, strict=True):
            item.copy_(part.view_as(item))

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put the weights back, before the checkpoint is written."""
        if self._aside is not None:
            _put(pl_module, self._aside)
            self._aside = None

    def state_dict(self) -> dict[str, Any]:
        """Give the counters to the checkpoint, and the statistics of every process."""
        state: dict[str, Any] = {"updates": self.updates, "step": self.step}
        if self.processes.several:
            state["statistics"] = self.processes.gather(self._statistics()).cpu()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take both from the checkpoint."""
        self.updates, self.step = int(state_dict["updates"]), int(state_dict["step"])
        if self.processes.several:
            self._loaded = state_dict["statistics"][self.processes.rank]

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Write both: the average as the model, the weights beside it."""
        if self._average is None:
            return
        own = dict(checkpoint["state_dict"])
        checkpoint[TRAINING_WEIGHTS] = {**own, **(self._aside or {})}
        checkpoint["state_dict"] = {**own, **self._average}

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Read both back."""
        if TRAINING_WEIGHTS not in checkpoint:
            return
        names = _weights(pl_module)
        given = checkpoint["state_dict"]
        self._average = {name: given[name].clone() for name in names}
        pl_module.load_state_dict(checkpoint[TRAINING_WEIGHTS])


def _weights(module: lightning.LightningModule) -> dict[str, Tensor]:
    """Give what is averaged, by its name in a checkpoint; the tensors themselves."""
    return {name: value.detach() for name, value in module.state_dict().items()}


@torch.no_grad()
def _put(module: lightning.LightningModule, values: dict[str, Tensor]) -> None:
    for name, value in _weights(module).items():
        value.copy_(values[name])
