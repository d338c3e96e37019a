"""Where the findings are: boxes from `boxes.csv` and masks from `masks/`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.readers import read_image
from softcam.errors import InputError

UNNAMED = "finding"
"""What boxes and masks that name no finding are called."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in file pixels: x and y of the top left corner, width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Annotations:
    """The annotated findings of a table's images.

    Attributes:
        boxes: Image name to its (finding, box) pairs, in the order of the file.
        masks: Image name to finding to mask file.
    """

    boxes: Mapping[str, tuple[tuple[str, Box], ...]] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings that occur, sorted."""
        from_boxes = {finding for pairs in self.boxes.values() for finding, _ in pairs}
        return tuple(sorted(from_boxes.union(*self.masks.values())))

    def has(self, name: str) -> bool:
        """Whether the image with this name has a box or a mask."""
        return name in self.boxes or name in self.masks

    def regions(self, name: str) -> list[tuple[str, Box | npt.NDArray[np.bool_]]]:
        """What to draw on an image.

        Args:
            name: The image's name in the table.

        Returns:
            (finding, region) pairs; a region is a box, or a (height, width) mask in file pixels.

        Raises:
            InputError: A mask file cannot be read.
        """
        drawn: list[tuple[str, Box | npt.NDArray[np.bool_]]] = list(self._boxes(name))
        drawn += [(finding, read_mask(path)) for finding, path in self._masks(name)]
        return drawn

    def mask(
        self,
        name: str,
        findings: Collection[str],
        geometry: Geometry,
        *,
        grid: Literal["input", "file"] = "input",
    ) -> npt.NDArray[np.bool_]:
        """Join an image's findings to one mask; where a finding has both, its mask wins.

        A pixel is inside a box when its centre is; a box too small to hold a centre keeps the
        pixel that its own centre lies in, so that no finding vanishes. An input pixel is inside a
        mask when the mask covers at least half of it.

        Args:
            name: The image's name in the table.
            findings: The findings to join; those that the image lacks add nothing.
            geometry: How the image became the model's input.
            grid: "input" for the model's input pixels, "file" for file pixels.

        Returns:
            (H, W) boolean array on that grid.

        Raises:
            InputError: A mask file cannot be read, or its size is not the image's.
        """
        if grid not in ("input", "file"):
            raise InputError(f"The grid {grid!r} is unknown; use input or file.")
        if grid == "file":
            geometry = Geometry.of(geometry.file_size)
        joined = np.zeros(geometry.input_size, dtype=np.bool_)
        boxes = [box for finding, box in self._boxes(name) if finding in findings]
        _fill(joined, boxes, geometry)
        for finding, path in self._masks(name):
            if finding not in findings:
                continue
            mask = read_mask(path)
            if mask.shape != geometry.file_size:
                raise InputError(size_problem(path, mask.shape, geometry.file_size))
            joined |= mask if grid == "file" else geometry.coverage(mask) >= 0.5 - 1e-9
        return joined

    def _boxes(self, name: str) -> list[tuple[str, Box]]:
        """The boxes that no mask of the same finding draws more exactly."""
        drawn = self.masks.get(name, {})
        return [(finding, box) for finding, box in self.boxes.get(name, ()) if finding not in drawn]

    def _masks(self, name: str) -> list[tuple[str, Path]]:
        return sorted(self.masks.get(name, {}).items())


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask file: whatever is not black (and not transparent) is inside.

    Returns:
        (height, width) boolean array in file pixels.

    Raises:
        InputError: See `softcam.data.readers.read_image`.
    """
    array = read_image(path).array
    inside = array > 0
    return np.asarray(inside.any(axis=2) if array.ndim == 3 else inside)


def size_problem(path: Path, mask: tuple[int, ...], image: tuple[int, int]) -> str:
    """Say that a mask does not fit its image; sizes are (height, width)."""
    return (
        f"The mask {path} has {mask[1]} x {mask[0]} px, its image {image[1]} x {image[0]} px; "
        "save the mask in the image's size."
    )


def _fill(joined: npt.NDArray[np.bool_], boxes: list[Box], geometry: Geometry) -> None:
    """Set the pixels inside the boxes, in place."""
    if not boxes:
        return
    given = np.array([(box.x, box.y, box.width, box.height) for box in boxes])
    for x, y, width, height in geometry.boxes_to_input(given):
        if width <= 0 or height <= 0:
            continue  # cropped away
        columns = _centres(float(x), float(width))
        rows = _centres(float(y), float(height))
        joined[rows, columns] = True


def _centres(start: float, length: float) -> slice:
    """The pixels whose centres lie in [start, start + length); never none."""
    # Rounding in the last digits must not decide on which side of an edge a centre falls.
    first = math.ceil(round(start - 0.5, 9))
    last = math.ceil(round(start + length - 0.5, 9))
    if last <= first:
        first = math.floor(start + length / 2)
        last = first + 1
    return slice(first, last)
