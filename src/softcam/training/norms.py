"""Statistics of batch normalisation, which each process gathers from its own images."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from softcam.training.processes import Processes


class NormStatistics(Callback):
    """Averages the running statistics over the processes before every validation.

    So the model that is validated and saved has seen the images of all, and is the same in all.
    Between validations each process keeps its own; a checkpoint holds those of all.

    Args:
        processes: Over which is averaged; one alone has nothing to do.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self._loaded: Tensor | None = None
        self._module: nn.Module = nn.Identity()

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Remember the model."""
        self._module = pl_module

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Take up this process's statistics from the checkpoint: it came with the first one's."""
        if self._loaded is not None:
            _put(pl_module, self._loaded)
            self._loaded = None

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Average."""
        own = _take(pl_module)
        if self.processes.several and len(own):
            _put(pl_module, self.processes.sum(own) / self.processes.world)

    def state_dict(self) -> dict[str, Any]:
        """Give the statistics of every process to the checkpoint."""
        if not self.processes.several:
            return {}
        return {"rows": self.processes.gather(_take(self._module)).cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this process's statistics from the checkpoint."""
        if self.processes.several:
            self._loaded = state_dict["rows"][self.processes.rank]


def _statistics(module: nn.Module) -> list[Tensor]:
    return [
        buffer
        for norm in module.modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm)
        for buffer in (norm.running_mean, norm.running_var)
        if buffer is not None
    ]


def _take(module: nn.Module) -> Tensor:
    found = _statistics(module)
    return torch.cat([item.detach().float() for item in found]) if found else torch.zeros(0)


def _put(module: nn.Module, values: Tensor) -> None:
    found = _statistics(module)
    parts = torch.split(values, [len(item) for item in found])
    with torch.no_grad():
        for item, part in zip(found, parts, strict=True):
            item.copy_(part)
