"""Where an image lies in the patient: from its pixels to millimetres and back."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError

MAX_ASPECT = 100.0
"""No pixel is longer than wide, or wider than long, by more than this."""

_SLACK = 0.01  # how far a written direction may be from a unit vector at right angles


@dataclass(frozen=True, slots=True)
class PlaneGeometry:
    """Where a slice lies in the patient, in millimetres of the DICOM patient system (LPS).

    x grows to the patient's left, y to the back, z to the head. Only images of a plane have one:
    a projection shows many depths at once, and its spacing holds at the detector.

    Attributes:
        position: (x, y, z) of the centre of the first pixel.
        row: Unit vector (x, y, z) along a row, with growing column number.
        column: Unit vector (x, y, z) along a column, with growing row number.
        spacing: (between rows, between columns) in millimetres.
        frame_of_reference: UID of the system of coordinates; positions of two images may be
            compared only where it is the same. Empty when the file does not say.

    Raises:
        InputError: The numbers describe no plane.

    Source:
        DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.
    """

    position: tuple[float, ...]
    row: tuple[float, ...]
    column: tuple[float, ...]
    spacing: tuple[float, float]
    frame_of_reference: str = ""

    def __post_init__(self) -> None:
        vectors = (self.position, self.row, self.column)
        finite = all(math.isfinite(value) for value in (*sum(vectors, ()), *self.spacing))
        if any(len(vector) != 3 for vector in vectors) or not finite or min(self.spacing) <= 0:
            raise InputError(
                "A plane needs a position and two directions of three finite numbers each and a "
                f"spacing above 0, not {self}."
            )
        lengths = (math.hypot(*self.row), math.hypot(*self.column))
        together = sum(a * b for a, b in zip(self.row, self.column, strict=True))
        if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(together)) > _SLACK:
            raise InputError(
                f"The directions {self.row} and {self.column} are no unit vectors at right "
                "angles, so that they span no image plane."
            )

    def to_patient(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Take points from file pixels to the patient.

        Args:
            points: (..., 2) array of x, y in file pixels, edges at integers: the centre of the
                first pixel, which DICOM gives the position of, is (0.5, 0.5).

        Returns:
            (..., 3) float64 array of x, y, z in millimetres.
        """
        steps = np.asarray(points, dtype=np.float64) - 0.5
        return np.asarray(steps @ self._axes() + np.array(self.position))

    def to_pixels(
        self, points: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Take points in the patient to the nearest points of the plane.

        Args:
            points: (..., 3) array of x, y, z in millimetres.

        Returns:
            (..., 2) array of x, y in file pixels, and (...) array of the signed distance from the
            plane in millimetres, positive on the side of row x column.
        """
        axes = self._axes()
        away = np.asarray(points, dtype=np.float64) - np.array(self.position)
        # Least squares, since a file's rounded directions are not quite at right angles.
        steps = away @ np.linalg.pinv(axes)
        normal = np.cross(axes[0], axes[1])
        return steps + 0.5, np.asarray(away @ (normal / np.linalg.norm(normal)))

    def to_dict(self) -> dict[str, Any]:
        """Give the plane as plain lists, numbers and strings, for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def _axes(self) -> npt.NDArray[np.float64]:
        """(2, 3): millimetres for a pixel to the right, and for a pixel down."""
        row, column = np.array(self.row), np.array(self.column)
        return np.stack([row * self.spacing[1], column * self.spacing[0]])
