"""Where the findings are: boxes, outlines and masks, whichever file they come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.readers import read_image
from softcam.data.shapes import Box, Layer, Polygon, fill_boxes, fill_polygons
from softcam.errors import InputError

__all__ = ["UNNAMED", "Annotations", "Box", "Layer", "Polygon", "read_mask", "size_problem"]

UNNAMED = "finding"
"""What boxes and masks that name no finding are called."""


@dataclass(frozen=True)
class Annotations:
    """The annotated findings of a table's images.

    Attributes:
        boxes: Image name to its (finding, box) pairs, in the order of the file.
        masks: Image name to finding to mask file.
        polygons: Image name to its (finding, polygon) pairs.
        layers: Image name to its (finding, layer) pairs: masks within files of many findings.
    """

    boxes: Mapping[str, tuple[tuple[str, Box], ...]] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    polygons: Mapping[str, tuple[tuple[str, Polygon], ...]] = field(default_factory=dict)
    layers: Mapping[str, tuple[tuple[str, Layer], ...]] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings that occur, sorted."""
        names = {*self.boxes, *self.masks, *self.polygons, *self.layers}
        return tuple(sorted({finding for name in names for finding in self.findings_of(name)}))

    def findings_of(self, name: str) -> frozenset[str]:
        """The findings that are marked in the image with this name."""
        return frozenset(finding for finding, _ in self.boxes.get(name, ())) | self._exact(name)

    def has(self, name: str) -> bool:
        """Whether anything is marked in the image with this name."""
        return any(name in kind for kind in (self.boxes, self.masks, self.polygons, self.layers))

    def regions(self, name: str) -> list[tuple[str, Box | Polygon | npt.NDArray[np.bool_]]]:
        """What to draw on an image.

        Args:
            name: The image's name in the table.

        Returns:
            (finding, region) pairs; a region is a box, a polygon, or a (height, width) mask in
            file pixels.

        Raises:
            InputError: A mask cannot be read.
        """
        drawn: list[tuple[str, Box | Polygon | npt.NDArray[np.bool_]]] = list(self._boxes(name))
        drawn += self.polygons.get(name, ())
        for finding in self._masked(name):
            drawn += [(finding, mask) for mask in self._read(name, finding, None)]
        return drawn

    def mask(
        self,
        name: str,
        findings: Collection[str],
        geometry: Geometry,
        *,
        grid: Literal["input", "file"] = "input",
    ) -> npt.NDArray[np.bool_]:
        """Join an image's findings to one mask.

        Boxes of a finding do not count where it also has a polygon or a mask, which say the same
        more exactly; polygons and masks are joined.

        A pixel is inside a box or polygon when its centre is; one too small to hold a centre keeps
        the pixel that its own centre lies in, so that no finding vanishes. An input pixel is inside
        a mask when the mask covers at least half of it.

        Args:
            name: The image's name in the table.
            findings: The findings to join; those that the image lacks add nothing.
            geometry: How the image became the model's input.
            grid: "input" for the model's input pixels, "file" for file pixels.

        Returns:
            (H, W) boolean array on that grid.

        Raises:
            InputError: A mask cannot be read, or its size is not the image's.
        """
        if grid not in ("input", "file"):
            raise InputError(f"The grid {grid!r} is unknown; use input or file.")
        if grid == "file":
            geometry = Geometry.of(geometry.file_size)
        joined = np.zeros(geometry.input_size, dtype=np.bool_)
        fill_boxes(joined, [box for f, box in self._boxes(name) if f in findings], geometry)
        outlines = [polygon for f, polygon in self.polygons.get(name, ()) if f in findings]
        fill_polygons(joined, outlines, geometry)
        for finding in self._masked(name):
            if finding not in findings:
                continue
            # Joined before they are reduced: halves of one lesion may lie in two masks.
            mask = np.logical_or.reduce(self._read(name, finding, geometry.file_size))
            joined |= mask if grid == "file" else geometry.coverage(mask) >= 0.5 - 1e-9
        return joined

    def _exact(self, name: str) -> frozenset[str]:
        """The findings that are not only boxes."""
        drawn = frozenset(finding for finding, _ in self.polygons.get(name, ()))
        return drawn.union(self._masked(name))

    def _boxes(self, name: str) -> list[tuple[str, Box]]:
        """The boxes of findings that nothing draws more exactly."""
        exact = self._exact(name)
        return [(finding, box) for finding, box in self.boxes.get(name, ()) if finding not in exact]

    def _masked(self, name: str) -> list[str]:
        layers = {finding for finding, _ in self.layers.get(name, ())}
        return sorted(layers.union(self.masks.get(name, {})))

    def _read(
        self, name: str, finding: str, size: tuple[int, int] | None
    ) -> list[npt.NDArray[np.bool_]]:
        """The masks of a finding in file pixels, held against the image's (height, width)."""
        found = []
        path = self.masks.get(name, {}).get(finding)
        if path is not None:
            found.append(read_mask(path))
            if size is not None and found[0].shape != size:
                raise InputError(size_problem(path, found[0].shape, size))
        for other, layer in self.layers.get(name, ()):
            if other == finding:
                if size is not None and layer.size != size:
                    raise InputError(size_problem(layer, layer.size, size))
                found.append(layer.read())
        return found


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


def size_problem(what: Path | Layer | str, mask: tuple[int, ...], image: tuple[int, int]) -> str:
    """Say that a mask does not fit its image; sizes are (height, width)."""
    return (
        f"The mask {what} has {mask[1]} x {mask[0]} px, its image {image[1]} x {image[0]} px; "
        "save the mask in the image's size."
    )
