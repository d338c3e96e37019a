from __future__ import annotations

import json
import math
import time
from fractions import Fraction

import numpy as np
import pytest

from softcam.data.geometry import Geometry
from softcam.data.steps import Crop, Flip, Pad, Resize, Step
from softcam.errors import InputError

GEOMETRIES = {
    "identity": Geometry.of((7, 11)),
    "stretch": Geometry.of((37, 53), Resize(32, 24)),
    "enlarged": Geometry.of((9, 7), Resize(28, 36)),
    "pad": Geometry.of((30, 50), Resize(40, 24), Pad(0, 8, 0, 8)),
    "crop": Geometry.of((30, 50), Resize(53, 32), Crop(10, 0, 32, 32)),
    "flip": Geometry.of((20, 31), Resize(24, 16), Flip(horizontal=True)),
    "both flips": Geometry.of((20, 31), Flip(horizontal=True, vertical=True), Resize(10, 12)),
    "crop then pad": Geometry.of((40, 40), Crop(5, 8, 20, 25), Pad(3, 2, 9, 5)),
    "everything": Geometry.of(
        (41, 67),
        Crop(3, 5, 50, 30),
        Resize(35, 33),
        Pad(2, 1, 3, 4),
        Flip(vertical=True),
        Crop(1, 0, 36, 36),
        Resize(27, 45),
        Flip(horizontal=True),
    ),
}
ALL = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())


def _follow(geometry: Geometry, x: Fraction, y: Fraction) -> tuple[Fraction, Fraction] | None:
    """Take one point through the steps as their words say; None when it is cut off."""
    height, width = geometry.file_size
    for step in geometry.steps:
        if isinstance(step, Crop):
            x, y = x - step.x, y - step.y
            if not (0 <= x <= step.width and 0 <= y <= step.height):
                return None
            width, height = step.width, step.height
        elif isinstance(step, Resize):
            x, y = x / width * step.width, y / height * step.height
            width, height = step.width, step.height
        elif isinstance(step, Pad):
            x, y = x + step.left, y + step.top
            width, height = width + step.left + step.right, height + step.top + step.bottom
        else:
            x = width - x if step.horizontal else x
            y = height - y if step.vertical else y
    assert (height, width) == geometry.input_size
    return x, y


def _at(row: list[float], position: float, interpolation: str) -> float:
    """One value of a row of cells at a continuous position, beyond the ends the end cells."""

    def cell(i: int) -> float:
        return row[min(max(i, 0), len(row) - 1)]

    if interpolation == "nearest":
        return cell(math.floor(position))
    i = math.floor(position - 0.5)
    t = position - 0.5 - i
    a, b, c, d = cell(i - 1), cell(i), cell(i + 1), cell(i + 2)
    if interpolation == "bilinear":
        return b + (c - b) * t
    # The Catmull-Rom spline through b and c.
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )


def _slow_to_file(
    geometry: Geometry, values: np.ndarray, interpolation: str, outside: float
) -> np.ndarray:
    height, width = geometry.file_size
    rows, columns = values.shape
    half = Fraction(1, 2)
    out = np.full((height, width), float(outside))
    for i in range(height):
        for j in range(width):
            point = _follow(geometry, j + half, i + half)
            if point is None:
                continue
            x = point[0] * columns / geometry.input_size[1]
            y = point[1] * rows / geometry.input_size[0]
            if interpolation == "nearest":
                r = min(math.floor(y), rows - 1)
                c = min(math.floor(x), columns - 1)
                out[i, j] = values[r, c]
                continue
            across = [_at(list(row), float(x), interpolation) for row in values]
            out[i, j] = _at(across, float(y), interpolation)
    return out


@ALL
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_a_map_comes_back_as_the_slow_derivation_says(
    geometry: Geometry, interpolation: str
) -> None:
    values = np.random.default_rng(1).normal(size=(5, 6))
    fast = geometry.map_to_file(values, interpolation=interpolation, outside=-9)
    slow = _slow_to_file(geometry, values, interpolation, -9)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow, atol=1e-6)


@ALL
def test_a_map_finer_than_the_input_comes_back_too(geometry: Geometry) -> None:
    height, width = geometry.input_size
    values = np.random.default_rng(1).normal(size=(2 * height + 1, 3 * width))
    fast = geometry.map_to_file(values, outside=np.nan)
    np.testing.assert_allclose(fast, _slow_to_file(geometry, values, "nearest", np.nan), atol=1e-6)


@ALL
def test_points_make_the_round_trip(geometry: Geometry) -> None:
    points = np.random.default_rng(2).uniform(-20, 90, size=(200, 2))
    there = geometry.to_input(points)
    np.testing.assert_allclose(geometry.to_file(there), points, atol=1e-9)
    np.testing.assert_allclose(geometry.to_input(geometry.to_file(points)), points, atol=1e-9)


@ALL
def test_points_go_where_the_steps_say(geometry: Geometry) -> None:
    for x, y in ((Fraction(1, 3), Fraction(2)), (Fraction(15, 2), Fraction(9)), (Fraction(6), 6)):
        slow = _follow(geometry, x, Fraction(y))
        if slow is not None:
            expected = [float(slow[0]), float(slow[1])]
            np.testing.assert_allclose(geometry.to_input([float(x), float(y)]), expected)


