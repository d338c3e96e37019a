"""Checkpoints: whole or not there, and data only, so that reading one can run nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from softcam.errors import InputError
from softcam.files import replacing

LAST, BEST = "last.ckpt", "best.ckpt"

_DAMAGE = (OSError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError)
"""What torch raises for bytes that are no checkpoint, by where they break."""


class AtomicCheckpoints(CheckpointIO):
    """How Lightning writes and reads checkpoints here."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint beside its place, wait for the disk, and move it there.

        Args:
            checkpoint: Tensors and primitives in dicts, lists and tuples.
            path: The file.
            storage_options: Not used.

        Raises:
            InputError: If the folder cannot be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, see `read_checkpoint`; what Lightning asks for changes nothing."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and primitives.

    Args:
        path: The file.

    Returns:
        Its content, on the CPU.

    Raises:
        InputError: If it is damaged, or holds anything but data. Nothing in it is executed.
    """
    remedy = f"remove {path.parent} and resume, which starts the training again"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *_DAMAGE) as error:
        raise InputError(
            f"{path}: is damaged, or holds more than tensors and numbers, which could run code; "
            f"it is refused: {remedy}."
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise InputError(f"{path}: is no checkpoint of a training run: {remedy}.")
    return content


def clear_unfinished(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote a checkpoint.

    Args:
        folder: The folder of checkpoints; it need not exist.
    """
    for path in folder.glob(".*.ckpt.*"):
        path.unlink(missing_ok=True)
