"""Kaggle's diabetic retinopathy: `trainLabels.csv` and `NNN_left.jpeg`, `NNN_right.jpeg`."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from softcam.data.csvfile import read_csv
from softcam.data.importers.plan import Importer, Item, LeftOut, Plan, Shape
from softcam.data.importers.walk import walk
from softcam.data.labels import canonical
from softcam.errors import InputError

LEVELS = ("no_dr", "mild", "moderate", "severe", "proliferative")
_EYE = re.compile(r"(\d+)_(left|right)")
_TASKS: dict[str, dict[str, Any]] = {
    "onset1": {"task": "binary", "names": ("no_dr", *("dr",) * 4)},
    "onset2": {"task": "binary", "names": (*("no_referral",) * 2, *("referral",) * 3)},
    "levels": {"task": "ordinal", "names": LEVELS},
}


def plan(root: Path, task: str) -> Plan:
    """List the photographs and their levels.

    Args:
        root: The folder of the download.
        task: "onset1" (level 1 or above), "onset2" (2 or above) or "levels" (all five).

    Returns:
        The plan; every task has the same images, labels and splits, and another `dataset.yaml`.

    Raises:
        InputError: There is no `trainLabels.csv`, or it is another one.
    """
    files = walk(root)
    labels = files.one("trainLabels.csv")
    table = read_csv(labels, ("image", "level"))
    for column in ("image", "level"):
        if column not in table.columns:
            raise InputError(f"{labels} has no column {column!r}; it is not Kaggle's file.")
    found = files.by_stem((".jpeg", ".jpg", ".png"))
    items: list[Item] = []
    left_out = list(files.left_out)
    listed: set[str] = set()
    odd = 0
    for row in table.rows:
        name, level = row.cells["image"], canonical(row.cells["level"])
        where = f"{labels.name} row {row.line}: {name}"
        eye = _EYE.fullmatch(name)
        if name in listed:
            left_out.append(LeftOut(where, "it is listed twice; the first is taken"))
            continue
        listed.add(name)
        if eye is None:
            left_out.append(LeftOut(where, "its name is not NUMBER_left or NUMBER_right"))
        elif level not in ("0", "1", "2", "3", "4"):
            left_out.append(LeftOut(where, "its level is not 0 to 4", f"{level!r}"))
        elif name not in found:
            left_out.append(LeftOut(where, "the image is missing"))
        else:
            first, *more = sorted(found[name], key=lambda file: (file.count("/"), file))
            left_out += [LeftOut(m, "another file has this name; that is taken") for m in more]
            odd += not first.lower().endswith(".jpeg")
            items.append(Item(first, name, level, eye.group(1)))
    for name in sorted(set(found) - listed):
        left_out += [_unlisted(file, labels.name) for file in found[name]]
    names = _TASKS[task]["names"]
    meaning = {"task": _TASKS[task]["task"], "classes": {i: names[i] for i in range(5)}}
    if meaning["task"] == "binary":
        meaning["positive"] = names[-1]
    return Plan(
        items,
        left_out,
        meaning,
        labels={str(i): names[i] for i in range(5)},
        notes=[f"{odd} image(s) have another suffix than .jpeg; they were read by content"]
        * (odd > 0),
        split_cells={
            "level": {str(i): str(i) for i in range(5)},
            "onset1": {str(i): str(int(i >= 1)) for i in range(5)},
            "onset2": {str(i): str(int(i >= 2)) for i in range(5)},
        },
    )


def _unlisted(file: str, table: str) -> LeftOut:
    if "test" in PurePosixPath(file).parts[:-1]:
        reason = f"it is of the competition's test set, which {table} does not label"
        return LeftOut(file, reason, problem=False)
    return LeftOut(file, f"{table} does not list it")


KAGGLE_DR = Importer(
    "kaggle-dr",
    "Kaggle Diabetic Retinopathy Detection (EyePACS)",
    "https://www.kaggle.com/c/diabetic-retinopathy-detection",
    tuple(_TASKS),
    Shape("retina", 512),
    plan,
)
