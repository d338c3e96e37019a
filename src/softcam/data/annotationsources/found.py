"""What the annotation files say, gathered, and held against the images' borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from softcam.data.annotations import Annotations
from softcam.data.shapes import Box, Layer, Polygon, Region
from softcam.data.wording import quoted
from softcam.errors import InputError

# How far a region may reach over an edge, as rounding and resizing by other tools make it: px, and
# part of the image's side.
_TOLERANCE_PX = 1.0
_TOLERANCE_PART = 0.005
_MOST_POINTS = 100_000

Regions = dict[str, list[tuple[str, Region]]]
"""Image name to its (finding, region) pairs."""


@dataclass
class Found:
    """The annotations as they come, file by file.

    Attributes:
        boxes: See `Annotations`.
        masks: See `Annotations`.
        polygons: See `Annotations`.
        layers: See `Annotations`.
        notes: What was left out.
    """

    boxes: dict[str, list[tuple[str, Box]]] = field(default_factory=dict)
    masks: dict[str, dict[str, Path]] = field(default_factory=dict)
    polygons: dict[str, list[tuple[str, Polygon]]] = field(default_factory=dict)
    layers: dict[str, list[tuple[str, Layer]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, regions: Regions) -> None:
        """Take the regions of one source.

        Within a source each region is a lesion of its own. So a box beside an outline of the same
        finding becomes an outline too: it must not give way as the boxes of another source do.
        """
        for name, pairs in regions.items():
            exact = {finding for finding, region in pairs if not isinstance(region, Box)}
            for finding, region in pairs:
                if isinstance(region, Box) and finding in exact:
                    region = region.corners()
                if isinstance(region, Box):
                    self.boxes.setdefault(name, []).append((finding, region))
                elif isinstance(region, Polygon):
                    self.polygons.setdefault(name, []).append((finding, region))
                else:
                    self.layers.setdefault(name, []).append((finding, region))

    def annotations(self) -> Annotations | None:
        """All of it; None if nothing is marked."""
        if not (self.boxes or self.masks or self.polygons or self.layers):
            return None
        return Annotations(
            {name: tuple(pairs) for name, pairs in self.boxes.items()},
            self.masks,
            {name: tuple(pairs) for name, pairs in self.polygons.items()},
            {name: tuple(pairs) for name, pairs in self.layers.items()},
        )


def box_inside(box: Box, name: str, size: tuple[int, int]) -> Box:
    """Clip a box to its image, or refuse it when it reaches too far out.

    Args:
        box: In file pixels.
        name: The image.
        size: Its (height, width).

    Raises:
        InputError: It has no area, or reaches outside.
    """
    if box.width <= 0 or box.height <= 0:
        raise InputError(
            f"the box is {box.width:g} x {box.height:g} px; width and height must be above 0"
        )
    height, width = size
    x0, y0 = max(box.x, 0.0), max(box.y, 0.0)
    x1, y1 = min(box.x + box.width, width), min(box.y + box.height, height)
    over_x = max(-box.x, box.x + box.width - width)
    over_y = max(-box.y, box.y + box.height - height)
    if _far(over_x, width) or _far(over_y, height) or x1 <= x0 or y1 <= y0:
        raise InputError(
            f"the box x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g} reaches "
            f"outside the image {quoted(name)} of {width} x {height} px; give file "
            f"pixels, as displayed"
        )
    return box if max(over_x, over_y) <= 0 else Box(x0, y0, x1 - x0, y1 - y0)


def polygon_inside(numbers: list[float], name: str, size: tuple[int, int]) -> Polygon:
    """Make a polygon of x, y, x, y, ..., or refuse it when it reaches too far out of its image.

    Args:
        numbers: Finite, in file pixels.
        name: The image.
        size: Its (height, width).

    Raises:
        InputError: The numbers make no polygon, it has no area, or it reaches outside.
    """
    if len(numbers) % 2:
        raise InputError(
            f"the polygon has {len(numbers)} coordinates, an odd number; give x, y, x, y, ..."
        )
    if not 6 <= len(numbers) <= 2 * _MOST_POINTS:
        raise InputError(f"the polygon has {len(numbers) // 2} corner(s); give 3 to {_MOST_POINTS}")
    points = np.array(numbers, dtype=np.float64).reshape(-1, 2)
    height, width = size
    over_x = float(max(-points[:, 0].min(), points[:, 0].max() - width))
    over_y = float(max(-points[:, 1].min(), points[:, 1].max() - height))
    if _far(over_x, width) or _far(over_y, height):
        x, y = points[np.argmax(np.maximum(-points, points - (width, height)).max(axis=1))]
        raise InputError(
            f"the polygon's corner x={x:g} y={y:g} lies outside the image "
            f"{quoted(name)} of {width} x "
            f"{height} px; give file pixels, as displayed"
        )
    points = points.clip(0, (width, height))
    spread = points - points[0]
    longest = spread[np.argmax((spread**2).sum(axis=1))]
    beside = np.abs(spread[:, 0] * longest[1] - spread[:, 1] * longest[0])
    if beside.max() <= 1e-9 * (longest**2).sum():
        raise InputError("the polygon has no area: its corners lie on one line; remove it")
    return Polygon(tuple(zip(points[:, 0].tolist(), points[:, 1].tolist(), strict=True)))


def _far(over: float, side: int) -> bool:
    return over > max(_TOLERANCE_PX, _TOLERANCE_PART * side)
