"""`labels/<image>.txt` as YOLO has them: a class number, then a box or polygon in image sides."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from softcam.data.annotationsources.found import Found, Regions, box_inside, polygon_inside
from softcam.data.annotationsources.images import Images, files_in, stem
from softcam.data.problems import Problems
from softcam.data.shapes import Box, Region
from softcam.data.wording import quoted
from softcam.errors import InputError

_CLASSES = "classes.txt"
_ROUNDING = 1e-6  # how far a part of a side may lie beyond 0 and 1
_MAX_BYTES = 64 << 20


def read_yolo(folder: Path, images: Images, found: Found) -> None:
    """Read a folder of YOLO labels.

    Args:
        folder: `labels/`; `classes.txt` lies in it or beside it, or `data.yaml` beside it.
        images: The images of the table.
        found: What is added to.

    Raises:
        InputError: A line is none, its class has no name, or no file belongs to an image.
    """
    problems = Problems(str(folder))
    names = _class_names(folder)
    regions: Regions = {}
    strangers: list[str] = []
    fitting = 0
    for path in files_in(folder):
        relative = path.relative_to(folder).as_posix()
        if path.suffix.lower() != ".txt" or relative == _CLASSES:
            continue
        try:
            name = images.the_one(stem(relative), "image.jpg.txt")
            if name is None:
                strangers.append(relative)
                continue
            fitting += 1
            lines = _text(path).splitlines()
        except InputError as error:
            problems.add(relative, str(error).rstrip("."))
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                finding, region = _region(line, name, images.size_of(name), names)
            except InputError as error:
                problems.add(f"{relative} line {number}", str(error).rstrip("."))
                continue
            regions.setdefault(name, []).append((finding, region))
    problems.raise_any()
    if strangers and not fitting and not any(images.lies_in_folder(stem(s)) for s in strangers):
        raise InputError(
            f"{folder} holds {len(strangers)} label file(s) and none fits an image, for instance "
            f"{quoted(strangers[0])}; lay them out as labels/<image name>.txt."
        )
    found.add(regions)
    if strangers:
        found.notes.append(
            f"{len(strangers)} file(s) in {folder} belong to images that the table does not list"
        )


def _region(
    line: str, name: str, size: tuple[int, int], names: dict[int, str]
) -> tuple[str, Region]:
    first, *rest = line.split()
    if not (first.isascii() and first.isdigit() and len(first) < 10):
        raise InputError(f"it begins with {first!r:.40}; give the number of a class")
    if int(first) not in names:
        raise InputError(
            f"the class {int(first)} has no name; list the names in {_CLASSES}, or under names in "
            "data.yaml"
        )
    if len(rest) != 4 and (len(rest) < 6 or len(rest) % 2):
        raise InputError(
            f"it has {len(rest)} numbers after the class; give 4 for a box (centre x, centre y, "
            "width, height), or x and y of 3 or more corners"
        )
    numbers = []
    for text in rest:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not -_ROUNDING <= number <= 1 + _ROUNDING:
            raise InputError(f"it holds {text!r:.40}; give parts of the image's side from 0 to 1")
        numbers.append(number)
    height, width = size
    scaled = [n * (height if i % 2 else width) for i, n in enumerate(numbers)]
    finding = names[int(first)]
    if len(scaled) == 4:
        x, y, wide, high = scaled
        return finding, box_inside(Box(x - wide / 2, y - high / 2, wide, high), name, size)
    return finding, polygon_inside(scaled, name, size)


def _class_names(folder: Path) -> dict[int, str]:
    """The names of the class numbers; files that name them must agree."""
    found: list[tuple[Path, dict[int, str]]] = []
    for path in (folder / _CLASSES, folder.parent / _CLASSES):
        if path.is_file():
            lines = _text(path).splitlines()
            found.append((path, {i: line.strip() for i, line in enumerate(lines) if line.strip()}))
    for path in (folder.parent / "data.yaml", folder.parent / "data.yml"):
        if path.is_file():
            found.append((path, _names_of(path)))
    for path, names in found[1:]:
        if names != found[0][1]:
            raise InputError(
                f"{found[0][0]} and {path} name the classes differently; remove one of them."
            )
    return found[0][1] if found else {}


def _names_of(path: Path) -> dict[int, str]:
    try:
        content: Any = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read as YAML ({reason}); correct the file.") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(
        type(key) is int and isinstance(name, str | int) and not isinstance(name, bool)
        for key, name in names.items()
    ):
        raise InputError(
            f"{path} has no usable names; give a list of the classes' names, or lines such as "
            "`0: exudate` (yes, no, on and off in quotes)."
        )
    return {key: str(name).strip() for key, name in names.items() if str(name).strip()}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} has more than {_MAX_BYTES >> 20} MiB; it is no text to read.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
