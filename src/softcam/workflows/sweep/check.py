"""Refuse what cannot work before hours are spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from softcam.conversion.errors import ConversionError
from softcam.data.records import Table
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.files import lock_name
from softcam.training.precision import choose_device
from softcam.workflows.models import new_model
from softcam.workflows.sweep.plan import Recipe
from softcam.workflows.sweep.settings import SWEEP_FILE, SweepConfig

RESULT = "sweep.json"
"""Written last: a folder without it is an unfinished sweep."""


def check_sweep(settings: SweepConfig, recipes: Sequence[Recipe]) -> Table:
    """Check table, splits, device and models.

    Args:
        settings: The sweep.
        recipes: Everything that it trains.

    Returns:
        The whole table.

    Raises:
        InputError: If anything cannot be used, a backbone that cannot become a SoftCAM included.
    """
    base = settings.training()
    table = read_table(
        base.table, images=base.images, spec=base.dataset, seed=base.seed_of_splits()
    )
    train, val = table.subset("train"), table.subset("val")
    if len(train) < 2:
        raise InputError(f"{table.path}: has {len(train)} training image; training needs two.")
    _check_classes(val)
    if settings.select_by == "localisation":
        _check_annotations(val)
    choose_device(base)
    for recipe in recipes:
        if recipe.kind != "penalty":  # of its family's model
            try:
                new_model(recipe.config, table, len(train))
            except (InputError, ConversionError) as error:
                raise InputError(f"{recipe.name}: {error}") from error
    return table


def _check_classes(val: Table) -> None:
    """The AUC, by which recipes qualify, needs both kinds of image."""
    labels = val.labels()
    several = val.spec.task is Task.MULTILABEL
    columns = labels.T if several else [labels]
    if not any(np.unique(column[~np.isnan(column)]).size > 1 for column in columns):
        raise InputError(
            f"{val.path}: all validation images are of one class; a recipe is chosen by the "
            "validation AUC, which needs images of others too."
        )


def _check_annotations(val: Table) -> None:
    annotations = val.annotations
    if annotations is None or not any(annotations.has(record.name) for record in val.records):
        raise InputError(
            f"{val.path}: no validation image is annotated; use --select-by deletion, which needs "
            "no annotation."
        )


def check_out(out: Path, *, resume: bool) -> None:
    """Check that a sweep may be written to a folder, and leave nothing there.

    Raises:
        InputError: If it holds a sweep while `resume` is false, or other files.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder; choose another --out.")
    if (out / SWEEP_FILE).is_file():
        if resume:
            return
        state = "a finished" if (out / RESULT).is_file() else "an unfinished"
        raise InputError(
            f"{out}: holds {state} sweep; go on with or add to it by `softcam sweep --resume --out "
            f"{out}`, or choose another --out."
        )
    if out.is_dir() and any(path.name != lock_name("sweep") for path in out.iterdir()):
        raise InputError(f"{out}: is not empty and no sweep; choose another --out.")
