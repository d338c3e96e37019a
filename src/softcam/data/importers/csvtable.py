"""Any table of images, with the names that columns usually have."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from softcam.data.annotations import UNNAMED, Annotations, Box
from softcam.data.csvfile import CsvFile, read_csv
from softcam.data.dicompatients import patients_of
from softcam.data.folder import SPLITS
from softcam.data.imagefolder import SUFFIXES, ImageFolder
from softcam.data.importers.marks import read_marks
from softcam.data.importers.plan import Importer, Item, LeftOut, Plan, Shape
from softcam.data.labels import read_flag
from softcam.data.meaning import Meaning, settle
from softcam.data.rows import RawRow, RawTable
from softcam.data.spec import PartialSpec, read_spec
from softcam.data.wording import listed, printable
from softcam.errors import InputError
from softcam.evidence.info import Task

_NAMES = {
    "image": ("image", "filename", "file", "path", "image_id", "id"),
    "label": ("label", "class", "target", "diagnosis", "level", "grade"),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id"),
    "split": ("split", "set", "subset", "fold"),
}
_SIDES = ("x", "y", "width", "height")


def plan(root: Path, task: str, *, masks: Path | None = None) -> Plan:
    """List the images of a table.

    Args:
        root: A CSV file, or the folder of a `table.csv`; `dataset.yaml` and annotations beside it
            are taken too.
        task: "auto".
        masks: A folder laid out as `masks/`, when it does not lie beside the table.

    Returns:
        The plan.

    Raises:
        InputError: The table cannot be read, or has no image or label column.
    """
    path = root / "table.csv" if root.is_dir() else root
    home = path.parent
    yaml = home / "dataset.yaml"
    partial = read_spec(yaml) if yaml.is_file() else PartialSpec()
    file = read_csv(path, ())
    columns = _columns(path, file, partial)
    folder = ImageFolder(_images(home, partial))
    flags = _flags(path, file, partial, columns)
    raw = [
        RawRow(
            row=row.line,
            named=f"{path.name} row {row.line}",
            image=row.cells[columns["image"]],
            label=None if flags else row.cells[columns["label"]],
            flags=tuple(row.cells[name] for name in flags),
            split=row.cells[columns["split"]] if "split" in columns else "",
            patient=row.cells[columns["patient"]] if "patient" in columns else "",
        )
        for row in file.rows
    ]
    meaning = settle(RawTable(path, tuple(raw), flags), partial, require_labels=True)
    items, left_out = _items(raw, folder, meaning, home)
    notes = []
    if not any(item.patient for item in items):
        found = patients_of([home / item.source for item in items])
        items = [
            replace(item, patient=name) for item, name in zip(items, found.patients, strict=True)
        ]
        notes = list(found.notes)
    boxes, bad = _boxes(home, {item.source: item for item in items}, folder)
    marks, wrong, told = read_marks(home, folder, items, masks)
    items = [
        replace(item, boxes=(*boxes.get(item.source, ()), *marks.boxes.get(item.name, ())))
        for item in items
    ]
    sources = {item.name: item.source for item in items}
    left_out += bad + wrong
    notes += [
        f"the column {written!r} was taken for the {name}"
        for name, written in columns.items()
        if written != name and not (flags and name == "label")
    ]
    return Plan(
        _named(items),
        left_out,
        _yaml(meaning),
        meaning.classes.meanings(),
        flags,
        [*notes, *told, *meaning.notes],
        annotations=Annotations(
            masks={sources[name]: masks for name, masks in marks.masks.items()},
            polygons={sources[name]: pairs for name, pairs in marks.polygons.items()},
            layers={sources[name]: pairs for name, pairs in marks.layers.items()},
        ),
    )


def _columns(path: Path, file: CsvFile, partial: PartialSpec) -> dict[str, str]:
    lower = {column.lower(): column for column in file.columns}
    found = {}
    for name, names in _NAMES.items():
        for written in names:
            if written in lower and lower[written] not in partial.classes:
                found[name] = lower[written]
                break
    if "image" not in found:
        raise InputError(
            f"{path} has no image column (its columns are {listed(file.columns)}); call one of "
            f"them {' or '.join(_NAMES['image'][:3])}."
        )
    return found


def _flags(
    path: Path, file: CsvFile, partial: PartialSpec, columns: dict[str, str]
) -> tuple[str, ...]:
    if partial.task is Task.MULTILABEL:
        flags = partial.classes or tuple(c for c in file.columns if c not in columns.values())
        missing = [name for name in flags if name not in file.columns]
        if missing or not flags:
            raise InputError(f"{path} has no column for the class {(missing or ['any'])[0]!r}.")
        return flags
    if "label" not in columns:
        raise InputError(
            f"{path} has no label column (its columns are {listed(file.columns)}); call one of "
            f"them {' or '.join(_NAMES['label'][:3])}."
        )
    return ()


def _images(home: Path, partial: PartialSpec) -> Path:
    folder = home / (partial.images or "images")
    if partial.images is not None and not os.path.isdir(folder):  # noqa: PTH112  (never raises)
        raise InputError(f"{folder}, which {partial.source} names, is no folder; correct it.")
    return folder if folder.is_dir() else home


def _items(
    rows: list[RawRow], folder: ImageFolder, meaning: Meaning, home: Path
) -> tuple[list[Item], list[LeftOut]]:
    items: list[Item] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    given = any(row.split for row in rows)
    base = Path(os.path.relpath(folder.root, home))
    for row in rows:
        what = f"{row.where}: {printable(row.image)}"
        try:
            name = _locate(folder, row.image)
        except InputError as error:
            left_out.append(LeftOut(what, "the image cannot be found", str(error)))
            continue
        split = SPLITS.get(row.split.lower(), "")
        if name in seen:
            left_out.append(LeftOut(what, "it is listed twice; the first is taken"))
        elif given and not split:
            left_out.append(LeftOut(what, "its split is not train, val or test", repr(row.split)))
        elif row.label is not None and meaning.classes.index(row.label) is None:
            detail = meaning.classes.problem(row.label)
            left_out.append(LeftOut(what, "its label is no class", detail))
        elif any(read_flag(cell) is None for cell in row.flags):
            left_out.append(LeftOut(what, "its labels are not 0, 1 or empty"))
        else:
            seen.add(name)
            source = (base / name).as_posix()
            items.append(Item(source, name, row.label or "", row.patient, split, row.flags))
    return items, left_out


def _locate(folder: ImageFolder, written: str) -> str:
    """The image's name in its folder; a suffix that the table leaves out is looked for."""
    for suffix in ("", *SUFFIXES):
        if suffix == "" or folder.holds(written + suffix):
            try:
                return folder.locate(written + suffix)[0]
            except InputError:
                if suffix == "" and any(folder.holds(written + other) for other in SUFFIXES):
                    continue
                raise
    raise InputError(f"the image {written!r} does not exist")


