"""`annotations.json` as COCO has it: images, annotations and categories."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

from softcam.data.annotationsources.found import Found, Regions, box_inside, polygon_inside
from softcam.data.annotationsources.images import Images
from softcam.data.annotationsources.runlengths import read_run_lengths
from softcam.data.problems import Problems
from softcam.data.shapes import Box, Region
from softcam.data.wording import quoted
from softcam.errors import InputError

MAX_BYTES = 256 << 20
"""Larger files are refused before they are read: as objects they take ten times their size."""

_Id = int | str


def read_coco(path: Path, images: Images, found: Found) -> None:
    """Read a COCO file: polygons, run-length masks, and boxes where there is neither.

    Args:
        path: The file.
        images: The images of the table.
        found: What is added to.

    Raises:
        InputError: The file is no COCO file, an annotation does not fit its image, or none belongs
            to an image.
    """
    content = _load(path)
    problems = Problems(str(path))
    categories = {
        key: name.strip()
        for key, name in _by_id(path, content, "categories", "name", problems).items()
        if isinstance(name, str) and name.strip()
    }
    files = _by_id(path, content, "images", None, problems)
    annotations = _objects(path, content, "annotations")
    problems.raise_any()
    reader = _Reader(images, files, categories)
    regions: Regions = {}
    unused: list[str] = []
    for number, annotation in enumerate(annotations, start=1):
        where = f"annotation {_called(annotation, number)}"
        try:
            finding, name, written = reader.whose(annotation)
            if name is None:
                unused.append(written)
                continue
            parts = reader.regions(annotation, name, f"{where} of {path}")
        except InputError as error:
            problems.add(where, str(error).rstrip("."))
            continue
        regions.setdefault(name, []).extend((finding, part) for part in parts)
    problems.raise_any()
    if unused and not regions and not any(map(images.lies_in_folder, unused)):
        raise InputError(
            f"{path} has {len(unused)} annotation(s) and none belongs to an image of the table, "
            f"for instance {quoted(unused[0])}; write each file_name as the table does."
        )
    found.add(regions)
    if unused:
        found.notes.append(
            f"{len(unused)} annotation(s) of {path.name} belong to images that the table does not "
            "list"
        )


class _Reader:
    """The images and categories of a file, and the annotations that speak of them."""

    def __init__(
        self, images: Images, files: dict[_Id, dict[str, Any]], categories: dict[_Id, str]
    ) -> None:
        self._images = images
        self._files = files
        self._categories = categories
        self._names: dict[_Id, tuple[str | None, str]] = {}
        self._taken: dict[str, str] = {}

    def whose(self, annotation: dict[str, Any]) -> tuple[str, str | None, str]:
        """The finding, the image (None if the table lacks it), and its name as it is written."""
        category = annotation.get("category_id")
        if not _is_id(category) or category not in self._categories:
            raise InputError(
                f"its category_id {category!r:.40} names no category of the file; add it to "
                "categories"
            )
        key = annotation.get("image_id")
        if not _is_id(key) or key not in self._files:
            raise InputError(f"its image_id {key!r:.40} is no image of the file; add it to images")
        if key not in self._names:
            self._names[key] = self._image(self._files[key])
        return self._categories[category], *self._names[key]

    def _image(self, entry: dict[str, Any]) -> tuple[str | None, str]:
        written = entry.get("file_name")
        if not isinstance(written, str) or not written.strip():
            raise InputError("its image has no file_name; name the image's file")
        name = self._find(written)
        if name is None:
            return None, written
        if self._taken.setdefault(name, written) != written:
            raise InputError(
                f"its image {quoted(written)} and {quoted(self._taken[name])} are both "
                f"the image {quoted(name)} of "
                "the table; write each file_name as the table does"
            )
        told = entry.get("height"), entry.get("width")
        size = self._images.size_of(name)
        if told != (None, None) and told != size:
            raise InputError(
                f"the file says that the image {quoted(written)} has {told[1]!r:.20} x "
                f"{told[0]!r:.20} "
                f"px, and it has {size[1]} x {size[0]} as displayed; annotate the image as it is"
            )
        return name, written

    def _find(self, written: str) -> str | None:
        """The image of a file_name, which may have more folders than the table writes."""
        parts = [part for part in written.strip().replace("\\", "/").split("/") if part != "."]
        if not parts or parts[0] == "" or ".." in parts:
            raise InputError(
                f"its image {quoted(written)} leads outside the image folder; write it "
                f"relative to that"
            )
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if name in self._images:
                return name
        return None

    def regions(self, annotation: dict[str, Any], name: str, what: str) -> list[Region]:
        """What an annotation marks in its image."""
        size = self._images.size_of(name)
        given = annotation.get("segmentation")
        if isinstance(given, dict):
            return [read_run_lengths(given, size, what)]
        if given:
            if not isinstance(given, list) or not all(isinstance(p, list) for p in given):
                raise InputError(
                    "its segmentation is neither a list of polygons [[x, y, x, y, ...], ...] nor "
                    "an RLE object"
                )
            return [polygon_inside(_numbers(part, "polygon"), name, size) for part in given]
        box = annotation.get("bbox")
        if not box:
            raise InputError("it has neither a segmentation nor a bbox; add one or remove it")
        numbers = _numbers(box, "bbox") if isinstance(box, list) else []
        if len(numbers) != 4:
            raise InputError(f"its bbox is {box!r:.60}; give [x, y, width, height]")
        return [box_inside(Box(*numbers), name, size)]


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path} has more than {MAX_BYTES >> 20} MiB; split it, or write masks/."
            )
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    except RecursionError as error:
        raise InputError(
            f"{path} is nested too deeply to be a COCO file; export it again."
        ) from error
    except ValueError as error:  # no UTF-8, no JSON, or a number of thousands of digits
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is no valid JSON ({reason}); export it again.") from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} is no COCO file; it needs an object with images, annotations and categories."
        )
    return content


def _objects(path: Path, content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = content.get(key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(f"{path} is no COCO file; its {key!r} is no list of objects.")
    return items


def _by_id(
    path: Path, content: dict[str, Any], key: str, value: str | None, problems: Problems
) -> dict[_Id, Any]:
    """The entries of a list by their id: one of their values, or all."""
    found: dict[_Id, Any] = {}
    for number, item in enumerate(_objects(path, content, key), start=1):
        own = item.get("id")
        if not _is_id(own):
            problems.add(f"{key} number {number}", f"its id is {own!r:.40}; give an integer")
        elif own in found:
            problems.add(f"{key} number {number}", f"the id {own!r:.40} is taken; give another")
        else:
            found[own] = item if value is None else item.get(value)
    return found


def _called(annotation: dict[str, Any], number: int) -> str:
    own = annotation.get("id")
    return repr(own)[:40] if _is_id(own) else f"number {number}"


def _is_id(value: object) -> TypeGuard[_Id]:
    return isinstance(value, str) or type(value) is int


def _numbers(given: list[Any], what: str) -> list[float]:
    if set(map(type, given)) == {float} and all(map(math.isfinite, given)):
        return given  # the usual case, which large files have millions of
    numbers = []
    for value in given:
        number = math.nan
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12:
            number = float(value)
        if not math.isfinite(number):
            raise InputError(f"its {what} holds {value!r:.40}; give numbers of pixels")
        numbers.append(number)
    return numbers