@ALL
def test_one_hot_cells_light_the_file_pixels_whose_centres_they_cover(geometry: Geometry) -> None:
    rows, columns = 4, 3
    height, width = geometry.input_size
    seen = np.zeros(geometry.file_size)
    for r in range(rows):
        for c in range(columns):
            values = np.zeros((rows, columns))
            values[r, c] = 1
            lit = geometry.map_to_file(values) == 1
            seen += lit
            for i, j in np.argwhere(lit):
                x, y = geometry.to_input([j + 0.5, i + 0.5])
                assert c * width / columns - 1e-9 <= x <= (c + 1) * width / columns + 1e-9
                assert r * height / rows - 1e-9 <= y <= (r + 1) * height / rows + 1e-9
    x0, y0, x1, y1 = geometry.visible_box()
    centre_y, centre_x = np.mgrid[: geometry.file_size[0], : geometry.file_size[1]] + 0.5
    visible = (centre_x > x0) & (centre_x < x1) & (centre_y > y0) & (centre_y < y1)
    np.testing.assert_array_equal(seen, visible)


@pytest.mark.parametrize(
    ("steps", "lit"),
    [
        # A 40 x 20 (width x height) file; the cell at row 1, column 2 of a 4 x 4 map lights:
        ((Resize(32, 32),), (slice(5, 10), slice(20, 30))),
        ((Resize(40, 20), Pad(0, 10, 0, 10)), (slice(0, 10), slice(20, 30))),
        ((Resize(80, 40), Crop(20, 0, 40, 40)), (slice(5, 10), slice(20, 25))),
        ((Resize(32, 32), Flip(horizontal=True)), (slice(5, 10), slice(10, 20))),
        ((Resize(32, 32), Flip(vertical=True)), (slice(10, 15), slice(20, 30))),
    ],
    ids=["stretch", "pad", "crop", "flip", "vertical flip"],
)
def test_a_cell_lands_on_the_right_file_pixels(
    steps: tuple[Step, ...], lit: tuple[slice, slice]
) -> None:
    values = np.zeros((4, 4))
    values[1, 2] = 1
    expected = np.zeros((20, 40), np.float32)
    expected[lit] = 1
    np.testing.assert_array_equal(Geometry.of((20, 40), *steps).map_to_file(values), expected)


@ALL
@pytest.mark.parametrize("cells", [(3, 4), (1, 1), (90, 80)])
def test_the_cells_of_pixels_are_those_that_a_map_is_laid_by(
    geometry: Geometry, cells: tuple[int, int]
) -> None:
    columns, rows = geometry.cells_of_pixels(cells)
    values = np.random.default_rng(0).random(cells).astype(np.float32)
    seen = (rows >= 0)[:, None] & (columns >= 0)
    laid = np.where(seen, values[rows][:, columns], -1.0)
    np.testing.assert_array_equal(laid, geometry.map_to_file(values, outside=-1.0))
    with pytest.raises(InputError, match="no cell"):
        geometry.cells_of_pixels((0, 3))


def test_what_a_crop_cut_off_does_not_come_back_through_later_padding() -> None:
    geometry = Geometry.of((10, 10), Crop(4, 4, 4, 4), Pad(3, 3, 3, 3))
    result = geometry.map_to_file(np.ones((5, 5)), outside=-1)
    expected = np.full((10, 10), -1.0)
    expected[4:8, 4:8] = 1
    np.testing.assert_array_equal(result, expected)
    covered = geometry.coverage(np.ones((10, 10)))
    expected = np.zeros((10, 10))
    expected[3:7, 3:7] = 1
    np.testing.assert_array_equal(covered, expected)
    assert geometry.content_box() == (3, 3, 7, 7)
    assert geometry.visible_box() == (4, 4, 8, 8)


def test_leading_axes_are_maps_of_their_own() -> None:
    geometry = GEOMETRIES["everything"]
    values = np.random.default_rng(3).normal(size=(2, 3, 4, 5))
    together = geometry.map_to_file(values, interpolation="bicubic", outside=2)
    assert together.shape == (2, 3, 41, 67)
    alone = geometry.map_to_file(values[1, 2], interpolation="bicubic", outside=2)
    np.testing.assert_array_equal(together[1, 2], alone)


@ALL
def test_a_map_on_the_input_is_the_map_of_an_unchanged_image(geometry: Geometry) -> None:
    values = np.random.default_rng(4).normal(size=(3, 4))
    plain = Geometry.of(geometry.input_size)
    for interpolation in ("nearest", "bilinear", "bicubic"):
        np.testing.assert_allclose(
            geometry.map_to_input(values, interpolation=interpolation),
            _slow_to_file(plain, values, interpolation, 0),
            atol=1e-6,
        )


