"""Run folders as `softcam train` leaves them, without any training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml

from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.evaluation.classification import classification
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.inference import predictions_from

CLASSES = {
    Task.BINARY: ("plain", "dotted"),
    Task.MULTICLASS: ("a", "b", "c"),
    Task.ORDINAL: ("none", "mild", "severe"),
    Task.MULTILABEL: ("a", "b", "c"),
}


def labels_of(task: Task, images: int) -> list:
    random = np.random.default_rng(7)
    count = len(CLASSES[task])
    if task is not Task.MULTILABEL:
        return random.integers(0, count, images).tolist()
    values = (random.random((images, count)) < 0.5).astype(float)
    values[random.random(values.shape) < 0.2] = np.nan
    return [tuple(row) for row in values.tolist()]


def finished(
    folder: Path,
    *,
    seed: int = 0,
    skill: float = 1.0,
    task: Task = Task.BINARY,
    images: int = 40,
    labels: list | None = None,
    one_logit: bool = False,
    splits: tuple[str | None, ...] = ("test",),
    settings: dict | None = None,
) -> Path:
    """Write config.yaml, predictions.csv and metrics.json of a model of some skill."""
    classes = CLASSES[task]
    truth = labels_of(task, images) if labels is None else labels
    random = np.random.default_rng([seed, int(skill * 100)])
    width = 1 if one_logit else len(classes)
    right = (
        np.nan_to_num(np.array(truth))
        if task is Task.MULTILABEL
        else np.eye(len(classes))[np.array(truth)]
    )[:, -width:]
    logits = (random.normal(size=(images, width)) + skill * right).astype(np.float32)
    positive = classes[1] if task is Task.BINARY else None
    info = ModelInfo(task=task, classes=classes, positive=positive, thresholds={classes[1]: 0.45})
    if task in (Task.MULTICLASS, Task.ORDINAL):
        info.thresholds = {}
    records = tuple(
        Record(Path(f"{i}.png"), f"{i}.png", label, splits[i % len(splits)], f"p{i // 2}", i + 2)
        for i, label in enumerate(truth)
    )
    table = Table(Path("table.csv"), records, DatasetSpec(task, classes, positive))
    found = predictions_from(info, logits)
    folder.mkdir(parents=True)
    found.write(folder / "predictions.csv", table)
    config = {"table": "table.csv", "out": str(folder), "model": "resnet18", "seed": seed}
    config |= {"l1": 0.0} | (settings or {})
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    measured = classification(
        found.probabilities,
        table.labels(),
        task=task,
        classes=classes,
        positive=positive,
        thresholds=info.thresholds,
        patients=table.patients(),
        resamples=20,
    )
    (folder / "metrics.json").write_text(json.dumps({"classification": measured.to_dict()}))
    return folder
