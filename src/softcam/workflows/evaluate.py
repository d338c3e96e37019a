"""Is the answer right, and is the explanation right: a model on a table."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softcam.conversion.black_box import BlackBox
from softcam.data.records import Table
from softcam.data.spec import DatasetSpec
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evaluation.classification import Classification, classification
from softcam.evaluation.result import Metrics
from softcam.evidence.info import ModelInfo
from softcam.evidence.model import SoftCAM
from softcam.report.content import Predictions as Curves
from softcam.workflows.inference import (
    Predictions,
    batches,
    predict_table,
    predictions_from,
    run_batch,
    task_of,
    views_of,
)
from softcam.workflows.localise import Localiser
from softcam.workflows.models import RunLike, load_run, preprocessing_of, split_digest

_LOG = logging.getLogger("softcam")


@dataclass(frozen=True)
class Assessment:
    """A model's answers on a table, and what they are worth.

    Attributes:
        table: The images that were assessed.
        split: Which split they are, or "all".
        predictions: The model's answers.
        twin_predictions: The twin's, if there is one.
        metrics: Both measured.
    """

    table: Table
    split: str
    predictions: Predictions
    twin_predictions: Predictions | None
    metrics: Metrics

    def curves(self) -> Curves:
        """Give labels and probabilities for the report's curves."""
        twin = self.twin_predictions
        return Curves(
            labels=self.table.labels(),
            probabilities=self.predictions.probabilities,
            twin_probabilities=None if twin is None else twin.probabilities,
            patients=self.table.patients(),
        )


def evaluate(
    model: SoftCAM | BlackBox | RunLike,
    table: Table | Path | str,
    *,
    twin: BlackBox | RunLike | None = None,
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    batch_size: int = 16,
    tta: str = "none",
    show_progress: bool = False,
) -> Metrics:
    """Measure a model on a table.

    Args:
        model: A SoftCAM, a black box, a run folder or a model file.
        table: A table, or its path.
        twin: The black-box twin to measure beside it, with its Grad-CAM where there are
            annotations.
        split: Which split; the test split if None, or all images of a table without splits.
        images: Folder of the images, if not beside the table.
        dataset: The dataset.yaml, if not beside the table.
        resamples: Number of bootstrap resamples over patients.
        seed: Seed of the bootstrap.
        batch_size: Images per batch.
        tta: Views of each image to average over: "none", "flips" or "rotations", see
            `softcam.explanation.views`; Grad-CAM of a black box sees the image as it is.
        show_progress: Whether to show a progress bar.

    Returns:
        Classification metrics and, with annotations, localisation, each with a 95 % interval.

    Raises:
        InputError: If model, table or an image cannot be used.
    """
    return assess(
        model,
        table,
        twin=twin,
        split=split,
        images=images,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        batch_size=batch_size,
        tta=tta,
        show_progress=show_progress,
    ).metrics


def assess(
    model: SoftCAM | BlackBox | RunLike,
    table: Table | Path | str,
    *,
    twin: BlackBox | RunLike | None = None,
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    batch_size: int = 16,
    tta: str = "none",
    show_progress: bool = False,
) -> Assessment:
    """Measure a model on a table, and keep its answers.

    Args:
        model: As in `evaluate`.
        table: As in `evaluate`.
        twin: As in `evaluate`.
        split: As in `evaluate`.
        images: As in `evaluate`.
        dataset: As in `evaluate`.
        resamples: As in `evaluate`.
        seed: As in `evaluate`.
        batch_size: As in `evaluate`.
        tta: As in `evaluate`.
        show_progress: As in `evaluate`.

    Returns:
        Answers and metrics.

    Raises:
        InputError: If model, table or an image cannot be used.
    """
    subject = model if isinstance(model, SoftCAM | BlackBox) else load_run(model)
    task_of(subject.info)
    other = load_twin(twin, subject.info)
    whole = (
        table
        if isinstance(table, Table)
        else read_for(subject.info, table, images=images, dataset=dataset)
    )
    require_same_classes(whole, subject.info)
    part, name = choose_split(whole, split)

    # A black box on its own is measured by its own Grad-CAM.
    box = subject if other is None and isinstance(subject, BlackBox) else other
    views = views_of(subject, tta)
    localiser = Localiser(part, subject.info, box)
    logits = []
    for batch in batches(
        part,
        preprocessing_of(subject),
        batch_size=batch_size,
        title="evaluating",
        show_progress=show_progress,
    ):
        answers, evidence = run_batch(subject, batch.pixels, views)
        logits.append(answers)
        localiser.add(batch.records, batch.geometries, batch.pixels, evidence)
    predictions = predictions_from(subject.info, np.concatenate(logits))
    twin_predictions = None
    if other is not None:
        twin_predictions = predict_table(
            other,
            part,
            batch_size=batch_size,
            tta=tta,
            title="evaluating twin",
            show_progress=show_progress,
        )
    options: dict[str, Any] = {"resamples": resamples, "seed": seed}
    metrics = Metrics(
        classification=_classify(predictions, part, options),
        twin_classification=(
            None if twin_predictions is None else _classify(twin_predictions, part, options)
        ),
        localisation=localiser.rows(**options),
        counts=_counts(part),
        settings={
            "model": "SoftCAM" if subject.info.kind == "softcam" else "Black box",
            "table": part.path.name,
            "split": name,
            **options,
            "localisation_grid": "model input, maps resized bicubically, negatives clipped",
            **({} if tta == "none" else {"tta": f"{tta}, {len(views)} views; Grad-CAM one"}),
        },
    )
    return Assessment(part, name, predictions, twin_predictions, metrics)


