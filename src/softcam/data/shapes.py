"""What a finding can be marked by, and which pixels of an input it covers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_DIGITS = 9  # rounding in the last digits must not decide on which side of an edge a centre falls
_CROSSINGS = 1 << 20  # edges times rows that are worked on at once: bounds the memory


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in file pixels: x and y of the top left corner, width and height."""

    x: float
    y: float
    width: float
    height: float

    def corners(self) -> Polygon:
        """The same area as a polygon."""
        x1, y1 = self.x + self.width, self.y + self.height
        return Polygon(((self.x, self.y), (x1, self.y), (x1, y1), (self.x, y1)))


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed outline in file pixels: its corners (x, y), the last joined to the first.

    A point is inside when a line from it to infinity crosses the outline an odd number of times.
    """

    points: tuple[tuple[float, float], ...]


class Layer(Protocol):
    """A mask that a file of many findings holds, read when it is asked for."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in file pixels."""
        ...

    def read(self) -> Mask:
        """Read the mask: a (height, width) boolean array in file pixels."""
        ...


Region = Box | Polygon | Layer


def fill_boxes(joined: Mask, boxes: Iterable[Box], geometry: Geometry) -> None:
    """Set the pixels whose centres lie in boxes; a box without any keeps its own centre's pixel.

    Args:
        joined: (H, W) mask on the input grid, changed in place.
        boxes: In file pixels.
        geometry: How the image became the model's input.
    """
    given = np.array([(box.x, box.y, box.width, box.height) for box in boxes])
    for x, y, width, height in geometry.boxes_to_input(given):
        if width <= 0 or height <= 0:
            continue  # cropped away
        columns = _centres(float(x), float(width))
        rows = _centres(float(y), float(height))
        joined[rows, columns] = True


def fill_polygons(joined: Mask, polygons: Iterable[Polygon], geometry: Geometry) -> None:
    """Set the pixels whose centres lie in polygons, each taken by itself.

    A polygon that holds no centre keeps the pixel that its centroid lies in, so that no finding
    vanishes.

    Args:
        joined: (H, W) mask on the input grid, changed in place.
        polygons: In file pixels.
        geometry: How the image became the model's input.
    """
    content = np.round(np.array(geometry.content_box()).reshape(2, 2), _DIGITS)
    for polygon in polygons:
        points = np.round(geometry.to_input(polygon.points), _DIGITS)
        low = np.maximum(points.min(axis=0), content[0])
        high = np.minimum(points.max(axis=0), content[1])
        if (low >= high).any():
            continue  # cropped away
        first, last = _first_centre(low), _first_centre(high)
        if (first < last).all():
            inside = _crossed(points, first, last)
            if inside.any():
                joined[first[1] : last[1], first[0] : last[0]] |= inside
                continue
        centre = _centroid(_clipped(points, content))
        if centre is not None:
            x, y = np.clip(np.floor(centre), 0, np.array(joined.shape[::-1]) - 1).astype(int)
            joined[y, x] = True


def _centres(start: float, length: float) -> slice:
    """The pixels whose centres lie in [start, start + length); never none."""
    first = math.ceil(round(start - 0.5, _DIGITS))
    last = math.ceil(round(start + length - 0.5, _DIGITS))
    if last <= first:
        first = math.floor(start + length / 2)
        last = first + 1
    return slice(first, last)


def _first_centre(at: Floats) -> npt.NDArray[np.intp]:
    """The first pixel whose centre does not lie before a coordinate."""
    return np.ceil(np.round(at - 0.5, _DIGITS)).astype(np.intp)


def _crossed(
    points: Floats, first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """The pixels of [first, last), each (x, y), left of which lie an odd number of edges."""
    (left, top), (right, bottom) = first, last
    start, end = points, np.roll(points, -1, axis=0)
    # The rows whose centres an edge passes; of two edges that meet on a centre one counts.
    from_row = _first_centre(np.minimum(start[:, 1], end[:, 1])).clip(top, bottom)
    to_row = _first_centre(np.maximum(start[:, 1], end[:, 1])).clip(top, bottom)
    counts = to_row - from_row
    toggled = np.zeros((bottom - top, right - left + 1), dtype=np.uint8)
    parts = np.cumsum(counts) // _CROSSINGS
    for part in np.unique(parts):
        chosen = np.flatnonzero((parts == part) & (counts > 0))
        edge = np.repeat(chosen, counts[chosen])
        before = np.cumsum(counts[chosen]) - counts[chosen]
        row = np.arange(len(edge)) - np.repeat(before - from_row[chosen], counts[chosen])
        (x0, y0), (x1, y1) = start[edge].T, end[edge].T
        x = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
        # uint8 wraps at an even number, so that odd stays odd.
        np.add.at(toggled, (row - top, _first_centre(x).clip(left, right) - left), 1)
    return np.asarray(np.bitwise_xor.accumulate(toggled & 1, axis=1)[:, :-1] == 1)


def _clipped(points: Floats, content: Floats) -> Floats:
    """A polygon's part within a rectangle (Sutherland and Hodgman: one side after the other)."""
    for axis in (0, 1):
        for side, sign in ((content[0, axis], 1.0), (content[1, axis], -1.0)):
            if not len(points):
                return points
            beyond = sign * (points[:, axis] - side)
            kept = []
            for i in range(len(points)):
                # From the last corner to the first, then onwards.
                a, b = beyond[i - 1], beyond[i]
                if (a < 0) != (b < 0):
                    kept.append(points[i - 1] + a / (a - b) * (points[i] - points[i - 1]))
                if b >= 0:
                    kept.append(points[i])
            points = np.array(kept).reshape(-1, 2)
    return points


def _centroid(points: Floats) -> Floats | None:
    """The centre of a polygon's area; None if nothing is left of it."""
    if len(points) < 3 or (np.ptp(points, axis=0) <= 0).any():
        return None
    middle = points.mean(axis=0)
    a = points - middle
    b = np.roll(a, -1, axis=0)
    twice = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    whole = twice.sum()
    if abs(whole) <= 1e-9 * np.abs(twice).sum():
        return np.asarray(middle)  # a figure of eight, whose two areas cancel
    centre = ((a + b) * twice[:, None]).sum(axis=0) / (3 * whole)
    # The centroid of an outline that crosses itself may lie far off.
    return np.asarray((middle + centre).clip(points.min(axis=0), points.max(axis=0)))
