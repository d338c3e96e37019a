"""TensorBoard's event files, cut back to where a resumed run goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

_EVENTS = "events.out.tfevents.*"


class EventFiles(Callback):
    """Tells the checkpoint how long each event file was, with everything up to there in it.

    Args:
        folder: The folder of logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trainer: lightning.Trainer | None = None

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Remember who writes the logs."""
        self._trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        """Give the lengths to the checkpoint, in bytes."""
        if self._trainer is not None and self._trainer.is_global_zero:
            for logger in self._trainer.loggers:
                flush = getattr(getattr(logger, "experiment", None), "flush", None)
                if callable(flush):
                    flush()
        return {"bytes": {name: path.stat().st_size for name, path in _events(self.folder)}}


def cut_back(folder: Path, lengths: Mapping[str, int]) -> None:
    """Take out of the event files what came after a checkpoint, since it will come again.

    Args:
        folder: The folder of logs; it need not exist.
        lengths: Bytes of each event file at the checkpoint, by name; those without are removed.
    """
    for name, path in _events(folder):
        if name not in lengths:
            path.unlink()
        elif path.stat().st_size > lengths[name]:
            os.truncate(path, lengths[name])


def _events(folder: Path) -> list[tuple[str, Path]]:
    found = sorted(folder.rglob(_EVENTS))
    return [(path.relative_to(folder).as_posix(), path) for path in found]
