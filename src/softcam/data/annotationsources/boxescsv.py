"""`boxes.csv`: image, x, y, width, height and finding."""

from __future__ import annotations

import math
from pathlib import Path

from softcam.data.annotations import UNNAMED
from softcam.data.annotationsources.found import Found, Regions, box_inside
from softcam.data.annotationsources.images import Images
from softcam.data.csvfile import CsvRow, read_csv
from softcam.data.problems import Problems
from softcam.data.shapes import Box
from softcam.data.wording import quoted
from softcam.errors import InputError

_NUMBERS = ("x", "y", "width", "height")


def read_boxes(path: Path, images: Images, found: Found) -> None:
    """Read a `boxes.csv`.

    Args:
        path: The file.
        images: The images of the table.
        found: What is added to.

    Raises:
        InputError: A box does not fit its image, or belongs to no image.
    """
    file = read_csv(path, ("image", *_NUMBERS, "finding"))
    for column in ("image", *_NUMBERS):
        if column not in file.columns:
            raise InputError(
                f"{path} has no column {column!r}; it needs image, x, y, width, height and, if "
                "there are several, finding."
            )
    problems = Problems(str(path))
    boxes: Regions = {}
    unused = 0
    for row in file.rows:
        try:
            name = row.cells["image"]
            if name not in images:
                name, _ = images.folder.locate(name)
            if name not in images:
                unused += 1
                continue
            box = box_inside(read_box(row), name, images.size_of(name))
        except InputError as error:
            problems.add(f"row {row.line}", str(error).rstrip("."))
            continue
        boxes.setdefault(name, []).append((row.cells.get("finding") or UNNAMED, box))
    problems.raise_any()
    found.add(boxes)
    if unused:
        found.notes.append(f"{unused} box(es) belong to images that the table does not list")


def read_box(row: CsvRow) -> Box:
    """Read the cells x, y, width and height of a row.

    Raises:
        InputError: One of them is no number.
    """
    numbers = []
    for column in _NUMBERS:
        text = row.cells[column]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{column} is {quoted(text)}; give a number of pixels")
        numbers.append(number)
    return Box(*numbers)
