"""Judge one run on one split: its answers, and whether its map names what it decides by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from softcam.data.records import Table
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.files import write_atomically
from softcam.training.config import TrainConfig
from softcam.training.precision import choose_device
from softcam.training.run import Run
from softcam.workflows.inference import predict_table
from softcam.workflows.models import load_run
from softcam.workflows.sweep.deletion import chosen_cases, measure_maps

Floats = npt.NDArray[np.float64]
Split = Literal["val", "test"]

_VERSION = 2  # of the measures: another one makes what was judged before unusable


@dataclass(frozen=True)
class Judging:
    """How maps are judged.

    Attributes:
        maps: "own" or "contrast".
        limit: Most images; 0 for all.
        annotated: Whether annotations may be looked at. Without, they decide nothing: not the
            choice of images either.
    """

    maps: Literal["own", "contrast"] = "own"
    limit: int = 200
    annotated: bool = False


@dataclass(frozen=True, eq=False)
class Judged:
    """What one run says of one split, and what its maps are worth there.

    Attributes:
        info: The model's task, classes and thresholds.
        patients: N patients, one for each image of the split.
        labels: Labels as `Table.labels` gives them.
        probabilities: Shape (N, C).
        cases: Patients of the images whose maps were judged.
        measures: Name (one of `softcam.workflows.sweep.deletion.MEASURED`) to values, one for
            each case, NaN where undefined.
    """

    info: ModelInfo
    patients: tuple[str, ...]
    labels: npt.NDArray[Any]
    probabilities: Floats
    cases: tuple[str, ...]
    measures: Mapping[str, Floats]

    def mean(self, measure: str) -> float:
        """Average a measure over the cases that have it; NaN if none does."""
        values = self.measures[measure]
        known = values[~np.isnan(values)]
        return float(known.mean()) if known.size else float("nan")


def read_split(config: TrainConfig, split: Split, *, annotated: bool) -> Table:
    """Read a split of a run's table, without its annotations where they must not be seen.

    Raises:
        InputError: If the table cannot be read or has no such split.
    """
    whole = read_table(
        config.table, images=config.images, spec=config.dataset, seed=config.seed_of_splits()
    )
    return split_of(whole, split, annotated=annotated)


def split_of(table: Table, split: Split, *, annotated: bool) -> Table:
    """Take a split of a table, without its annotations where they must not be seen."""
    part = table.subset(split)
    return part if annotated else replace(part, annotations=None)


def judge(run: Run, table: Table, how: Judging, *, device: str = "cpu") -> Judged:
    """Judge a trained run.

    A SoftCAM is judged by its evidence, a black box by its Grad-CAM; see
    `softcam.workflows.sweep.deletion.measure_maps`.

    Args:
        run: The run.
        table: The images of one split; its annotations, if it has any, are measured against.
        how: How to judge.
        device: "cpu" or "cuda".

    Returns:
        Answers and measures.

    Raises:
        InputError: If the model or an image cannot be used.
    """
    model = load_run(run)
    model.to(device)
    predictions = predict_table(model, table)
    chosen = chosen_cases(table, model, how.limit)
    measures = measure_maps(model, chosen, predictions.logits, contrast=how.maps == "contrast")
    return Judged(
        info=model.info,
        patients=tuple(table.patients()),
        labels=table.labels(),
        probabilities=np.asarray(predictions.probabilities, dtype=np.float64),
        cases=tuple(case.patient for case in chosen.cases),
        measures=measures,
    )


def judged_path(out: Path, name: str, seed: int, split: Split) -> Path:
    """Say where it is kept what a run was worth."""
    return out / "judged" / name / f"seed{seed}-{split}.json"


def judge_once(config: TrainConfig, split: Split, how: Judging, path: Path) -> Judged:
    """Judge a run, or find what was found before for the same weights, images and settings.

    Args:
        config: The run's settings.
        split: "val" or "test"; nothing of the other is looked at.
        how: How to judge.
        path: Where it is kept.

    Returns:
        Answers and measures.

    Raises:
        InputError: As `judge`, or if the file cannot be written.
    """
    run = Run(config.out)
    table = read_split(config, split, annotated=how.annotated)
    digest = digest_of_judging(run, table, how)
    if (known := read_judged(path, digest)) is not None:
        return known
    found = judge(run, table, how, device=choose_device(config))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be made ({error.strerror}).") from error
    write_atomically(path, json.dumps({"digest": digest, **_to_json(found)}) + "\n")
    return found


def read_judged(path: Path, digest: str | None = None) -> Judged | None:
    """Read what was judged; None if it is not there, damaged or of something else."""
    try:
        values = json.loads(path.read_text("utf-8"))
        if digest is not None and values["digest"] != digest:
            return None
        return _from_json(values)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_of_judging(run: Run, table: Table, how: Judging) -> str:
    """Identify all that a judgement depends on: weights, images, labels, settings."""
    digest = hashlib.sha256(run.model.read_bytes())
    digest.update(json.dumps([_VERSION, asdict(how)]).encode())
    for record in table.records:
        found = record.image.stat() if record.image.is_file() else None
        file = None if found is None else (found.st_size, found.st_mtime_ns)
        line = (record.name, record.label, record.split, record.patient, file)
        digest.update(repr(line).encode())
    return digest.hexdigest()


def _to_json(judged: Judged) -> dict[str, Any]:
    return {
        "info": judged.info.model_dump(mode="json"),
        "patients": judged.patients,
        "labels": _plain(judged.labels),
        "probabilities": judged.probabilities.tolist(),
        "cases": judged.cases,
        "measures": {name: _plain(values) for name, values in judged.measures.items()},
    }


def _from_json(values: Mapping[str, Any]) -> Judged:
    labels = values["labels"]
    several = bool(labels) and isinstance(labels[0], list)
    return Judged(
        info=ModelInfo.model_validate(values["info"]),
        patients=tuple(values["patients"]),
        labels=_array(labels) if several else np.asarray(labels, dtype=np.int64),
        probabilities=np.asarray(values["probabilities"], dtype=np.float64),
        cases=tuple(values["cases"]),
        measures={name: _array(item) for name, item in values["measures"].items()},
    )


def _plain(values: npt.NDArray[Any]) -> list[Any]:
    """Give nested lists as JSON knows them: an undefined number is None."""
    empty = np.isnan(values)
    plain = values.astype(object)
    plain[empty] = None
    return list(plain.tolist())


def _array(values: Sequence[Any]) -> Floats:
    return np.array(values, dtype=np.float64)  # None becomes NaN
