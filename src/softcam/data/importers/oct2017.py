"""OCT2017: `train|val|test/CLASS/CLASS-PATIENT-NUMBER.jpeg`."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from softcam.data.importers.plan import Importer, Item, LeftOut, Plan, Shape
from softcam.data.importers.walk import walk
from softcam.errors import InputError

CLASSES = ("NORMAL", "CNV", "DME", "DRUSEN")
_SUFFIXES = (".jpeg", ".jpg", ".png")
_SCAN = re.compile(r"([A-Z]+)-(\d+)-(\d+)")


def plan(root: Path, task: str) -> Plan:
    """List the scans.

    Args:
        root: The folder of the download.
        task: "drusen" (against normal; the other two are left out) or "four".

    Returns:
        The plan, with the download's splits.

    Raises:
        InputError: The folder holds no such layout.
    """
    files = walk(root)
    wanted = ("NORMAL", "DRUSEN") if task == "drusen" else CLASSES
    items: list[Item] = []
    left_out = list(files.left_out)
    seen: dict[str, str] = {}
    odd = 0
    for file in files.names:
        path = PurePosixPath(file)
        place = _place(path)
        if place is None:
            continue
        split, folder = place
        scan = _SCAN.fullmatch(path.stem)
        name = f"{split}/{folder}/{path.stem}"
        if path.suffix.lower() not in _SUFFIXES:
            left_out.append(LeftOut(file, "it is no JPEG or PNG by name"))
        elif scan is None:
            left_out.append(LeftOut(file, "its name is not CLASS-PATIENT-NUMBER"))
        elif scan.group(1) != folder:
            left_out.append(LeftOut(file, "its name and its folder say different classes"))
        elif name in seen:
            left_out.append(LeftOut(file, "another file has this name; that is taken", seen[name]))
        elif folder not in wanted:
            reason = f"{folder} is no class of the task {task}"
            left_out.append(LeftOut(file, reason, problem=False))
        else:
            seen[name] = file
            odd += path.suffix.lower() != ".jpeg"
            items.append(Item(file, name, folder, scan.group(2), split))
    if not items:
        raise InputError(
            f"{root} holds no scans in train, val or test/{'|'.join(CLASSES)}; give the folder of "
            "the download."
        )
    meaning: dict[str, Any] = {"task": "multiclass", "classes": list(wanted)}
    if task == "drusen":
        meaning = {"task": "binary", "classes": list(wanted), "positive": "DRUSEN"}
    return Plan(
        items,
        left_out,
        meaning,
        labels={name: name for name in wanted},
        notes=[f"{odd} image(s) have another suffix than .jpeg; they were read by content"]
        * (odd > 0),
        split_cells={
            "drusen": {"NORMAL": "0", "DRUSEN": "1"},
        },
    )


def _place(path: PurePosixPath) -> tuple[str, str] | None:
    """The split and the class that a file's folders name, however deep it lies in them."""
    parts = path.parts[:-1]
    for split, folder in pairwise(parts):
        if split.lower() in ("train", "val", "test") and folder.upper() in CLASSES:
            return split.lower(), folder.upper()
    return None


OCT2017 = Importer(
    "oct2017",
    "OCT2017: retinal OCT (Kermany, Zhang and Goldbaum)",
    "https://data.mendeley.com/datasets/rscbjbr9sj (CC BY 4.0)",
    ("drusen", "four"),
    Shape("shorter", 496),
    plan,
)
