from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.annotations import Annotations, Box, Polygon, read_mask
from softcam.data.annotationsources.runlengths import RunLengths
from softcam.data.geometry import Geometry
from softcam.data.steps import Crop, Flip, Pad, Resize
from softcam.errors import InputError
from tests.data import files

GEOMETRIES = {
    "identity": Geometry.of((40, 60)),
    "pad": Geometry.of((40, 60), Resize(30, 20), Pad(0, 5, 0, 5)),
    "stretch": Geometry.of((40, 60), Resize(37, 53)),
    "crop and flip": Geometry.of((40, 60), Crop(7, 3, 41, 30), Resize(32, 24), Flip(True, True)),
}
ALL = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
BOXES = [Box(3.2, 4.9, 20, 11.5), Box(30, 20, 25, 18), Box(10, 30, 9, 9)]


def _boxes(*boxes: Box, finding: str = "spot") -> Annotations:
    return Annotations(boxes={"a.png": tuple((finding, box) for box in boxes)})


def _mask_file(path: Path, mask: np.ndarray) -> Annotations:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return Annotations(masks={"a.png": {"spot": path}})


@ALL
def test_an_input_pixel_is_inside_a_box_when_its_centre_is(geometry: Geometry) -> None:
    mask = _boxes(*BOXES).mask("a.png", ["spot"], geometry)
    height, width = geometry.input_size
    x0, y0, x1, y1 = geometry.visible_box()
    slow = np.zeros((height, width), bool)
    for i in range(height):
        for j in range(width):
            x, y = geometry.to_file([j + 0.5, i + 0.5])
            shown = x0 <= x <= x1 and y0 <= y <= y1
            slow[i, j] = shown and any(
                box.x <= x < box.x + box.width and box.y <= y < box.y + box.height for box in BOXES
            )
    np.testing.assert_array_equal(mask, slow)
    assert mask.dtype == np.bool_


def test_boxes_on_the_file_grid_are_whole_whatever_was_cropped() -> None:
    mask = _boxes(Box(2, 3, 4, 5)).mask("a.png", ["spot"], GEOMETRIES["crop and flip"], grid="file")
    expected = np.zeros((40, 60), bool)
    expected[3:8, 2:6] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_box_too_small_for_a_centre_keeps_its_own_pixel() -> None:
    geometry = Geometry.of((40, 60), Resize(6, 4))
    mask = _boxes(Box(21, 31, 3, 3)).mask("a.png", ["spot"], geometry)
    assert np.argwhere(mask).tolist() == [[3, 2]]


def test_a_box_that_was_cropped_away_leaves_nothing() -> None:
    geometry = Geometry.of((40, 60), Crop(30, 20, 20, 20), Pad(9, 9, 9, 9))
    assert not _boxes(Box(0, 0, 10, 10)).mask("a.png", ["spot"], geometry).any()


@ALL
def test_an_input_pixel_is_inside_a_mask_that_covers_half_of_it(
    geometry: Geometry, tmp_path: Path
) -> None:
    y, x = np.mgrid[:40, :60]
    drawn = (y - 18) ** 2 + (x - 33) ** 2 < 144
    annotations = _mask_file(tmp_path / "m.png", drawn)
    mask = annotations.mask("a.png", ["spot"], geometry)
    fine = np.kron(drawn, np.ones((20, 20)))  # 20 x 20 points in every file pixel
    height, width = geometry.input_size
    visible = geometry.visible_box()
    for i in range(height):
        for j in range(width):
            points = np.stack(
                np.meshgrid(np.linspace(j, j + 1, 41)[1::2], np.linspace(i, i + 1, 41)[1::2]), 2
            )
            spots = geometry.to_file(points.reshape(-1, 2))
            shown = ((spots > visible[:2]) & (spots < visible[2:])).all(axis=1)
            index = (spots[shown] * 20).astype(int)
            part = fine[index[:, 1], index[:, 0]].sum() / 400
            if abs(part - 0.5) > 0.05:
                assert mask[i, j] == (part > 0.5)
    np.testing.assert_array_equal(annotations.mask("a.png", ["spot"], geometry, grid="file"), drawn)


def test_only_the_asked_findings_are_joined(tmp_path: Path) -> None:
    drawn = np.zeros((40, 60), bool)
    drawn[30:, 50:] = True
    path = tmp_path / "m.png"
    _mask_file(path, drawn)
    annotations = Annotations(
        boxes={"a.png": (("spot", Box(0, 0, 5, 5)), ("disc", Box(20, 20, 5, 5)))},
        masks={"a.png": {"scar": path}},
    )
    geometry = GEOMETRIES["identity"]
    assert annotations.findings == ("disc", "scar", "spot")
    assert annotations.mask("a.png", ["spot"], geometry).sum() == 25
    assert annotations.mask("a.png", ["spot", "disc"], geometry).sum() == 50
    assert annotations.mask("a.png", ["spot", "scar"], geometry).sum() == 125
    assert not annotations.mask("a.png", ["other"], geometry).any()
    assert not annotations.mask("b.png", ["spot"], geometry).any()
    assert annotations.has("a.png")
    assert not annotations.has("b.png")