def choose_split(table: Table, split: str | None) -> tuple[Table, str]:
    """Choose the images to measure on.

    Args:
        table: The whole table.
        split: A split, "all", or None for the test split (all images of a table without splits).

    Returns:
        The images, and what they are called.

    Raises:
        InputError: If the table has no such split.
    """
    if split == "all" or (split is None and not table.splits()):
        return table, "all"
    name = split or "test"
    return table.subset(name), name


def load_twin(twin: BlackBox | RunLike | None, info: ModelInfo) -> BlackBox | None:
    """Load the black-box twin of a model, and check that the two can be compared.

    Args:
        twin: A black box, or its run folder or model file; None for none.
        info: The model's description.

    Returns:
        The twin.

    Raises:
        InputError: If it is a SoftCAM, or has other classes or another input.
    """
    if twin is None:
        return None
    other = twin if isinstance(twin, BlackBox) else load_run(twin)
    if not isinstance(other, BlackBox):
        raise InputError(f"{twin}: is a SoftCAM; a twin is a black box (train --with-twin).")
    if other.info.classes != info.classes:
        raise InputError(
            f"{twin}: its classes are {', '.join(other.info.classes)}, the model's "
            f"{', '.join(info.classes)}; give a twin trained on the same table."
        )
    if other.info.preprocessing != info.preprocessing:
        raise InputError(
            f"{twin}: prepares images in another way than the model; give a twin trained with "
            "the same size and resize rule."
        )
    return other


def read_for(
    info: ModelInfo,
    table: Path | str,
    *,
    images: Path | None = None,
    dataset: Path | None = None,
) -> Table:
    """Read a table to measure a model on: labels mean what they meant in its training.

    Args:
        info: The model's description.
        table: The table's path.
        images: Folder of the images, if not beside the table.
        dataset: A dataset.yaml that lies elsewhere.

    Returns:
        The table with the splits that it gives itself; a table without splits that the model was
        trained on gets the splits of its training.

    Raises:
        InputError: If the table cannot be used.
    """
    spec: DatasetSpec | Path | None = dataset
    if spec is None:
        spec = DatasetSpec(
            task_of(info), info.classes, info.positive, dict(info.findings), dict(info.labels)
        )
    read = read_table(table, images=images, spec=spec, make_splits=False)
    if not read.splits():
        read = _split_as_in_training(read, info, images=images, spec=spec)
    for note in read.notes:
        _LOG.info("%s: %s", table, note)
    return read


def _split_as_in_training(
    table: Table, info: ModelInfo, *, images: Path | None, spec: DatasetSpec | Path | None
) -> Table:
    """Make the splits of the training again if this is its table: its test images are meant."""
    config, data = info.training.get("config") or {}, info.training.get("data") or {}
    seed = config.get("split_seed")
    seed = int(config.get("seed", 0) if seed is None else seed)
    made = read_table(table.path, images=images, spec=spec, seed=seed)
    if split_digest(made) == data.get("split_sha256"):
        return made
    _LOG.info("%s: has no splits: all %d images are measured", table.path, len(table))
    return table


def require_same_classes(table: Table, info: ModelInfo) -> None:
    """Refuse a table whose labels mean something else than the model's answers.

    Raises:
        InputError: If the classes differ.
    """
    if table.spec.classes != info.classes:
        raise InputError(
            f"{table.path}: its classes are {', '.join(table.spec.classes)}, the model's "
            f"{', '.join(info.classes)}; give a table with the model's classes."
        )


def _counts(table: Table) -> dict[str, int]:
    counts = {"images": len(table), "patients": len(set(table.patients()))}
    annotations = table.annotations
    if annotations is not None:
        counts["annotated"] = sum(annotations.has(record.name) for record in table.records)
    return counts


def _classify(predictions: Predictions, table: Table, options: dict[str, Any]) -> Classification:
    info = predictions.info
    return classification(
        predictions.probabilities,
        table.labels(),
        task=task_of(info),
        classes=info.classes,
        positive=info.positive,
        thresholds=info.thresholds,
        patients=table.patients(),
        **options,
    )
