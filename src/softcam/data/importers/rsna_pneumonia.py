"""RSNA pneumonia 2018: DICOM chest X-rays, a box table and a table of classes."""

from __future__ import annotations

import math
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

from softcam.data.annotations import Box
from softcam.data.csvfile import CsvFile, CsvRow, read_csv
from softcam.data.importers.plan import Importer, Item, LeftOut, Plan, Shape
from softcam.data.importers.walk import walk
from softcam.data.labels import canonical
from softcam.errors import InputError, MissingExtraError

NORMAL, OPACITY, OTHER = "Normal", "Lung Opacity", "No Lung Opacity / Not Normal"
FINDING = "opacity"
_SIDES = ("x", "y", "width", "height")
_LABELS = "stage_2_train_labels.csv"
_CLASSES = "stage_2_detailed_class_info.csv"
_IMAGES = "stage_2_train_images"


def plan(root: Path, task: str) -> Plan:
    """List the X-rays with their class and every box.

    Args:
        root: The folder of the download.
        task: "opacity" (Normal against Lung Opacity; the third class is left out) or "three".

    Returns:
        The plan.

    Raises:
        InputError: A table is missing or another one.
        MissingExtraError: pydicom is missing.
    """
    try:
        import_module("pydicom")
    except ImportError as error:
        raise MissingExtraError(
            "Reading DICOM files needs pydicom, which is not installed; run: "
            'pip install "softcam[dicom]".'
        ) from error
    files = walk(root)
    boxes = _read(files.one(_LABELS), ("patientId", *_SIDES, "Target"))
    details = _read(files.one(_CLASSES), ("patientId", "class"))
    images = files.by_stem((".dcm", ".dicom"), inside=_IMAGES)
    kinds: dict[str, set[str]] = defaultdict(set)
    for row in details.rows:
        kinds[row.cells["patientId"]].add(row.cells["class"])
    rows: dict[str, list[CsvRow]] = defaultdict(list)
    for row in boxes.rows:
        rows[row.cells["patientId"]].append(row)
    wanted = (NORMAL, OPACITY) if task == "opacity" else (NORMAL, OTHER, OPACITY)
    items: list[Item] = []
    left_out = list(files.left_out)
    for patient, own in rows.items():
        where = f"{_LABELS} row {own[0].line}: {patient}"
        reason, detail = _problem(own, kinds.get(patient, set()))
        kind = next(iter(kinds.get(patient, {""})))
        if not reason and patient not in images:
            reason = "the image is missing"
        if reason:
            left_out.append(LeftOut(where, reason, detail))
        elif kind not in wanted:
            text = f"{kind!r} is no class of the task {task}"
            left_out.append(LeftOut(images[patient][0], text, problem=False))
        else:
            first, *more = sorted(images[patient], key=lambda file: (file.count("/"), file))
            left_out += [LeftOut(m, "another file has this name; that is taken") for m in more]
            found, bad = _boxes(own)
            left_out += bad
            items.append(Item(first, patient, kind, patient, boxes=found))
    for patient in sorted(set(images) - set(rows)):
        left_out += [LeftOut(file, f"{_LABELS} does not list it") for file in images[patient]]
    meaning: dict[str, Any] = {"task": "multiclass", "classes": list(wanted)}
    if task == "opacity":
        meaning = {"task": "binary", "classes": list(wanted), "positive": OPACITY}
    return Plan(
        items,
        left_out,
        {**meaning, "findings": {FINDING: OPACITY}},
        labels={name: name for name in wanted},
        notes=[
            "RSNA's patientId is one per image; which images show the same person is not in the "
            "download"
        ],
        split_cells={"bin_target": {NORMAL: "0", OPACITY: "1"}},
    )


def _read(path: Path, columns: tuple[str, ...]) -> CsvFile:
    table = read_csv(path, ())
    for column in columns:
        if column not in table.columns:
            raise InputError(f"{path} has no column {column!r}; it is not RSNA's file.")
    return table


def _problem(rows: list[CsvRow], kinds: set[str]) -> tuple[str, str]:
    """What is wrong with a patient, and its detail; empty if nothing is."""
    targets = {canonical(row.cells["Target"]) for row in rows}
    if not kinds:
        return f"{_CLASSES} does not list it", ""
    if len(kinds) > 1:
        return "it has several classes", ", ".join(sorted(kinds))
    (kind,) = kinds
    if kind not in (NORMAL, OPACITY, OTHER):
        return "its class is unknown", repr(kind)
    if targets != {"1" if kind == OPACITY else "0"}:
        return "its Target and its class disagree", f"{', '.join(sorted(targets))}, {kind}"
    return "", ""


def _boxes(rows: list[CsvRow]) -> tuple[tuple[tuple[str, Box], ...], list[LeftOut]]:
    """Every box of a patient once, and the rows whose box is none."""
    found: list[tuple[str, Box]] = []
    bad: list[LeftOut] = []
    for row in rows:
        if canonical(row.cells["Target"]) != "1":
            continue
        where = f"{_LABELS} row {row.line}: {row.cells['patientId']}"
        numbers = [_number(row.cells[side]) for side in _SIDES]
        if not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
            bad.append(LeftOut(where, "its box is no box (the image is kept)"))
        elif (FINDING, Box(*numbers)) in found:
            bad.append(LeftOut(where, "the box is listed twice (it is kept once)"))
        else:
            found.append((FINDING, Box(*numbers)))
    return tuple(found), bad


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


RSNA_PNEUMONIA = Importer(
    "rsna-pneumonia",
    "RSNA Pneumonia Detection Challenge 2018",
    "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
    ("opacity", "three"),
    Shape("longer", 512),
    plan,
)
