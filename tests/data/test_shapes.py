from __future__ import annotations

import itertools

import numpy as np
import pytest

from softcam.data.geometry import Geometry
from softcam.data.shapes import Box, Polygon, fill_boxes, fill_polygons
from softcam.data.steps import Crop, Flip, Pad, Resize

GEOMETRIES = {
    "identity": Geometry.of((40, 60)),
    "pad": Geometry.of((40, 60), Resize(30, 20), Pad(0, 5, 0, 5)),
    "stretch": Geometry.of((40, 60), Resize(37, 53)),
    "crop and flip": Geometry.of((40, 60), Crop(7, 3, 41, 30), Resize(32, 24), Flip(True, True)),
    "crop and pad": Geometry.of((40, 60), Crop(20, 10, 20, 20), Pad(6, 7, 8, 9)),
}
ALL = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())


def _filled(geometry: Geometry, *polygons: Polygon) -> np.ndarray:
    mask = np.zeros(geometry.input_size, bool)
    fill_polygons(mask, polygons, geometry)
    return mask


def _contains(points: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    """Whether a ray to the right crosses an odd number of edges, one edge after the other."""
    inside = False
    for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            inside = not inside
    return inside


def _slow(geometry: Geometry, *polygons: Polygon) -> np.ndarray:
    """Every input pixel's centre, taken back to the file, against every polygon."""
    height, width = geometry.input_size
    x0, y0, x1, y1 = geometry.visible_box()
    mask = np.zeros((height, width), bool)
    for i, j in itertools.product(range(height), range(width)):
        x, y = map(float, geometry.to_file([j + 0.5, i + 0.5]))
        shown = x0 <= x <= x1 and y0 <= y <= y1
        mask[i, j] = shown and any(_contains(polygon.points, x, y) for polygon in polygons)
    return mask


def _random(rng: np.random.Generator, corners: int) -> Polygon:
    """A polygon that crosses itself as it likes."""
    points = rng.uniform((-3, -3), (63, 43), (corners, 2))
    return Polygon(tuple((float(x), float(y)) for x, y in points))


def _star(x: float, y: float, radius: float, corners: int = 24) -> Polygon:
    angles = np.arange(corners) * 2 * np.pi / corners
    length = radius * np.where(np.arange(corners) % 2, 0.45, 1.0)
    points = zip(x + length * np.cos(angles), y + length * np.sin(angles), strict=True)
    return Polygon(tuple((float(a), float(b)) for a, b in points))


@ALL
@pytest.mark.parametrize("corners", [3, 4, 7, 40])
def test_a_pixel_is_inside_a_polygon_when_its_centre_is(geometry: Geometry, corners: int) -> None:
    rng = np.random.default_rng(corners)
    seen = 0
    for _ in range(5):
        polygons = [_random(rng, corners), _star(*rng.uniform((10, 10), (50, 30)), 9.3)]
        slow = _slow(geometry, *polygons)
        np.testing.assert_array_equal(_filled(geometry, *polygons), slow)
        seen += int(slow.sum())
    assert seen > 100


def test_overlapping_polygons_are_united_and_one_that_crosses_itself_is_not() -> None:
    geometry = GEOMETRIES["identity"]
    one, other = Box(2, 2, 10, 10).corners(), Box(6, 6, 10, 10).corners()
    assert _filled(geometry, one, other).sum() == 100 + 100 - 36
    # Twice around leaves nothing by the even-odd rule, but for the pixel of the centre.
    assert _filled(geometry, Polygon(one.points * 2)).sum() == 1
    eight = Polygon(((0, 0), (20, 20), (20, 0), (0, 20)))
    assert _filled(geometry, eight).sum() == pytest.approx(200, abs=20)


@ALL
def test_a_rectangle_covers_the_same_pixels_as_a_box(geometry: Geometry) -> None:
    rng = np.random.default_rng(1)
    compared = 0
    for _ in range(400):
        # Halves and whole numbers put edges on centres, where only rounding could decide.
        x, y, width, height = (float(v) / 2 for v in rng.integers((0, 0, 1, 1), (100, 60, 40, 30)))
        box = Box(x, y, min(width, 60 - x), min(height, 40 - y))
        shown = geometry.boxes_to_input([(box.x, box.y, box.width, box.height)])[0, 2:]
        if shown.min() < 1:
            continue  # too thin to be sure of a centre
        compared += 1
        expected = np.zeros(geometry.input_size, bool)
        fill_boxes(expected, [box], geometry)
        np.testing.assert_array_equal(_filled(geometry, box.corners()), expected)
    assert compared > 50


def test_neighbours_share_no_pixel_and_leave_none() -> None:
    rng = np.random.default_rng(2)
    geometry = Geometry.of((40, 60), Resize(37, 53))
    for _ in range(20):
        points = rng.integers((1, 1), (119, 79), (2, 2)) / 2
        (xa, ya), (xb, yb) = ((float(a), float(b)) for a, b in points)
        # A crooked cut from the top to the bottom of the image.
        left = Polygon(((0, 0), (30, 0), (xa, ya), (xb, yb), (30, 40), (0, 40)))
        right = Polygon(((30, 0), (60, 0), (60, 40), (30, 40), (xb, yb), (xa, ya)))
        assert (_filled(geometry, left) ^ _filled(geometry, right)).all()


@ALL
def test_a_polygon_too_small_for_a_centre_keeps_a_pixel_where_it_is_shown(
    geometry: Geometry,
) -> None:
    rng = np.random.default_rng(3)
    x0, y0, x1, y1 = geometry.visible_box()
    shown = 0
    for _ in range(100):
        x, y = rng.uniform((1, 1), (59, 39))
        small = _star(float(x), float(y), 0.2)
        mask = _filled(geometry, small)
        if x0 + 0.2 < x < x1 - 0.2 and y0 + 0.2 < y < y1 - 0.2:
            assert mask.sum() == 1
            row, column = np.argwhere(mask)[0]
            place = geometry.to_input([x, y])
            assert abs(place - (column + 0.5, row + 0.5)).max() <= 0.5 + 1e-6
            shown += 1
        elif x < x0 - 0.2 or x > x1 + 0.2 or y < y0 - 0.2 or y > y1 + 0.2:
            assert not mask.any()
    assert shown > 10


def test_a_small_polygon_cut_by_a_crop_keeps_the_pixel_of_what_is_left() -> None:
    geometry = Geometry.of((40, 60), Crop(20, 10, 20, 20))
    corner = Polygon(((19.0, 9.0), (20.3, 9.0), (20.3, 10.3), (19.0, 10.3)))
    assert np.argwhere(_filled(geometry, corner)).tolist() == [[0, 0]]
    # Its bounding box reaches into the crop, but the triangle does not.
    beside = Polygon(((18.0, 12.0), (20.4, 8.0), (18.0, 8.0)))
    assert not _filled(geometry, beside).any()


def test_many_edges_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    polygon = _random(np.random.default_rng(4), 300)
    whole = _filled(GEOMETRIES["identity"], polygon)
    monkeypatch.setattr("softcam.data.shapes._CROSSINGS", 50)
    np.testing.assert_array_equal(_filled(GEOMETRIES["identity"], polygon), whole)
    assert 200 < whole.sum() < 2200
