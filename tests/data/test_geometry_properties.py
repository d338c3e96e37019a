"""For random sizes, rules and positions: from the file to an evidence cell and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import Pixels
from softcam.data.steps import Crop, Flip, Pad
from tests.data.importers.replicas import retina
from tests.data.test_geometry import _follow

ALWAYS = settings(derandomize=True, deadline=None, max_examples=200, database=None)
FEWER = settings(ALWAYS, max_examples=50)
RULES = st.sampled_from(["pad", "stretch", "crop"])
# PixelAspectRatio of OCT, of film scanners, of old frame grabbers, and square pixels.
ASPECTS = st.sampled_from([1.0, 1.0, 2.0, 0.5, 1 / 3, 12 / 11, 7.3])
FLIPS = st.builds(Flip, st.booleans(), st.booleans())
SIDES = st.one_of(st.integers(1, 3000), st.sampled_from([1, 2, 3000]))
PLACES = st.floats(0.0, 1.0, exclude_max=True)


@st.composite
def geometries(draw) -> Geometry:
    """What a preprocessing rule does to an image, with a cut before it and a flip behind it."""
    size = draw(SIDES), draw(SIDES)
    flip = draw(FLIPS)
    to = draw(st.integers(1, 600)), draw(st.integers(1, 600))
    rule = Preprocessing(to, resize=draw(RULES))
    if draw(st.booleans()):
        return rule.geometry(size, draw(ASPECTS)).then(flip)
    x, y = draw(st.integers(0, size[1] - 1)), draw(st.integers(0, size[0] - 1))
    cut = Crop(x, y, draw(st.integers(1, size[1] - x)), draw(st.integers(1, size[0] - y)))
    pad = Pad(*draw(st.tuples(*[st.integers(0, 200)] * 4)))
    cut_size = cut.height + pad.top + pad.bottom, cut.width + pad.left + pad.right
    steps = rule.geometry(cut_size, draw(ASPECTS)).steps
    return Geometry.of(size, cut, pad, *steps, flip)


def _visible_point(geometry: Geometry, across: float, down: float) -> np.ndarray:
    x0, y0, x1, y1 = geometry.visible_box()
    return np.array([x0 + across * (x1 - x0), y0 + down * (y1 - y0)])


def _cell_size(geometry: Geometry, map_size: tuple[int, int]) -> np.ndarray:
    """Width and height of an evidence cell in file pixels, by two of its corners."""
    corners = geometry.cell_to_file([(0, 0), (1, 1)], map_size)
    return np.abs(corners[1] - corners[0])


@ALWAYS
@given(geometries(), st.integers(1, 64), st.integers(1, 64), PLACES, PLACES)
def test_a_point_comes_back_within_half_its_evidence_cell(geometry, rows, columns, across, down):
    if min(np.diff(np.reshape(geometry.visible_box(), (2, 2)), axis=0)[0]) <= 0:
        return  # all of the image was cropped away
    map_size = rows, columns
    point = _visible_point(geometry, across, down)
    position = geometry.file_to_cell(point, map_size)
    np.testing.assert_allclose(geometry.cell_to_file(position, map_size), point, atol=1e-6)
    cell = np.floor(position).clip(0, (rows - 1, columns - 1))
    assert (position >= -1e-6).all()
    assert (position <= np.array(map_size) + 1e-6).all()
    away = np.abs(geometry.cell_to_file(cell + 0.5, map_size) - point)
    assert (away <= _cell_size(geometry, map_size) / 2 + 1e-6).all()
    x, y, width, height = geometry.cell_boxes(cell, map_size)[0]
    assert x - 1e-6 <= point[0] <= x + width + 1e-6
    assert y - 1e-6 <= point[1] <= y + height + 1e-6


@ALWAYS
@given(geometries(), PLACES, PLACES)
def test_a_point_goes_where_the_steps_take_it_one_by_one(geometry, across, down):
    point = _visible_point(geometry, across, down)
    slow = _follow(geometry, Fraction(float(point[0])), Fraction(float(point[1])))
    if slow is not None:
        np.testing.assert_allclose(
            geometry.to_input(point), [float(slow[0]), float(slow[1])], atol=1e-6
        )


@FEWER
@given(geometries(), st.integers(1, 12), st.integers(1, 12))
def test_cells_share_the_visible_part_of_the_file_without_gap_or_overlap(geometry, rows, columns):
    cells = [(r, c) for r in range(rows) for c in range(columns)]
    boxes = geometry.cell_boxes(cells, (rows, columns))
    x0, y0, x1, y1 = geometry.visible_box()
    whole = max(0.0, x1 - x0) * max(0.0, y1 - y0)
    np.testing.assert_allclose((boxes[:, 2] * boxes[:, 3]).sum(), whole, rtol=1e-9, atol=1e-6)


def _brightest_cell(prepared: np.ndarray, map_size: tuple[int, int]) -> tuple[int, int]:
    """The cell of a map of block averages that holds most of the light."""
    (height, width), (rows, columns) = prepared.shape[:2], map_size
    light = prepared[:, :, 0].astype(np.float64)
    cells = light.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3))
    return divmod(int(cells.argmax()), columns)


@st.composite
def cases(draw):
    """An image, a rule, a map size and a flip; the input is as many times as large as the map."""
    map_size = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    cell = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    size = draw(st.integers(1, 160)), draw(st.integers(1, 160))
    rule = Preprocessing(
        (map_size[0] * cell[0], map_size[1] * cell[1]), channels="grey", resize=draw(RULES)
    )
    return size, rule, map_size, draw(FLIPS), draw(ASPECTS)


@ALWAYS
@given(cases(), PLACES, PLACES)
def test_a_marked_pixel_survives_the_way_to_the_model_and_back(case, across, down):
    size, rule, map_size, flip, aspect = case
    geometry = rule.geometry(size, aspect).then(flip)
    x0, y0, x1, y1 = geometry.visible_box()
    columns = np.arange(np.ceil(x0 - 1e-9), np.floor(x1 + 1e-9))
    rows = np.arange(np.ceil(y0 - 1e-9), np.floor(y1 + 1e-9))
    if not (len(columns) and len(rows)):
        return  # less than a pixel is seen
    x, y = int(columns[int(across * len(columns))]), int(rows[int(down * len(rows))])
    array = np.zeros(size, np.uint16)
    array[y, x] = 65535
    prepared, recorded = rule.prepare(Pixels(array, aspect))
    assert recorded.then(flip) == geometry
    flipped = prepared[:: -1 if flip.vertical else 1, :: -1 if flip.horizontal else 1]
    row, column = _brightest_cell(flipped, map_size)
    back = geometry.cell_to_file((row + 0.5, column + 0.5), map_size)
    # Half a cell; and since light is spread over whole pixels, half of the larger pixel of the two.
    pixel = np.maximum(1.0, _cell_size(geometry, geometry.input_size))
    allowed = (_cell_size(geometry, map_size) + pixel) / 2
    assert (np.abs(back - (x + 0.5, y + 0.5)) <= allowed + 1e-6).all()
    shown = geometry.map_to_file(
        np.eye(1, map_size[0] * map_size[1], row * map_size[1] + column).reshape(map_size)
    )
    lit_rows, lit_columns = np.nonzero(shown)
    if len(lit_rows):
        distance = np.hypot(lit_columns - x, lit_rows - y).min()
        assert distance <= np.hypot(*pixel) + 1


@FEWER
@given(
    st.integers(150, 320),
    st.floats(0.7, 1.4),
    st.floats(0.30, 0.62),
    st.sampled_from([0.5, 1.0, 1.0, 1.6]),
    st.sampled_from(["pad", "crop", "stretch"]),
    FLIPS,
    st.floats(-0.6, 0.6),
    st.floats(-0.6, 0.6),
)
def test_a_spot_on_the_retina_survives_the_crop_of_its_circle(
    short, ratio, share, aspect, resize, flip, across, down
):
    """The retina is drawn round, then squeezed into pixels that are not square."""
    height, width = short, round(short * ratio)
    radius = share * min(height, width)
    if radius > min(height, width) / 2:
        width = round(2.2 * radius)  # so that the camera cuts off two sides and not four
    picture = retina(width, height, (width / 2, height / 2), radius)
    spot_x, spot_y = width / 2 + across * radius, height / 2 + down * radius
    squeezed = np.repeat(picture, 8, axis=0)  # fine rows to choose the stored ones from
    stored_height = round(height / aspect)
    rows = ((np.arange(stored_height) + 0.5) * (8 * height / stored_height)).astype(int)
    plain = squeezed[rows.clip(0, len(squeezed) - 1)]
    x, y = spot_x, spot_y * stored_height / height
    marked = plain.copy()
    marked[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    rule = Preprocessing((64, 64), resize=resize, trim="circle")
    without, geometry = rule.prepare(Pixels(plain, aspect))
    assert isinstance(geometry.steps[0], (Crop, Pad)), "the circle was not found"
    prepared, recorded = rule.prepare(Pixels(marked, aspect))
    change = np.abs(prepared.astype(float) - without)
    # The spot moves no edge of the circle by more than a pixel.
    assert np.abs(np.subtract(recorded.visible_box(), geometry.visible_box())).max() <= 2
    if recorded != geometry:
        return
    flipped = change[:: -1 if flip.vertical else 1, :: -1 if flip.horizontal else 1]
    row, column = _brightest_cell(flipped, (16, 16))
    whole = geometry.then(flip)
    back = whole.cell_to_file((row + 0.5, column + 0.5), (16, 16))
    spot = int(x) + 0.5, int(y) + 0.5
    allowed = _cell_size(whole, (16, 16)) / 2 + 2.5  # half a cell and half the spot
    assert (np.abs(back - spot) <= allowed).all()
