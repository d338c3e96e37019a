"""Find the circle that a fundus photograph shows the retina in: importers and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from softcam.errors import InputError

_LONG_SIDE = 768  # px; an edge is found to about a pixel of this, and then a little is lost
_RIM = 0.12  # of the way from black to bright: low, since the retina is dark towards its rim
_LEAST_STEP = 6.0  # grey levels between black and bright below which there is nothing to see
_ROUNDS = 12
_FIT = 0.02  # of the radius: how far the typical rim point may lie from the circle


Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels; it may reach over the border of the image."""


@dataclass(frozen=True, slots=True)
class Field:
    """The field of view in the pixels of the image.

    Attributes:
        x: Centre, from the left.
        y: Centre, from the top.
        radius: Of the circle.
        circle: Whether a circle was found; otherwise it is the one around the bright part's box.
    """

    x: float
    y: float
    radius: float
    circle: bool

    def square(self) -> tuple[int, int, int]:
        """The tight square of whole pixels around the circle: x, y and side."""
        side = max(1, round(2 * self.radius))
        return round(self.x - side / 2), round(self.y - side / 2), side

    def region(self, across: float = 1.0, down: float = 1.0) -> Region:
        """The square in the pixels of a file that is not as wide or tall as the image.

        Args:
            across: Width of the file over the image's.
            down: Height of the file over the image's.
        """
        x, y, side = self.square()
        x0, y0 = round(x * across), round(y * down)
        return x0, y0, x0 + max(1, round(side * across)), y0 + max(1, round(side * down))


def find_field(image: npt.NDArray[Any] | Image.Image) -> Field:
    """Find the circle of a fundus photograph.

    The bright part is what rises a little above the corners, which are black; a circle is fitted
    to its rim by least squares, leaving out the points on the image's own border (where the camera
    cut the circle off) and, round by round, those far from the circle (a notch, a label).

    Args:
        image: (height, width) or (height, width, 3) array, uint8 or uint16; or a PIL image of mode
            L or RGB.

    Returns:
        The circle in the image's pixels, with edges at integers.

    Raises:
        InputError: Nothing in the image is brighter than the rest.
    """
    long_side = max(image.size if isinstance(image, Image.Image) else image.shape[:2])
    factor = max(1, -(-long_side // _LONG_SIDE))
    grey = _reduced(image, factor)
    mask = _bright(grey)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    x, y, radius = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2
    fitted = _fit_circle(*_rim(mask))
    circle = fitted is not None and _plausible(fitted, (left, top, right, bottom))
    if fitted is not None and circle:
        x, y, radius = fitted
    return Field(x * factor, y * factor, radius * factor, circle)


def _reduced(image: npt.NDArray[Any] | Image.Image, factor: int) -> npt.NDArray[np.float64]:
    """Averages over blocks of pixels, then the brightest channel, on the scale 0..255."""
    if not isinstance(image, Image.Image):
        eight = (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image
        image = Image.fromarray(np.ascontiguousarray(eight))
    # The last row and column of blocks may be partial: Pillow averages what there is of them.
    small = np.asarray(image.reduce(factor) if factor > 1 else image)
    if small.ndim == 3:  # channel by channel: numpy is slow along so short an axis
        small = np.maximum(np.maximum(small[:, :, 0], small[:, :, 1]), small[:, :, 2])
    return small.astype(np.float64)


def _bright(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The largest connected part above the threshold."""
    side = max(1, min(grey.shape) // 40)
    corners = [grey[:side, :side], grey[:side, -side:], grey[-side:, :side], grey[-side:, -side:]]
    black = min(float(np.median(corner)) for corner in corners)
    bright = float(np.percentile(grey, 95))
    if bright - black < _LEAST_STEP:
        # All alike: either black, or a photograph that was cropped inside the circle already.
        if bright < 2 * _LEAST_STEP:
            raise InputError("it is black all over; no retina can be found")
        return np.ones(grey.shape, np.bool_)
    mask = grey > black + max(_LEAST_STEP / 2, _RIM * (bright - black))
    from scipy import ndimage  # only here: whoever has no fundus photographs need not wait for it

    parts, count = ndimage.label(ndimage.binary_opening(mask, np.ones((3, 3))))
    if not count:
        raise InputError("only specks of it are bright; no retina can be found")
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _rim(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The first and last bright edge of each row and column that is not the image's own border."""
    points: list[tuple[float, float]] = []
    height, width = mask.shape
    for y in np.flatnonzero(mask.any(axis=1)):
        found = np.flatnonzero(mask[y])
        if found[0] > 1:
            points.append((float(found[0]), y + 0.5))
        if found[-1] < width - 2:
            points.append((float(found[-1]) + 1, y + 0.5))
    for x in np.flatnonzero(mask.any(axis=0)):
        found = np.flatnonzero(mask[:, x])
        if found[0] > 1:
            points.append((x + 0.5, float(found[0])))
        if found[-1] < height - 2:
            points.append((x + 0.5, float(found[-1]) + 1))
    array = np.array(points, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _fit_circle(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[float, float, float] | None:
    """Fit a circle by least squares, again and again without the points that lie far from it.

    The fit is Kasa's: x^2 + y^2 = 2 a x + 2 b y + c is linear in a, b and c.
    """
    if len(x) < 20:
        return None
    shift_x, shift_y = float(x.mean()), float(y.mean())
    u, v = x - shift_x, y - shift_y
    kept = np.ones(len(u), np.bool_)
    for _ in range(_ROUNDS):
        left = np.stack([2 * u, 2 * v, np.ones_like(u)], axis=1)
        a, b, c = np.linalg.lstsq(left[kept], (u**2 + v**2)[kept], rcond=None)[0]
        if c + a * a + b * b <= 0:
            return None
        radius = float(np.sqrt(c + a * a + b * b))
        away = np.abs(np.hypot(u - a, v - b) - radius)
        near = away <= max(1.0, 2.5 * float(np.median(away)))
        if (near == kept).all():
            break
        kept = near
    if float(np.median(away)) > max(1.0, _FIT * radius):
        return None
    return float(a) + shift_x, float(b) + shift_y, radius


def _plausible(circle: tuple[float, float, float], box: tuple[int, int, int, int]) -> bool:
    """Whether a circle fits the box of the bright part, of which the camera may show less."""
    x, y, radius = circle
    left, top, right, bottom = box
    half = max(right - left, bottom - top) / 2
    inside = left <= x <= right and top <= y <= bottom
    return inside and 0.9 * half <= radius <= 1.5 * half
