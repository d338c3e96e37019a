"""The run folder: what training leaves behind, and when it counts as finished."""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.training.config import TrainConfig, read_config

_LOG = logging.getLogger("softcam")


@dataclass(frozen=True)
class Run:
    """A run folder.

    - `config.yaml`: complete and re-runnable
    - `data.json`, `environment.json`: checksums of what it was trained on; code and machine
    - `model.safetensors`: the best epoch's model
    - `checkpoints/`: to resume
    - `metrics.json`: written last; without it the run is unfinished
    - `predictions.csv`, `logs/`, `report.html`
    - `twin/`: the black-box twin's run folder, if one was trained

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The model file."""
        return self.path / "model.safetensors"

    @property
    def twin(self) -> Run | None:
        """The run of the black-box twin, if there is one."""
        folder = self.path / "twin"
        return Run(folder) if folder.is_dir() else None

    @property
    def finished(self) -> bool:
        """Whether the run was completed."""
        return (self.path / "metrics.json").is_file()

    def config(self) -> TrainConfig:
        """Read the settings that made the run."""
        return read_config(self.path / "config.yaml")

    def metrics(self) -> dict[str, Any]:
        """Read the metrics.

        Raises:
            InputError: If the run is unfinished.
        """
        if not self.finished:
            raise InputError(
                f"{self.path}: is an unfinished run (no metrics.json); finish it with "
                f"`softcam train --resume --out {self.path}`."
            )
        result: dict[str, Any] = json.loads((self.path / "metrics.json").read_text("utf-8"))
        return result

    def history(self) -> list[dict[str, float | None]]:
        """Read the epochs' figures.

        Returns:
            One row per epoch; empty before the first epoch is finished.
        """
        path = self.path / "logs" / "metrics.csv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as stream:
            return [
                {name: float(value) if value else None for name, value in row.items()}
                for row in csv.DictReader(stream)
            ]


def find_model(run: Path | str) -> Path:
    """Resolve a RUN argument, which is a run folder or a model file.

    Args:
        run: The folder or file.

    Returns:
        The model file.

    Raises:
        InputError: If there is none, or the run is unfinished.
    """
    path = Path(run)
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such run folder or model file.")
    model = path / "model.safetensors"
    if not model.is_file():
        resumable = (path / "config.yaml").is_file()
        raise InputError(
            f"{path}: is an unfinished run; finish it with `softcam train --resume --out {path}`."
            if resumable
            else f"{path}: holds no model.safetensors; give a run folder or a model file."
        )
    if (path / "config.yaml").is_file() and not Run(path).finished:
        _LOG.warning("%s: is an unfinished run (no metrics.json); its model is used as it is", path)
    return model


def check_folder(path: Path, *, resume: bool) -> None:
    """Check that a run may be written to a folder, and leave nothing there.

    Args:
        path: The run folder.
        resume: Whether to go on with an unfinished run there.

    Raises:
        InputError: If it holds a finished run, an unfinished one while `resume` is false, other
            files, nothing to resume, or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file, not a folder; choose another --out.")
    started = (path / "config.yaml").is_file()
    if Run(path).finished:
        raise InputError(
            f"{path}: already holds a finished run; choose another --out or remove the folder."
        )
    if resume and not started:
        raise InputError(f"{path}: holds no run to resume (no config.yaml).")
    if started and not resume:
        raise InputError(
            f"{path}: holds an unfinished run; go on with `softcam train --resume --out {path}`, "
            "or choose another --out."
        )
    # A run that was killed while it wrote its first file left no more than a part of that.
    if path.is_dir() and not started:
        others = [item for item in path.iterdir() if not item.name.startswith(".config.yaml.")]
        if others:
            raise InputError(f"{path}: is not empty and no run; choose another --out.")
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"{path}: cannot write here ({error.strerror}); choose another --out."
        ) from error


def start_folder(settings: TrainConfig) -> Run:
    """Make a run folder and write its `config.yaml`.

    Args:
        settings: The run's settings; an interrupted run's are written again.

    Returns:
        The run.

    Raises:
        InputError: If the folder cannot be written.
    """
    path = settings.out
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be made ({error.strerror}); choose another --out."
        ) from error
    write_atomically(path / "config.yaml", settings.to_yaml())
    return Run(path)
