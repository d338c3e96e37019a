from __future__ import annotations

import json

import numpy as np
import pytest

from softcam.data.plane import PlaneGeometry
from softcam.errors import InputError


def _turned(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors at right angles in a random direction."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q[:, 0], q[:, 1]


def _plane(seed: int) -> PlaneGeometry:
    row, column = _turned(seed)
    return PlaneGeometry((-120.5, 33.25, 801.0), tuple(row), tuple(column), (0.7, 1.3), "1.2.3")


def _matrix(plane: PlaneGeometry) -> np.ndarray:
    """PS3.3 equation C.7.6.2.1-1 as printed: from (column index, row index, 0, 1)."""
    matrix = np.zeros((4, 4), np.float64)
    for k in range(3):
        matrix[k, 0] = plane.row[k] * plane.spacing[1]  # delta i: between columns
        matrix[k, 1] = plane.column[k] * plane.spacing[0]  # delta j: between rows
        matrix[k, 3] = plane.position[k]
    matrix[3, 3] = 1
    return matrix


@pytest.mark.parametrize("seed", range(6))
def test_an_oblique_plane_follows_the_matrix_of_the_standard(seed: int) -> None:
    plane = _plane(seed)
    indices = np.random.default_rng(seed).integers(0, 512, (40, 2))
    slow = [(_matrix(plane) @ [i, j, 0, 1])[:3] for i, j in indices]
    # An index counts pixels, and stands for the middle of one.
    np.testing.assert_allclose(plane.to_patient(indices + 0.5), slow, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_points_come_back_with_their_distance_from_the_plane(seed: int) -> None:
    plane = _plane(seed)
    generator = np.random.default_rng(seed)
    points, away = generator.uniform(-50, 600, (4, 5, 2)), generator.normal(0, 30, (4, 5))
    normal = np.cross(plane.row, plane.column)
    places = plane.to_patient(points) + away[..., None] * normal
    pixels, distances = plane.to_pixels(places)
    np.testing.assert_allclose(pixels, points, atol=1e-8)
    np.testing.assert_allclose(distances, away, atol=1e-9)


def test_a_plane_with_rounded_directions_still_comes_back() -> None:
    plane = PlaneGeometry((0, 0, 0), (0.707, 0.707, 0.003), (0.0, 0.0, 1.0), (1.0, 1.0))
    points = np.array([[3.0, 400.0], [511.5, 0.5]])
    np.testing.assert_allclose(plane.to_pixels(plane.to_patient(points))[0], points, atol=1e-9)


def test_left_and_back_grow_along_an_axial_slice() -> None:
    plane = PlaneGeometry((-100, -90, 40), (1, 0, 0), (0, 1, 0), (2.0, 0.5))
    np.testing.assert_allclose(plane.to_patient([0.5, 0.5]), (-100, -90, 40))
    np.testing.assert_allclose(plane.to_patient([10.5, 3.5]), (-95, -84, 40))


@pytest.mark.parametrize(
    ("row", "column", "spacing"),
    [
        ((0, 0, 0), (0, 1, 0), (1, 1)),
        ((1, 0, 0), (1, 0, 0), (1, 1)),
        ((2, 0, 0), (0, 1, 0), (1, 1)),
        ((1, 0), (0, 1, 0), (1, 1)),
        ((1, 0, 0), (0, 1, 0), (1, 0)),
        ((1, 0, float("nan")), (0, 1, 0), (1, 1)),
    ],
)
def test_what_is_no_plane_is_refused(row: tuple, column: tuple, spacing: tuple) -> None:
    with pytest.raises(InputError, match="plane"):
        PlaneGeometry((0, 0, 0), row, column, spacing)


def test_a_plane_can_be_written_as_json() -> None:
    written = json.loads(json.dumps(_plane(1).to_dict()))
    assert written["position"] == [-120.5, 33.25, 801.0]
    assert (written["spacing"], written["frame_of_reference"]) == ([0.7, 1.3], "1.2.3")
