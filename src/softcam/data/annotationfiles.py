"""Read and check `boxes.csv` and `masks/` against the images of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from softcam.data.annotations import UNNAMED, Annotations, Box, size_problem
from softcam.data.csvfile import CsvRow, read_csv
from softcam.data.imagefolder import SUFFIXES, ImageFolder
from softcam.data.problems import Problems
from softcam.data.readers import image_size
from softcam.data.records import Record
from softcam.errors import InputError

_NUMBERS = ("x", "y", "width", "height")
# How far a box may reach over an edge, as rounding and resizing by other tools make it: px, and
# part of the image's side.
_TOLERANCE_PX = 1.0
_TOLERANCE_PART = 0.005


class Sizes:
    """The displayed sizes of a table's images, each header read once and only when asked for."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = {record.name: record for record in records}
        self._known: dict[str, tuple[int, int]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def of(self, name: str) -> tuple[int, int]:
        """(height, width) as displayed."""
        if name not in self._known:
            self._known[name] = image_size(self._records[name].image)
        return self._known[name]


def read_annotations(
    home: Path, folder: ImageFolder, records: Sequence[Record]
) -> tuple[Annotations | None, tuple[str, ...]]:
    """Read the boxes and masks that lie beside a table.

    Args:
        home: The folder with `boxes.csv` and `masks/`.
        folder: The image folder.
        records: The images of the table.

    Returns:
        The annotations (None when there are neither boxes nor masks), and notes on what was left
        out.

    Raises:
        InputError: A box or mask does not fit its image, or belongs to no image.
    """
    sizes = Sizes(records)
    boxes_file, masks_folder = home / "boxes.csv", home / "masks"
    boxes: dict[str, tuple[tuple[str, Box], ...]] = {}
    masks: dict[str, dict[str, Path]] = {}
    notes: list[str] = []
    if boxes_file.is_file():
        boxes, unused = _read_boxes(boxes_file, folder, sizes)
        if unused:
            notes.append(f"{unused} box(es) belong to images that the table does not list")
    if masks_folder.is_dir():
        masks, unused = _find_masks(masks_folder, folder, records, sizes)
        others = sum(p.is_file() and p.suffix.lower() != ".png" for p in masks_folder.rglob("*"))
        if others:
            notes.append(f"{others} file(s) in {masks_folder} are no PNG and not used as masks")
        if unused:
            notes.append(f"{unused} mask(s) belong to images that the table does not list")
    if not boxes and not masks:
        return None, tuple(notes)
    return Annotations(boxes, masks), tuple(notes)


def _read_boxes(
    path: Path, folder: ImageFolder, sizes: Sizes
) -> tuple[dict[str, tuple[tuple[str, Box], ...]], int]:
    """The boxes by image, and how many belong to images outside the table."""
    file = read_csv(path, ("image", *_NUMBERS, "finding"))
    for column in ("image", *_NUMBERS):
        if column not in file.columns:
            raise InputError(
                f"{path} has no column {column!r}; it needs image, x, y, width, height and, if "
                "there are several, finding."
            )
    problems = Problems(str(path))
    found: dict[str, list[tuple[str, Box]]] = {}
    unused = 0
    for row in file.rows:
        try:
            name = row.cells["image"]
            if name not in sizes:
                name, _ = folder.locate(name)
            if name not in sizes:
                unused += 1
                continue
            box = _inside(_read_box(row), name, sizes.of(name))
        except InputError as error:
            problems.add(f"row {row.line}", str(error).rstrip("."))
            continue
        found.setdefault(name, []).append((row.cells.get("finding") or UNNAMED, box))
    problems.raise_any()
    return {name: tuple(pairs) for name, pairs in found.items()}, unused


def _read_box(row: CsvRow) -> Box:
    numbers = []
    for column in _NUMBERS:
        text = row.cells[column]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{column} is {text!r}; give a number of pixels")
        numbers.append(number)
    box = Box(*numbers)
    if box.width <= 0 or box.height <= 0:
        raise InputError(
            f"the box is {box.width:g} x {box.height:g} px; width and height must be above 0"
        )
    return box


def _inside(box: Box, name: str, size: tuple[int, int]) -> Box:
    """Clip a box to its image of (height, width), or refuse it when it reaches too far out."""
    height, width = size
    x0, y0 = max(box.x, 0.0), max(box.y, 0.0)
    x1, y1 = min(box.x + box.width, width), min(box.y + box.height, height)
    over_x = max(-box.x, box.x + box.width - width)
    over_y = max(-box.y, box.y + box.height - height)
    far = any(
        over > max(_TOLERANCE_PX, _TOLERANCE_PART * side)
        for over, side in ((over_x, width), (over_y, height))
    )
    if far or x1 <= x0 or y1 <= y0:
        raise InputError(
            f"the box x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g} reaches "
            f"outside the image {name!r} of {width} x {height} px; give file pixels, as displayed"
        )
    return box if max(over_x, over_y) <= 0 else Box(x0, y0, x1 - x0, y1 - y0)


def _find_masks(
    folder: Path, images: ImageFolder, records: Sequence[Record], sizes: Sizes
) -> tuple[dict[str, dict[str, Path]], int]:
    """The mask files by image and finding, and how many belong to images outside the table."""
    by_key: dict[str, set[str]] = {}
    for record in records:
        for key in (record.name, _stem(record.name)):
            by_key.setdefault(key, set()).add(record.name)
    problems = Problems(str(folder))
    found: dict[str, dict[str, Path]] = {}
    strangers: list[str] = []
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() == ".png")
    for path in files:
        relative = path.relative_to(folder).as_posix()
        match = _match(_stem(relative), by_key)
        if match is None:
            strangers.append(relative)
            continue
        finding, names = match
        if len(names) > 1:
            problems.add(
                relative,
                f"it fits {len(names)} images ({', '.join(sorted(names)[:3])}); name the mask "
                "after one of them with its suffix, such as image.jpg.png",
            )
            continue
        (name,) = names
        try:
            mask_size = image_size(path)
            if mask_size != sizes.of(name):
                raise InputError(size_problem(path, mask_size, sizes.of(name)))
        except InputError as error:
            problems.add(relative, str(error).rstrip("."))
            continue
        if finding in found.setdefault(name, {}):
            problems.add(relative, f"the image {name!r} has two masks of {finding!r}; keep one")
        found[name][finding] = path
    problems.raise_any()
    if strangers and not found and not any(_known(name, images) for name in strangers):
        raise InputError(
            f"{folder} holds {len(strangers)} mask(s) and none fits an image, for instance "
            f"{strangers[0]!r}; lay them out as masks/<finding>/<image name>.png."
        )
    return found, len(strangers)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _match(key: str, by_key: dict[str, set[str]]) -> tuple[str, set[str]] | None:
    """The finding and the images that a mask's path (without its .png) speaks of."""
    finding, _, rest = key.partition("/")
    if rest in by_key:
        return finding, by_key[rest]
    return (UNNAMED, by_key[key]) if key in by_key else None


def _known(mask: str, images: ImageFolder) -> bool:
    """Whether an image that the mask could belong to lies in the image folder."""
    stem = _stem(mask)
    keys = (stem, stem.partition("/")[2])
    return any(key and images.holds(key + suffix) for key in keys for suffix in ("", *SUFFIXES))
