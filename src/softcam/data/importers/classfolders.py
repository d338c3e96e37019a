"""Any folder of class folders, with or without splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from softcam.data.dicompatients import patients_of
from softcam.data.folder import SPLITS, scan_folder
from softcam.data.importers.plan import Importer, Item, LeftOut, Plan, Shape
from softcam.data.importers.walk import walk
from softcam.data.labels import collect_classes
from softcam.errors import InputError


def plan(root: Path, task: str) -> Plan:
    """List the images of class folders.

    Args:
        root: `train/NORMAL/*.jpeg`, or `NORMAL/*.jpeg` without splits; a folder that holds nothing
            but the real one is looked into.
        task: "auto".

    Returns:
        The plan; patients are known where DICOM headers name them.

    Raises:
        InputError: The folder holds no such layout, or one class only.
    """
    files = walk(root)
    inner = _inner(root)
    raw = scan_folder(inner, require_labels=True)
    prefix = inner.relative_to(root)
    left_out = list(files.left_out)
    inside = set(files.names)
    taken: list[tuple[str, str, str, str]] = []
    for row in raw.rows:
        source = (prefix / row.image).as_posix()
        if source in inside:  # and not behind a link
            split = SPLITS[row.split.lower()] if row.split else ""
            taken.append((source, row.image, row.label or "", split))
    used = {source for source, *_ in taken}
    left_out += [
        LeftOut(name, "it is no image in a class folder")
        for name in files.names
        if name not in used
    ]
    names = collect_classes(label for *_, label, _ in taken).names
    if len(names) < 2:
        raise InputError(f"{root} has one class folder; a classifier needs at least two classes.")
    stems = Counter(str(PurePosixPath(image).with_suffix("")) for _, image, _, _ in taken)
    items = []
    found = patients_of([root / source for source, *_ in taken])
    for (source, image, label, split), patient in zip(taken, found.patients, strict=True):
        stem = str(PurePosixPath(image).with_suffix(""))
        items.append(Item(source, stem if stems[stem] == 1 else image, label, patient, split))
    meaning: dict[str, Any] = {"task": "multiclass", "classes": list(names)}
    if len(names) == 2:
        meaning = {"task": "binary", "classes": list(names), "positive": names[1]}
    return Plan(
        items,
        left_out,
        meaning,
        labels={name: name for name in names},
        notes=found.notes
        or ["class folders name no patients: every image counts as a patient of its own"],
    )


def _inner(root: Path) -> Path:
    """Go down folders that hold one folder and no file, but for a class's or a split's."""
    while True:
        inside = [p for p in root.iterdir() if p.name[:1] != "." and p.name != "__MACOSX"]
        alone = len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink()
        if not alone or inside[0].name.lower() in SPLITS:
            return root
        root = inside[0]


FOLDER = Importer("folder", "Class folders", "", ("auto",), Shape(), plan)
