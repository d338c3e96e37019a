"""`stage_2_train_labels.csv` as RSNA's pneumonia challenge has it: a row for each box."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from softcam.data.annotationsources.boxescsv import read_box
from softcam.data.annotationsources.found import Found, Regions, box_inside
from softcam.data.annotationsources.images import Images
from softcam.data.csvfile import read_csv
from softcam.data.labels import canonical
from softcam.data.problems import Problems
from softcam.data.wording import quoted
from softcam.errors import InputError

PATTERN = "stage_*_train_labels.csv"
"""What the file is called."""
FINDING = "opacity"
"""What its boxes mark."""

_SIDES = ("x", "y", "width", "height")
_COLUMNS = ("patientId", *_SIDES, "Target")


def read_rsna(path: Path, images: Images, found: Found) -> None:
    """Read RSNA's boxes.

    Args:
        path: The file; its patientId is an image's name without folder and suffix.
        images: The images of the table.
        found: What is added to.

    Raises:
        InputError: A row is wrong, or none belongs to an image.
    """
    file = read_csv(path, ())
    for column in _COLUMNS:
        if column not in file.columns:
            raise InputError(f"{path} has no column {column!r}; it needs {', '.join(_COLUMNS)}.")
    by_stem = defaultdict(list)
    for name in images:
        by_stem[PurePosixPath(name).stem].append(name)
    problems = Problems(str(path))
    boxes: Regions = {}
    targets: dict[str, str] = {}
    unused: list[str] = []
    fitting = False
    for row in file.rows:
        patient = row.cells["patientId"]
        names = by_stem.get(patient, [])
        if not names:
            unused.append(patient)
            continue
        fitting = True
        try:
            if len(names) > 1:
                raise InputError(
                    f"the patientId {quoted(patient)} fits {len(names)} images "
                    f"({', '.join(names[:3])}); "
                    "give them different names"
                )
            target = canonical(row.cells["Target"])
            empty = not any(row.cells[side] for side in _SIDES)
            if target not in ("0", "1"):
                raise InputError(f"Target is {row.cells['Target']!r:.40}; use 0 or 1")
            if targets.setdefault(patient, target) != target:
                raise InputError(f"{quoted(patient)} has both Targets, 0 and 1; keep one")
            if empty != (target == "0"):
                what = "no box" if empty else "a box"
                raise InputError(f"Target is {target} and there is {what}; correct one of them")
            if empty:
                continue
            box = box_inside(read_box(row), names[0], images.size_of(names[0]))
        except InputError as error:
            problems.add(f"row {row.line}", str(error).rstrip("."))
            continue
        boxes.setdefault(names[0], []).append((FINDING, box))
    problems.raise_any()
    if unused and not fitting and not any(map(images.lies_in_folder, unused)):
        raise InputError(
            f"{path} names {len(set(unused))} patient(s) and none is an image of the table, for "
            f"instance {quoted(unused[0])}; patientId must be an image's name without its suffix."
        )
    found.add(boxes)
    if unused:
        found.notes.append(
            f"{len(unused)} row(s) of {path.name} belong to images that the table does not list"
        )
