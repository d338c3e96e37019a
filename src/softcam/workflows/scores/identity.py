"""Digests by which results are known to belong to a model and a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Table
from softcam.explanation.predictor import Predictor

if TYPE_CHECKING:
    from softcam.workflows.models import RunLike

_PIECE = 1 << 20


def files_of(run: RunLike) -> list[Path]:
    """Name the files that a RUN argument's model is in.

    Args:
        run: A run, a run folder, a model file, or an exported graph.

    Returns:
        The file and what belongs to it, such as the weights beside a graph; empty if there is
        none.
    """
    path = Path(run) if isinstance(run, str | Path) else run.path
    if path.is_dir():
        model = path / "model.safetensors"
        if model.is_file():
            return [model]
        return sorted(file for file in path.iterdir() if file.is_file())
    if not path.is_file():
        return []
    beside = (path.with_suffix(".bin"), path.with_name(path.name + ".data"))
    return [path, *(file for file in beside if file.is_file() and file != path)]


def digest_files(files: Iterable[Path]) -> str:
    """Give the SHA-256 of some files' bytes, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()


def digest_predictor(predictor: Predictor, preprocessing: Preprocessing) -> str:
    """Identify a predictor that came from no file, by what it knows and by what it says.

    Args:
        predictor: Any predictor.
        preprocessing: How it wants its input.

    Returns:
        A SHA-256 over its description and its answer to one fixed image.
    """
    noise = np.random.default_rng(0).random((*preprocessing.size, len(preprocessing.mean)))
    image = preprocessing.normalise(noise.astype(np.float32))
    digest = hashlib.sha256(canonical(predictor.info.model_dump(mode="json")).encode())
    for values in predictor.predict(image[None]):
        digest.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()


def digest_table(table: Table) -> str:
    """Identify a table: its images by place and name, with label, split and patient, in order.

    Args:
        table: The images; their files are not opened.

    Returns:
        A SHA-256.
    """
    digest = hashlib.sha256()
    for record in table.records:
        values = [str(record.image), record.name, record.label, record.split, record.patient]
        digest.update((json.dumps(values) + "\n").encode())
    return digest.hexdigest()


def canonical(values: Any) -> str:
    """Write JSON values in one way only."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
