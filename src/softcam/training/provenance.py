"""What a run was made from and on: checksums of the data, the code's version, the machine."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from softcam.data.frames import split_frame
from softcam.data.records import Record, Table
from softcam.errors import InputError
from softcam.evidence.file import library_versions
from softcam.files import write_atomically
from softcam.training.processes import Processes

DATA, ENVIRONMENT = "data.json", "environment.json"


def data_checksums(
    table: Table, spec: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Take the SHA-256 of everything that a run learns from or is measured on.

    Args:
        table: The table.
        spec: Its dataset.yaml, if not beside it.
        progress: Told after each image.

    Returns:
        The checksums of the table's file, of its dataset.yaml, of what was read from both
        ("rows": names, labels, splits and patients in order), and of each image by name.
    """
    source = table.path if table.path.is_file() else None
    home = table.path.parent if source else table.path
    files = [split_frame(record.image)[0] for record in table.records]
    images = {}
    with ThreadPoolExecutor(max_workers=max(2, torch.get_num_threads())) as pool:
        for count, digest in enumerate(pool.map(_digest, files)):
            images[table.records[count].name] = digest
            if progress is not None:
                progress(count + 1, len(files))
    return {
        "table": None if source is None else _digest(source),
        "dataset": _digest(spec or home / "dataset.yaml"),
        "rows": _rows(table),
        "images": images,
    }


def keep_data(folder: Path, table: Path, found: dict[str, Any]) -> None:
    """Write `data.json`, or hold what is found against the one that the run was started with.

    Args:
        folder: The run folder.
        table: The table's path, for the message.
        found: What `data_checksums` gave.

    Raises:
        InputError: If a run was started with other data; it names what changed.
    """
    path = folder / DATA
    if not path.is_file():
        write_atomically(path, json.dumps(found, indent=1) + "\n")
        return
    try:
        before = json.loads(path.read_text("utf-8"))
        images = dict(before["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is damaged; start the run again in another --out.") from error
    remedy = f"put the old one back, or start another run: {folder} was started with it."
    if any(before.get(name) != found[name] for name in ("table", "rows")):
        raise InputError(f"{table}: is no longer the table that it was; {remedy}")
    if before.get("dataset") != found["dataset"]:
        raise InputError(f"{table}: its dataset.yaml is no longer what it was; {remedy}")
    changed = [name for name, digest in found["images"].items() if images.get(name) != digest]
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise InputError(
            f"{table}: the image {changed[0]}{more} is no longer what it was; {remedy}"
        )


def note_environment(folder: Path, processes: Processes, device: str) -> None:
    """Add to `environment.json` what this start of the run computes with.

    Args:
        folder: The run folder.
        processes: The processes that train together.
        device: "cpu" or "cuda".
    """
    path = folder / ENVIRONMENT
    try:
        starts = list(json.loads(path.read_text("utf-8"))["starts"])
    except (OSError, ValueError, KeyError, TypeError):
        starts = []  # the first start, or one of a run that was killed by a failing disk
    starts.append(_environment(processes, device))
    write_atomically(path, json.dumps({"starts": starts}, indent=1) + "\n")


def _environment(processes: Processes, device: str) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "code": code_version(),
        "versions": library_versions(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "cuda": torch.version.cuda if device == "cuda" else None,
        "processes": processes.world,
        "machines": processes.machines,
        "restarts": processes.restarts,
    }


@functools.cache
def code_version() -> str:
    """Give the SHA-256 of softcam's source, which a version number does not tell in a checkout."""
    root = Path(__file__).parents[1]
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _digest(path: Path) -> str | None:
    """Give a file's SHA-256; None if there is no such file (its reader says what to do)."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _rows(table: Table) -> str:
    whole = hashlib.sha256(f"{table.spec.task} {table.spec.classes}".encode())
    for record in table.records:
        whole.update(_row(record))
    return whole.hexdigest()


def _row(record: Record) -> bytes:
    fields = (record.name, record.label, record.split, record.patient)
    return (json.dumps(fields) + "\n").encode()