def _boxes(
    home: Path, items: dict[str, Item], folder: ImageFolder
) -> tuple[dict[str, list[tuple[str, Box]]], list[LeftOut]]:
    """The boxes of `boxes.csv` by the image's source."""
    path = home / "boxes.csv"
    found: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    bad: list[LeftOut] = []
    if not path.is_file():
        return found, bad
    file = read_csv(path, ("image", *_SIDES, "finding"))
    for column in ("image", *_SIDES):
        if column not in file.columns:
            raise InputError(
                f"{path} has no column {column!r}; it needs image, x, y, width, height."
            )
    base = Path(os.path.relpath(folder.root, home))
    for row in file.rows:
        what = f"{path.name} row {row.line}: {printable(row.cells['image'])}"
        source = (base / row.cells["image"]).as_posix()
        try:
            box = Box(*(float(row.cells[side]) for side in _SIDES))
            whole = all(math.isfinite(v) for v in (box.x, box.y, box.width, box.height))
        except ValueError:
            whole = False
        if not whole or min(box.width, box.height) <= 0:
            bad.append(LeftOut(what, "its box is no box"))
        elif source not in items:
            bad.append(LeftOut(what, "the box belongs to no imported image"))
        else:
            found[source].append((row.cells.get("finding") or UNNAMED, box))
    return found, bad


def _named(items: list[Item]) -> list[Item]:
    """Take the suffixes off the names where that keeps them apart."""
    stems = Counter(str(PurePosixPath(item.name).with_suffix("")) for item in items)
    return [
        replace(item, name=stem) if stems[stem] == 1 else item
        for item, stem in ((item, str(PurePosixPath(item.name).with_suffix(""))) for item in items)
    ]


def _yaml(meaning: Meaning) -> dict[str, Any]:
    """The meaning of the labels, spelled out."""
    names = meaning.classes.names
    content: dict[str, Any] = {"task": str(meaning.task), "classes": list(names)}
    if meaning.classes.values:
        content["classes"] = dict(meaning.classes.values)
    if meaning.task is Task.BINARY:
        content["positive"] = names[1]
    if meaning.partial.findings:
        content["findings"] = dict(meaning.partial.findings)
    return content


CSV = Importer("csv", "A table of images", "", ("auto",), Shape(), plan)
