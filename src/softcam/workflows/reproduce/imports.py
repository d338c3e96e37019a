"""Import the download once for each task, and know it again when the reproduction goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.workflows.import_data import import_data
from softcam.workflows.reproduce.plan import data_folder
from softcam.workflows.reproduce.settings import ReproduceConfig

_TAKEN = ("table.csv", "dataset.yaml", "sources.csv", "checksums.sha256")
"""Files whose checksums vouch for a data set: the last lists that of every image."""


def imported_mark(settings: ReproduceConfig, task: str) -> Path:
    """Say which file vouches for a task's import: with it, the download is needed no more."""
    return settings.out / "data" / f"{task}.json"


def import_task(settings: ReproduceConfig, task: str, *, show_progress: bool) -> dict[str, Any]:
    """Import a task's data set, unless that was done; an interrupted import goes on.

    Args:
        settings: The reproduction.
        task: The importer's task.
        show_progress: Whether to show a progress bar.

    Returns:
        "inputs" and "splits": file to SHA-256; "notes": sentences.

    Raises:
        InputError: If the download cannot be used, or the data set was changed since.
    """
    folder = data_folder(settings, task)
    done = imported_mark(settings, task)
    if done.is_file():
        return _known(done, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    imported = import_data(
        settings.data_set,
        settings.data,
        folder,
        task=task,
        splits=settings.splits,
        resplit=settings.resplit,
        size=settings.size,
        jobs=settings.jobs,
        show_progress=show_progress,
    )
    notes = [f"{task}: {note}." for note in imported.card["notes"]]
    if imported.problems:
        notes.append(
            f"{task}: {imported.problems} of the download's files or rows could not be used; "
            f"data/{task}/left_out.csv lists them."
        )
    tables = [
        file
        for path in settings.splits
        for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])
    ]
    splits = {str(path): digest_of_file(path) for path in tables}
    found = {"inputs": _digests(folder), "splits": splits, "notes": notes}
    write_atomically(done, json.dumps(found, indent=1) + "\n")
    return found


def digest_of_file(path: Path) -> str:
    """Give a file's SHA-256.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def _known(done: Path, folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(done.read_text("utf-8"))
        before, _, _ = dict(found["inputs"]), dict(found["splits"]), list(found["notes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{done}: is damaged; remove it, and {folder}, and resume.") from error
    for name, digest in _digests(folder).items():
        if before.get(name) != digest:
            raise InputError(
                f"{folder / name}: is no longer what was imported; put it back, or remove {folder} "
                f"and {done} and start in another --out."
            )
    return found


def _digests(folder: Path) -> dict[str, str]:
    return {name: digest_of_file(folder / name) for name in _TAKEN if (folder / name).is_file()}
