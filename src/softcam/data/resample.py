"""Sampling of maps along one axis at a time: nearest, bilinear, bicubic and by area.

Coordinates are continuous with pixel edges at integers, so cell i of a map covers [i, i + 1) and
its value sits at i + 0.5. An axis map takes target coordinates to source coordinates; it is a
fraction, so that a centre which falls on a cell edge is placed by arithmetic and not by rounding.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError

Interpolation = Literal["nearest", "bilinear", "bicubic"]

_TAPS = {"bilinear": 2, "bicubic": 4}
_KEYS = -0.5  # the cubic that reproduces quadratics (Keys 1981, IEEE ASSP 29, eq. 15)


class AxisMap(NamedTuple):
    """The map x -> scale * x + offset along one axis."""

    scale: Fraction
    offset: Fraction

    def then(self, other: AxisMap) -> AxisMap:
        """Apply this map and then the other."""
        return AxisMap(other.scale * self.scale, other.scale * self.offset + other.offset)

    def inverse(self) -> AxisMap:
        """Undo this map."""
        return AxisMap(1 / self.scale, -self.offset / self.scale)

    def at(self, x: Fraction | int) -> Fraction:
        """Map one coordinate exactly."""
        return self.scale * x + self.offset


def _cells(length: int, to_source: AxisMap) -> npt.NDArray[np.intp]:
    """The source cell under each target pixel's centre, by integer arithmetic."""
    step, offset = to_source
    bottom = 2 * step.denominator * offset.denominator
    slope = step.numerator * offset.denominator
    shift = 2 * offset.numerator * step.denominator
    return np.array([(slope * (2 * i + 1) + shift) // bottom for i in range(length)], dtype=np.intp)


def _cubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    t = np.abs(distance)
    near = ((_KEYS + 2) * t - (_KEYS + 3)) * t * t + 1
    far = _KEYS * (((t - 5) * t + 8) * t - 4)
    return np.asarray(np.where(t < 1, near, np.where(t < 2, far, 0.0)), dtype=np.float64)


def sample_axis(
    values: npt.NDArray[Any],
    axis: int,
    length: int,
    to_source: AxisMap,
    interpolation: Interpolation,
) -> npt.NDArray[Any]:
    """Sample an array along one axis at the centres of target pixels.

    Args:
        values: Array with the source cells along `axis`.
        axis: The axis to sample, counted from the end (negative).
        length: Number of target pixels.
        to_source: Takes target coordinates to source coordinates (both with edges at integers).
        interpolation: Beyond the outermost cell centres the outermost cells go on.

    Returns:
        Array whose `axis` has `length` entries; float64 unless the interpolation is "nearest".

    Raises:
        InputError: The interpolation is unknown.
    """
    last = values.shape[axis] - 1
    if interpolation == "nearest":
        return np.take(values, _cells(length, to_source).clip(0, last), axis=axis)
    if interpolation not in _TAPS:
        raise InputError(
            f"The interpolation {interpolation!r} is unknown; use nearest, bilinear or bicubic."
        )
    taps = _TAPS[interpolation]
    position = (np.arange(length) + 0.5) * float(to_source.scale) + float(to_source.offset) - 0.5
    first = np.floor(position).astype(np.intp) - (taps // 2 - 1)
    shape = [1] * values.ndim
    shape[axis] = length
    result: npt.NDArray[Any] | None = None
    for tap in range(taps):
        distance = position - (first + tap)
        weight = 1 - np.abs(distance) if taps == 2 else _cubic(distance)
        part = np.take(values, (first + tap).clip(0, last), axis=axis) * weight.reshape(shape)
        result = part if result is None else result + part
    return np.asarray(result)


def average_axis(
    values: npt.NDArray[Any],
    axis: int,
    length: int,
    to_source: AxisMap,
    bounds: tuple[Fraction, Fraction],
) -> npt.NDArray[np.float64]:
    """Average an array over the source interval that each target pixel covers.

    Args:
        values: Array with the source cells along `axis`.
        axis: The axis to average along, counted from the end (negative).
        length: Number of target pixels.
        to_source: Takes target coordinates to source coordinates.
        bounds: The source interval that counts; nothing (zero) lies outside of it.

    Returns:
        float64 array whose `axis` has `length` entries: the integral over the covered interval
        divided by the interval's length.
    """
    cells = values.shape[axis]
    edges = np.arange(length + 1) * float(to_source.scale) + float(to_source.offset)
    edges = edges.clip(float(bounds[0]), float(bounds[1]))
    start = np.zeros([1 if i == axis % values.ndim else n for i, n in enumerate(values.shape)])
    total = np.concatenate([start, np.cumsum(values, axis=axis, dtype=np.float64)], axis=axis)
    below = np.floor(edges).astype(np.intp).clip(0, cells - 1)
    shape = [1] * values.ndim
    shape[axis] = length + 1
    fraction = (edges - below).reshape(shape)
    # The running integral is linear inside a cell, so its value at any edge is exact.
    lower, upper = np.take(total, below, axis=axis), np.take(total, below + 1, axis=axis)
    integral = lower * (1 - fraction) + upper * fraction
    return np.asarray(np.diff(integral, axis=axis) / float(to_source.scale), dtype=np.float64)
