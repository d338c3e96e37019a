"""A run in words and counts, for the report."""

from __future__ import annotations

from collections import Counter

import numpy as np

from softcam.data.records import Record, Table
from softcam.evaluation.classification import METRIC_NAMES
from softcam.evidence.file import library_versions
from softcam.evidence.info import ModelInfo, Task
from softcam.report.content import DataDescription, FindingCount, SplitCount
from softcam.training.config import SHAPING, TrainConfig
from softcam.training.shuffling import SHUFFLED, has_shuffled_labels
from softcam.workflows.evaluate import Assessment
from softcam.workflows.localise import GRAD_CAM, SOFTCAM, UNIFORM

_SHOWN = (
    ("model", "Backbone"),
    ("mode", "Head"),
    ("recipe", "Recipe"),
    ("stages", "Evidence from stages"),
    ("neck", "Neck"),
    ("concentration", "Concentration"),
    ("concentration_warmup", "Concentration, warm-up"),
    ("plain_loss", "Loss on plain means, weight"),
    ("align", "Laid where it looks after training"),
    ("sharpen", "Sharpened after training, AUC allowed"),
    ("output_stride", "Output stride"),
    ("size", "Input size, px"),
    ("resize", "Resize rule"),
    ("trim", "Trimmed to"),
    ("pixel_aspect", "Pixel aspect"),
    ("augment", "Augmentation"),
    ("l1", "ElasticNet L1"),
    ("l2", "ElasticNet L2"),
    ("penalty_form", "Penalty, form"),
    ("penalty_on", "Penalty, maps"),
    ("penalty_classes", "Penalty, classes"),
    ("penalty_warmup", "Penalty, warm-up"),
    ("total_variation", "Total variation"),
    ("consistency", "Consistency under mirroring"),
    ("mosaic", "Mosaics, images a side"),
    ("mosaic_share", "Mosaics, share of batches"),
    ("optimizer", "Optimizer"),
    ("lr", "Learning rate"),
    ("weight_decay", "Weight decay"),
    ("batch_size", "Batch size"),
    ("class_weights", "Class weights"),
    ("seed", "Seed"),
)


def summarise(assessment: Assessment) -> list[str]:
    """Say in a few sentences what was measured and found.

    Args:
        assessment: What was measured.

    Returns:
        The sentences.
    """
    counts = assessment.metrics.counts
    which = "all images" if assessment.split == "all" else f"the {assessment.split} split"
    sentences = [
        f"{counts['images']} images of {counts['patients']} patients ({which}) were classified. "
        "Every number stands with its 95 % interval, from a bootstrap over patients."
    ]
    found = assessment.metrics.classification.intervals.get("auc")
    twin = assessment.metrics.twin_classification
    if found is not None:
        text = f"{METRIC_NAMES['auc']}: {found.format()}"
        if twin is not None and "auc" in twin.intervals:
            text += f"; the black-box twin reaches {twin.intervals['auc'].format()}"
        sentences.append(text + ".")
    rows = {(row.method, row.map): row for row in assessment.metrics.localisation}
    own = rows.get((SOFTCAM, "own"))
    if own is not None:
        text = f"Activation precision of the evidence: {_precision(own)}"
        for key, name in (((GRAD_CAM, "own"), "Grad-CAM on the twin"), ((UNIFORM, "-"), "chance")):
            if key in rows:
                text += f"; {name}: {_precision(rows[key])}"
        sentences.append(text + ".")
    return sentences


def caution(info: ModelInfo) -> list[str]:
    """Say what a reader must know of a model before anything else.

    Args:
        info: The model's description.

    Returns:
        A sentence if the model learned shuffled labels; nothing for others.
    """
    if not has_shuffled_labels(info.training):
        return []
    return [
        f"SHUFFLED LABELS: this model is for checks only, {SHUFFLED}. What it answers and what "
        "its maps show means nothing."
    ]


def _precision(row: object) -> str:
    intervals = getattr(row, "intervals", {})
    return str(intervals["activation_precision"].format())


