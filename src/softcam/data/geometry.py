"""Where every pixel went: the recorded steps from file pixels to the model's input, and back.

File pixels are the pixels as displayed, after EXIF orientation. Points are (x, y) in continuous
coordinates with pixel edges at integers, so pixel (0, 0) covers [0, 1) x [0, 1) and its centre is
(0.5, 0.5). Sizes are (height, width), as arrays have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.data.resample import AxisMap, Interpolation, average_axis, sample_axis
from softcam.data.steps import STEP_KINDS, Size, Step
from softcam.errors import InputError


class _Axis:
    """One axis of a geometry: the exact map and the part of the file that is still shown."""

    def __init__(self, length: int) -> None:
        self.map = AxisMap(Fraction(1), Fraction(0))
        self.low, self.high = Fraction(0), Fraction(length)

    def then(self, step: AxisMap, length: int) -> None:
        self.map = self.map.then(step)
        back = self.map.inverse()
        ends = sorted((back.at(0), back.at(length)))
        # What a crop cut off stays cut off, even where later padding would cover its place.
        self.low, self.high = max(self.low, ends[0]), min(self.high, ends[1])


@dataclass(frozen=True)
class Geometry:
    """The axis-aligned map from file pixels to model-input pixels, composed from recorded steps.

    Attributes:
        file_size: (height, width) of the image as displayed.
        input_size: (height, width) of the model's input.
        steps: What was done to the image, in order.

    Raises:
        InputError: A step does not fit, or the steps do not lead to `input_size`.
    """

    file_size: Size
    input_size: Size
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if min(self.file_size) <= 0:
            raise InputError(f"An image of (height, width) {self.file_size} has no pixel.")
        size = self.file_size
        for step in self.steps:
            step.check(size)
            size = step.output_size(size)
        if size != self.input_size:
            raise InputError(
                f"The steps lead to (height, width) {size}, not to the input size "
                f"{self.input_size}; record every step."
            )

    @classmethod
    def of(cls, file_size: Size, *steps: Step) -> Geometry:
        """Compose a geometry from steps, working out the input size.

        Args:
            file_size: (height, width) of the image as displayed.
            *steps: What is done to it, in order.
        """
        geometry = cls(file_size, file_size)
        for step in steps:
            geometry = geometry.then(step)
        return geometry

    def then(self, step: Step) -> Geometry:
        """Record one more step."""
        step.check(self.input_size)
        size = step.output_size(self.input_size)
        return Geometry(self.file_size, size, (*self.steps, step))

    @cached_property
    def _axes(self) -> tuple[_Axis, _Axis]:
        size = self.file_size
        x, y = _Axis(size[1]), _Axis(size[0])
        for step in self.steps:
            step_x, step_y = step.axes(size)
            size = step.output_size(size)
            x.then(step_x, size[1])
            y.then(step_y, size[0])
        return x, y

    def to_input(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Take points from file pixels to input pixels.

        Args:
            points: (..., 2) array of x, y.

        Returns:
            float64 array of the same shape; points that were cropped away lie outside the input
            or on its padding.
        """
        x, y = (axis.map for axis in self._axes)
        return _affine(points, x, y)

    def to_file(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Take points from input pixels back to file pixels.

        Args:
            points: (..., 2) array of x, y.

        Returns:
            float64 array of the same shape; points on padding lie outside the file.
        """
        x, y = (axis.map.inverse() for axis in self._axes)
        return _affine(points, x, y)

    def boxes_to_input(self, boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Take boxes from file pixels to input pixels.

        Args:
            boxes: (N, 4) array of x, y, width, height.

        Returns:
            (N, 4) float64 array of x, y, width, height, clipped to the part of the input that
            shows the image; a box that was cropped away has width or height 0.
        """
        given = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        first = self.to_input(given[:, :2])
        second = self.to_input(given[:, :2] + given[:, 2:])
        x0, y0, x1, y1 = self.content_box()
        low, high = np.array([x0, y0]), np.array([x1, y1])
        start = np.minimum(first, second).clip(low, high)
        end = np.maximum(first, second).clip(low, high)
        return np.concatenate([start, end - start], axis=1)

    def visible_box(self) -> tuple[float, float, float, float]:
        """The part of the file that the input shows: (x0, y0, x1, y1) in file pixels."""
        x, y = self._axes
        return float(x.low), float(y.low), float(x.high), float(y.high)

    def content_box(self) -> tuple[float, float, float, float]:
        """The part of the input that shows the image: (x0, y0, x1, y1); the rest is padding."""
        x, y = self._axes
        x_ends = sorted((x.map.at(x.low), x.map.at(x.high)))
        y_ends = sorted((y.map.at(y.low), y.map.at(y.high)))
        return float(x_ends[0]), float(y_ends[0]), float(x_ends[1]), float(y_ends[1])

    def file_to_cell(
        self, points: npt.ArrayLike, map_size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Take points from file pixels to the cells of an evidence map.

        Args:
            points: (..., 2) array of x, y in file pixels.
            map_size: (h, w) of a map over the whole input.

        Returns:
            (..., 2) float64 array of row, column with cell edges at integers, so that its floor
            is the cell and half past that the cell's centre; outside of the map for points that
            were cropped away.
        """
        columns_rows = self.to_input(points) * self._cells_per_pixel(map_size)
        return np.asarray(columns_rows[..., ::-1])

    def cell_to_file(
        self, cells: npt.ArrayLike, map_size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Take positions in an evidence map back to file pixels; undoes `file_to_cell`.

        Args:
            cells: (..., 2) array of row, column with cell edges at integers; the centre of the
                cell in row i and column j is (i + 0.5, j + 0.5).
            map_size: (h, w) of a map over the whole input.

        Returns:
            (..., 2) float64 array of x, y in file pixels; outside of the file for padding.
        """
        columns_rows = np.asarray(cells, dtype=np.float64)[..., ::-1]
        return self.to_file(columns_rows / self._cells_per_pixel(map_size))

    def cell_boxes(
        self, cells: npt.ArrayLike, map_size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Tell which part of the file the cells of an evidence map lie on.

        Args:
            cells: (N, 2) array of row and column, counted from 0.
            map_size: (h, w) of a map over the whole input.

        Returns:
            (N, 4) float64 array of x, y, width, height in file pixels, clipped to the part of the
            file that the input shows; a cell on padding has width or height 0.
        """
        given = np.asarray(cells, dtype=np.float64).reshape(-1, 2)
        ends = self.cell_to_file(np.stack([given, given + 1]), map_size)
        x0, y0, x1, y1 = self.visible_box()
        ends = ends.clip((x0, y0), (x1, y1))
        start = ends.min(axis=0)
        return np.concatenate([start, ends.max(axis=0) - start], axis=1)

    def cells_of_pixels(
        self, map_size: tuple[int, int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tell which cell of an evidence map each file pixel shows, as `map_to_file` has it.

        Args:
            map_size: (h, w) of a map over the whole input.

        Returns:
            For each of the file's columns the map's column, shape (width,), and for each of its
            rows the map's row, shape (height,); -1 where the model did not see the pixel.
        """
        self._cells_per_pixel(map_size)
        found = []
        for axis in (0, 1):  # x, then y; sizes are (height, width)
            seen, cells = self._axes[axis], map_size[1 - axis]
            to_map = seen.map.then(AxisMap(Fraction(cells, self.input_size[1 - axis]), Fraction(0)))
            length = self.file_size[1 - axis]
            ramp = sample_axis(np.arange(cells, dtype=np.float64), 0, length, to_map, "nearest")
            centres = np.arange(length) + 0.5
            unseen = (centres < float(seen.low)) | (centres >= float(seen.high))
            found.append(np.where(unseen, -1, ramp).astype(np.int64))
        return found[0], found[1]

    def _cells_per_pixel(self, map_size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Along x and y."""
        if len(map_size) != 2 or min(map_size) < 1:
            raise InputError(f"A map of (height, width) {map_size} has no cell.")
        (height, width), (rows, columns) = self.input_size, map_size
        return np.array([columns / width, rows / height])

    def map_to_file(
        self,
        values: npt.ArrayLike,
        *,
        interpolation: Interpolation = "nearest",
        outside: float = 0.0,
    ) -> npt.NDArray[np.float32]:
        """Bring a map of the input back onto the file's pixels.

        Each file pixel takes the map's value at the place its centre went to. The map's cell i of
        h covers the input rows [i * H / h, (i + 1) * H / h), and its value sits in the middle.

        Args:
            values: (..., h, w) array over the whole input, at any resolution.
            interpolation: "nearest" shows the cells as they are.
            outside: Value of file pixels that the model did not see (cropped away).

        Returns:
            (..., height, width) float32 array in file pixels.
        """
        source = _as_map(values)
        for axis, name in ((-2, 1), (-1, 0)):
            cells = AxisMap(Fraction(source.shape[axis], self.input_size[axis]), Fraction(0))
            to_source = self._axes[name].map.then(cells)
            source = sample_axis(source, axis, self.file_size[axis], to_source, interpolation)
        result = source.astype(np.float32)
        x0, y0, x1, y1 = self.visible_box()
        y = np.arange(self.file_size[0]) + 0.5
        x = np.arange(self.file_size[1]) + 0.5
        result[..., (y < y0) | (y >= y1), :] = outside
        result[..., (x < x0) | (x >= x1)] = outside
        return result

    def map_to_input(
        self, values: npt.ArrayLike, *, interpolation: Interpolation = "nearest"
    ) -> npt.NDArray[np.float32]:
        """Bring a map of the input to the input's own resolution.

        Args:
            values: (..., h, w) array over the whole input, at any resolution.
            interpolation: "nearest" shows the cells as they are.

        Returns:
            (..., H, W) float32 array on the input grid.
        """
        source = _as_map(values)
        for axis in (-2, -1):
            cells = AxisMap(Fraction(source.shape[axis], self.input_size[axis]), Fraction(0))
            source = sample_axis(source, axis, self.input_size[axis], cells, interpolation)
        return source.astype(np.float32)

    def coverage(self, mask: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """How much of each input pixel a mask on the file covers.

        Args:
            mask: (height, width) array on the file's pixels.

        Returns:
            (H, W) float64 array: the mask's mean over the file area that the input pixel shows,
            where padding and what was cropped away count as outside the mask.

        Raises:
            InputError: The mask has another size than the file.
        """
        source = np.asarray(mask, dtype=np.float64)
        if source.shape != self.file_size:
            raise InputError(
                f"The mask has (height, width) {source.shape}, the image {self.file_size}; "
                "give a mask in file pixels."
            )
        for axis, name in ((-2, 1), (-1, 0)):
            seen = self._axes[name]
            back = seen.map.inverse()
            bounds = (seen.low, seen.high)
            source = average_axis(source, axis, self.input_size[axis], back, bounds)
        return source

    def to_dict(self) -> dict[str, Any]:
        """Give the geometry as plain lists and numbers, for JSON."""
        steps = [{"kind": type(step).__name__.lower(), **asdict(step)} for step in self.steps]
        sizes = {"file_size": list(self.file_size), "input_size": list(self.input_size)}
        return {**sizes, "steps": steps}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Geometry:
        """Rebuild a geometry from `to_dict`.

        Raises:
            InputError: Something is missing, unknown or of the wrong type.
        """
        try:
            steps = []
            for given in data["steps"]:
                arguments = dict(given)
                steps.append(STEP_KINDS[arguments.pop("kind")](**arguments))
            file_size = (int(data["file_size"][0]), int(data["file_size"][1]))
            input_size = (int(data["input_size"][0]), int(data["input_size"][1]))
            return cls(file_size, input_size, tuple(steps))
        except (KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"The recorded geometry cannot be read ({error!r}); it needs file_size, "
                "input_size and steps as softcam wrote them."
            ) from error


def _affine(points: npt.ArrayLike, x: AxisMap, y: AxisMap) -> npt.NDArray[np.float64]:
    scale = np.array([float(x.scale), float(y.scale)])
    offset = np.array([float(x.offset), float(y.offset)])
    return np.asarray(np.asarray(points, dtype=np.float64) * scale + offset)


def _as_map(values: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim < 2 or 0 in array.shape[-2:]:
        raise InputError(f"A map needs the shape (..., h, w), not {array.shape}.")
    return array