def test_a_constant_map_stays_constant_and_a_ramp_stays_a_ramp() -> None:
    geometry = Geometry.of((60, 90), Resize(45, 30))
    ones = np.ones((6, 9))
    ramp = np.tile(np.arange(9) + 0.5, (6, 1))
    inner = slice(10, 80)  # the outermost half cells hold still
    for interpolation in ("bilinear", "bicubic"):
        constant = geometry.map_to_file(ones, interpolation=interpolation)
        np.testing.assert_allclose(constant, 1, atol=1e-6)
        result = geometry.map_to_file(ramp, interpolation=interpolation)
        expected = (np.arange(90) + 0.5) / 10
        np.testing.assert_allclose(result[30, inner], expected[inner], atol=0.06)
    np.testing.assert_allclose(
        geometry.map_to_file(ramp, interpolation="bilinear")[30, inner], expected[inner], atol=1e-5
    )


@ALL
def test_boxes_go_with_their_corners_and_are_clipped_to_the_content(geometry: Geometry) -> None:
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 30, size=(40, 2))
    boxes = np.concatenate([corner, rng.uniform(1, 20, size=(40, 2))], axis=1)
    x0, y0, x1, y1 = geometry.content_box()
    for box, (x, y, width, height) in zip(boxes, geometry.boxes_to_input(boxes), strict=True):
        ends = geometry.to_input([[box[0], box[1]], [box[0] + box[2], box[1] + box[3]]])
        left, right = np.sort(ends[:, 0]).clip(x0, x1)
        top, bottom = np.sort(ends[:, 1]).clip(y0, y1)
        np.testing.assert_allclose([x, y, width, height], [left, top, right - left, bottom - top])
        assert width >= 0
        assert height >= 0


def test_no_boxes_stay_no_boxes() -> None:
    assert GEOMETRIES["pad"].boxes_to_input([]).shape == (0, 4)


@ALL
def test_coverage_is_the_covered_part_of_every_input_pixel(geometry: Geometry) -> None:
    mask = np.random.default_rng(6).random(geometry.file_size) < 0.4
    height, width = geometry.input_size
    scale_x, scale_y = (float(abs(axis.map.scale)) for axis in geometry._axes)
    visible = geometry.visible_box()
    slow = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            corners = geometry.to_file([[j, i], [j + 1, i + 1]])
            x0, y0 = np.maximum(corners.min(axis=0), visible[:2])
            x1, y1 = np.minimum(corners.max(axis=0), visible[2:])
            for r in range(math.floor(y0), math.ceil(y1)):
                for c in range(math.floor(x0), math.ceil(x1)):
                    over_x = min(x1, c + 1) - max(x0, c)
                    over_y = min(y1, r + 1) - max(y0, r)
                    if over_x > 0 and over_y > 0 and mask[r, c]:
                        slow[i, j] += over_x * over_y * scale_x * scale_y
    np.testing.assert_allclose(geometry.coverage(mask), slow, atol=1e-9)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="file pixels"):
        GEOMETRIES["pad"].coverage(np.ones((50, 30)))


def test_a_geometry_survives_json() -> None:
    for geometry in GEOMETRIES.values():
        assert Geometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"file_size": [4, 4], "input_size": [4, 4]},
        {"file_size": [4], "input_size": [4, 4], "steps": []},
        {"file_size": [4, 4], "input_size": [4, 4], "steps": [{"kind": "rotate"}]},
        {"file_size": [4, 4], "input_size": [4, 4], "steps": [{"kind": "crop", "x": 1}]},
        {"file_size": [4, 4], "input_size": [5, 4], "steps": []},
    ],
)
def test_a_damaged_record_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"geometry|steps"):
        Geometry.from_dict(data)


@pytest.mark.parametrize(
    "step",
    [Crop(0, 0, 11, 4), Crop(-1, 0, 3, 3), Crop(0, 0, 0, 3), Resize(0, 4), Pad(-1, 0, 0, 0)],
)
def test_a_step_that_does_not_fit_is_refused(step: Step) -> None:
    with pytest.raises(InputError):
        Geometry.of((10, 10), step)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="lanczos"):
        GEOMETRIES["pad"].map_to_file(np.ones((2, 2)), interpolation="lanczos")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="shape"):
        GEOMETRIES["pad"].map_to_file(np.ones(3))
    with pytest.raises(InputError, match="no pixel"):
        Geometry.of((0, 3))


def test_centres_on_cell_edges_are_placed_exactly() -> None:
    # 3 file pixels on 2 cells: the middle centre lies on the edge and belongs to the right cell,
    # whatever detour the scale took through fractions that floats cannot hold.
    geometry = Geometry.of((3, 3), Resize(7, 7), Resize(49, 11), Resize(2, 2))
    np.testing.assert_array_equal(geometry.map_to_file([[0, 1], [2, 3]])[0], [0, 1, 1])


def test_a_large_map_comes_back_within_a_fraction_of_a_second() -> None:
    geometry = Geometry.of((768, 768), Resize(512, 512))
    values = np.random.default_rng(0).normal(size=(32, 32))
    start = time.perf_counter()
    geometry.map_to_file(values, interpolation="bicubic")
    assert time.perf_counter() - start < 0.5