def describe_data(table: Table, assessment: Assessment) -> DataDescription:
    """Count images, patients, classes and findings.

    Args:
        table: The whole table.
        assessment: What was measured on it.

    Returns:
        The counts, with what was noted when the table was read.
    """
    splits = list(table.splits()) or ["all"]
    return DataDescription(
        sentences=[f"Table {table.path.name}, {len(table)} images, task {table.spec.task}."],
        splits=[
            _count(split, [r for r in table.records if split in ("all", r.split)], table)
            for split in splits
        ],
        findings=_findings(table),
        notes=list(table.notes),
    )


def _count(split: str, records: list[Record], table: Table) -> SplitCount:
    counted: Counter[str] = Counter()
    for record in records:
        if isinstance(record.label, tuple):
            counted.update(
                name
                for name, value in zip(table.spec.classes, record.label, strict=True)
                if value == 1
            )
        elif record.label is not None:
            counted[table.spec.classes[record.label]] += 1
    return SplitCount(
        split=split,
        images=len(records),
        patients=len({record.patient for record in records}),
        classes={name: counted[name] for name in table.spec.classes},
    )


def _findings(table: Table) -> list[FindingCount]:
    annotations = table.annotations
    if annotations is None:
        return []
    counted: Counter[str] = Counter()
    for record in table.records:
        counted.update(annotations.findings_of(record.name))
    return [
        FindingCount(name, table.spec.findings.get(name, "") or "the image's own class", count)
        for name, count in sorted(counted.items())
    ]


def describe_training(info: ModelInfo) -> dict[str, str]:
    """List the settings that a reader wants to know.

    Args:
        info: The model's description.

    Returns:
        Name to value; empty for a model that was not trained by softcam.
    """
    config = info.training.get("config") or {}
    shown = {
        label: _text(config[name], " × " if name == "size" else ", ")
        for name, label in _SHOWN
        if name in config and config[name] not in (None, []) and not _as_usual(name, config[name])
    }
    if has_shuffled_labels(info.training):
        shown = {"Labels": "SHUFFLED (training and validation)", **shown}
    if "best_epoch" in info.training:
        shown["Best epoch"] = f"{info.training['best_epoch']} of {info.training['epochs']}"
        shown["Training time"] = f"{float(info.training['seconds']):.0f} s"
        shown["Precision"] = f"{info.training['precision']} on {info.training['device']}"
    if info.thresholds:
        shown["Thresholds (chosen on validation)"] = ", ".join(
            f"{name} {value:.3f}" for name, value in info.thresholds.items()
        )
    return shown


def _as_usual(name: str, value: object) -> bool:
    """Tell whether a setting that few runs change is as it is without asking."""
    given = tuple(value) if isinstance(value, list) else value
    return name in SHAPING and bool(given == TrainConfig.model_fields[name].default)


def _text(value: object, between: str) -> str:
    if isinstance(value, list | tuple):
        return between.join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_provenance(info: ModelInfo) -> dict[str, str]:
    """List versions and data digests.

    Args:
        info: The model's description.

    Returns:
        Name to value.
    """
    found = dict(library_versions())
    if has_shuffled_labels(info.training):
        found["labels learned"] = "SHUFFLED, those of training and validation"
    data = info.training.get("data") or {}
    if data.get("sha256"):
        found["training table, sha256"] = str(data["sha256"])
    weights = info.training.get("weights") or {}
    if weights:
        found["pretrained weights"] = str(weights.get("file") or weights.get("source"))
    return found


def probability_of_call(assessment: Assessment, row: int, class_index: int) -> float:
    """Give the probability of a class for one image.

    Args:
        assessment: What was measured.
        row: The image.
        class_index: The class.

    Returns:
        The probability.
    """
    return float(assessment.predictions.probabilities[row, class_index])


def names_of(label: object, classes: tuple[str, ...], task: Task) -> str:
    """Name a label or call.

    Args:
        label: Class index, or one value per class for multi-label.
        classes: Class names.
        task: What the labels mean.

    Returns:
        The class's name, or the names of the labels that hold.
    """
    if task is not Task.MULTILABEL:
        return classes[int(np.asarray(label))]
    values = np.asarray(label, dtype=np.float64)
    return (
        ", ".join(name for name, value in zip(classes, values, strict=True) if value == 1) or "none"
    )