def test_regions_are_what_to_draw(tmp_path: Path) -> None:
    drawn = np.zeros((40, 60), bool)
    drawn[3, 4] = True
    both = Annotations(
        boxes={"a.png": (("disc", BOXES[0]),)},
        masks=_mask_file(tmp_path / "m.png", drawn).masks,
    )
    (first, box), (second, mask) = both.regions("a.png")
    assert (first, box, second) == ("disc", BOXES[0], "spot")
    np.testing.assert_array_equal(mask, drawn)
    assert both.regions("b.png") == []


def test_a_mask_wins_over_the_boxes_of_its_finding(tmp_path: Path) -> None:
    drawn = np.zeros((40, 60), bool)
    drawn[3:6, 4:8] = True
    masks = _mask_file(tmp_path / "m.png", drawn).masks
    boxes = {"a.png": (("spot", Box(0, 0, 20, 20)), ("disc", Box(30, 30, 5, 5)))}
    both = Annotations(boxes=boxes, masks=masks)
    assert [finding for finding, _ in both.regions("a.png")] == ["disc", "spot"]
    found = both.mask("a.png", ["spot"], GEOMETRIES["identity"])
    np.testing.assert_array_equal(found, drawn)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_whatever_is_not_black_is_inside_a_mask(mode: str, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).random((6, 8)) < 0.5
    path = tmp_path / "m.png"
    if mode == "I;16":
        Image.fromarray(drawn.astype(np.uint16)).save(path)
    else:
        Image.fromarray(drawn.astype(np.uint8) * 255).convert(mode).save(path)
    np.testing.assert_array_equal(read_mask(path), drawn)


def test_a_mask_of_another_size_than_the_image_is_refused(tmp_path: Path) -> None:
    annotations = _mask_file(tmp_path / "m.png", np.ones((8, 10), bool))
    with pytest.raises(InputError, match=r"m\.png has 10 x 8 px, its image 60 x 40 px"):
        annotations.mask("a.png", ["spot"], GEOMETRIES["pad"])


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(files.image(tmp_path / "x.png", 40, 60).read_bytes()[:200])
    annotations = Annotations(masks={"a.png": {"spot": path}})
    with pytest.raises(InputError, match=r"m\.png is truncated"):
        annotations.mask("a.png", ["spot"], GEOMETRIES["identity"])


def test_an_unknown_grid_is_refused() -> None:
    with pytest.raises(InputError, match="pixels"):
        _boxes(*BOXES).mask("a.png", ["spot"], GEOMETRIES["pad"], grid="pixels")  # type: ignore[arg-type]


def _layer(mask: np.ndarray) -> RunLengths:
    """Runs of one pixel each, and empty ones between."""
    counts = np.ones((mask.size, 2), np.int64)
    counts[:, 0] = ~mask.T.ravel()
    counts[:, 1] = mask.T.ravel()
    return RunLengths((mask.shape[0], mask.shape[1]), counts.ravel(), "annotation 3")


def test_polygons_and_masks_of_a_finding_are_joined_and_win_over_its_boxes(tmp_path: Path) -> None:
    drawn = np.zeros((40, 60), bool)
    drawn[3:6, 4:8] = True
    layer = np.zeros((40, 60), bool)
    layer[30, 50] = True
    annotations = Annotations(
        boxes={"a.png": (("spot", Box(0, 0, 20, 20)), ("disc", Box(30, 0, 5, 5)))},
        masks=_mask_file(tmp_path / "m.png", drawn).masks,
        polygons={"a.png": (("spot", Polygon(((20, 20), (24, 20), (24, 24), (20, 24)))),)},
        layers={"a.png": (("spot", _layer(layer)), ("scar", _layer(layer)))},
    )
    expected = drawn | layer
    expected[20:24, 20:24] = True
    geometry = GEOMETRIES["identity"]
    np.testing.assert_array_equal(annotations.mask("a.png", ["spot"], geometry), expected)
    np.testing.assert_array_equal(annotations.mask("a.png", ["scar"], geometry), layer)
    assert annotations.findings == ("disc", "scar", "spot")
    assert annotations.findings_of("a.png") == {"disc", "scar", "spot"}
    assert annotations.findings_of("b.png") == frozenset()
    kinds = [(f, type(region).__name__) for f, region in annotations.regions("a.png")]
    assert kinds == [
        ("disc", "Box"),
        ("spot", "Polygon"),
        ("scar", "ndarray"),
        ("spot", "ndarray"),
        ("spot", "ndarray"),
    ]


def test_two_halves_of_a_pixel_in_two_masks_make_it_inside() -> None:
    left, right = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    left[0, 0] = right[1, 1] = True
    layers = {"a.png": (("spot", _layer(left)), ("spot", _layer(right)))}
    mask = Annotations(layers=layers).mask("a.png", ["spot"], Geometry.of((40, 60), Resize(30, 20)))
    assert np.argwhere(mask).tolist() == [[0, 0]]


def test_a_layer_of_another_size_than_the_image_is_refused() -> None:
    annotations = Annotations(layers={"a.png": (("spot", _layer(np.ones((8, 10), bool))),)})
    with pytest.raises(InputError, match="annotation 3 has 10 x 8 px, its image 60 x 40 px"):
        annotations.mask("a.png", ["spot"], GEOMETRIES["pad"])
