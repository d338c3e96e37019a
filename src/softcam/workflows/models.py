"""Models from RUN arguments, and new ones from settings."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from softcam.conversion.black_box import BlackBox
from softcam.conversion.create import create_black_box, create_model, normalisation
from softcam.conversion.load import load, load_black_box
from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Table
from softcam.deploy.export.exported import SUFFIXES
from softcam.errors import InputError
from softcam.evidence.file import read_model_file
from softcam.evidence.model import SoftCAM
from softcam.training.config import TrainConfig
from softcam.training.run import Run, find_model
from softcam.training.shaping import check_mosaic, make_penalty

RunLike = Run | Path | str


def load_run(run: RunLike) -> SoftCAM | BlackBox:
    """Load the model of a RUN argument.

    Args:
        run: A run, a run folder or a model file.

    Returns:
        A SoftCAM or a black box, in eval mode.

    Raises:
        InputError: If there is no usable model file.
    """
    path = run.model if isinstance(run, Run) else find_model(run)
    if path.suffix.lower() in SUFFIXES:
        raise InputError(
            f"{path}: is an exported file, and this needs the model itself; give a run folder or "
            "a model file."
        )
    if read_model_file(path).info.kind == "black_box":
        return load_black_box(path)
    return load(path)


def preprocessing_of(model: SoftCAM | BlackBox) -> Preprocessing:
    """Give a model's preprocessing.

    Raises:
        InputError: If the model does not carry any.
    """
    if model.info.preprocessing is None:
        raise InputError(
            "this model does not say how images become its input; save it with "
            "`model.info.preprocessing` set, or train it with softcam."
        )
    return Preprocessing.from_dict(model.info.preprocessing)


def preprocessing_for(config: TrainConfig) -> Preprocessing:
    """Build the preprocessing of a new model: the backbone's own statistics for RGB."""
    mean, std = normalisation(config.model) if config.channels == "rgb" else ((), ())
    return Preprocessing(
        size=config.size,
        mean=mean,
        std=std,
        channels=config.channels,
        resize=config.resize,
        trim=config.trim,
        pixel_aspect=config.pixel_aspect,
    )


def new_model(config: TrainConfig, table: Table, train_images: int) -> SoftCAM | BlackBox:
    """Build the model that a configuration describes, for the classes of a table.

    Args:
        config: The run's settings; the seed decides the new weights.
        table: The whole table.
        train_images: Number of training images, for the provenance.

    Returns:
        A SoftCAM, or the stock black box if the settings ask for one.

    Raises:
        InputError: If backbone, weights or settings do not fit.
        ConversionError: If the backbone cannot become a SoftCAM so.
    """
    spec = table.spec
    outputs = len(spec.classes)
    if config.one_logit:
        if outputs != 2 or spec.positive is None:
            raise InputError("one_logit: is for binary tasks, this table has another.")
        outputs = 1
    arguments: dict[str, Any] = {"drop_rate": config.drop_rate} if config.drop_rate else {}
    common: dict[str, Any] = {
        "num_classes": outputs,
        "pretrained": config.pretrained,
        "weights": config.weights,
        "in_chans": 3 if config.channels == "rgb" else 1,
        "output_stride": config.output_stride,
        **arguments,
    }
    make_penalty(config, spec.classes, outputs)  # refuses names of classes that there are not
    torch.manual_seed(config.seed)
    model: SoftCAM | BlackBox
    if config.black_box:
        model = create_black_box(config.model, **common)
    else:
        model = create_model(
            config.model,
            mode=config.mode,
            stages=config.stages,
            neck=config.neck,
            neck_width=config.neck_width,
            concentration=config.concentration,
            **common,
        )
        try:
            cells = model.map_size(config.size)
        except InputError as error:
            raise InputError(f"size: {config.model}: {error}") from error
        check_mosaic(config, model.evidence_kind, cells)
    info = model.info
    info.task = spec.task
    info.classes = spec.classes
    info.positive = spec.positive
    info.findings = dict(spec.findings)
    info.labels = dict(spec.values)
    info.preprocessing = preprocessing_for(config).to_dict()
    info.training = {
        **info.training,
        "config": _without_folders(config),
        "data": {
            "table": table.path.name,
            "sha256": _digest(table.path),
            "split_sha256": split_digest(table),
            "images": len(table.records),
            "train_images": train_images,
            "splits": table.splits(),
        },
    }
    return model


def split_digest(table: Table) -> str:
    """Tell whether two tables hold the same images with the same labels in the same splits.

    Args:
        table: Any table, class folders included.

    Returns:
        A SHA-256 over the images' names, labels and splits, in order of the names.
    """
    lines = sorted(f"{record.name}\t{record.label}\t{record.split}" for record in table.records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _without_folders(config: TrainConfig) -> dict[str, Any]:
    """Give the settings with file names for paths: folders may name people or places."""
    given = config.model_dump()
    return {
        **config.model_dump(mode="json"),
        **{name: value.name for name, value in given.items() if isinstance(value, Path)},
    }


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
