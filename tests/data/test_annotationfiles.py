from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.annotations import Annotations, Box
from softcam.data.records import Table
from softcam.data.table import read_table
from softcam.errors import InputError
from tests.data import files

HEADER = "image,x,y,width,height,finding\n"


def _set(folder: Path, boxes: str | None = None, suffix: str = "png") -> Path:
    """Two images of 20 x 12 px (width x height), listed, and one that is not."""
    for name in ("a", "b", "other"):
        files.image(folder / "images" / f"{name}.{suffix}", 12, 20)
    path = folder / "table.csv"
    path.write_text(f"image,label\na.{suffix},0\nb.{suffix},1\n")
    if boxes is not None:
        (folder / "boxes.csv").write_text(boxes)
    return path


def _read(path: Path) -> Table:
    return read_table(path, make_splits=False)


def _annotations(path: Path) -> Annotations:
    annotations = _read(path).annotations
    assert annotations is not None
    return annotations


def _error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        _read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _mask(path: Path, height: int = 12, width: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width), 255, np.uint8)).save(path)


# --- boxes


def test_boxes_are_read_by_image_and_finding(tmp_path: Path) -> None:
    boxes = HEADER + "a.png,1.5,2,3,4.25,spot\nb.png,0,0,20,12,disc\na.png,5,5,1,1,disc\n"
    annotations = _annotations(_set(tmp_path, boxes))
    assert annotations.boxes == {
        "a.png": (("spot", Box(1.5, 2, 3, 4.25)), ("disc", Box(5, 5, 1, 1))),
        "b.png": (("disc", Box(0, 0, 20, 12)),),
    }


def test_a_box_without_a_finding_is_a_finding(tmp_path: Path) -> None:
    annotations = _annotations(_set(tmp_path, "image,x,y,width,height\na.png,1,1,2,2\n"))
    assert annotations.findings == ("finding",)
    annotations = _annotations(_set(tmp_path / "b", HEADER + "./a.png,1,1,2,2,\n"))
    assert annotations.findings == ("finding",)


def test_boxes_of_images_outside_the_table_are_counted(tmp_path: Path) -> None:
    table = _read(_set(tmp_path, HEADER + "other.png,1,1,2,2,spot\n"))
    assert table.annotations is None
    assert any(note.startswith("1 box(es)") for note in table.notes)


def test_a_box_of_an_unknown_image_is_named_with_its_row(tmp_path: Path) -> None:
    message = _error(_set(tmp_path, HEADER + "a.png,1,1,2,2,spot\nnone.png,1,1,2,2,spot\n"))
    assert message.startswith(f"{tmp_path / 'boxes.csv'}, row 3: the image 'none.png' does not")


@pytest.mark.parametrize(
    "box",
    ["18,1,4,4", "1,9,2,5", "-2,1,5,5", "1,-1.5,5,5", "30,30,2,2", "20.5,1,0.4,1", "-1,0,1,4"],
)
def test_a_box_outside_the_image_is_named_with_its_row(box: str, tmp_path: Path) -> None:
    message = _error(_set(tmp_path, HEADER + f"a.png,1,1,2,2,spot\na.png,{box},spot\n"))
    assert "row 3: the box" in message
    assert "outside the image 'a.png' of 20 x 12 px" in message


def test_a_box_that_rounding_put_over_the_edge_is_clipped(tmp_path: Path) -> None:
    boxes = HEADER + "a.png,-0.6,0,5,12.9,spot\na.png,16,2,4.8,3,spot\n"
    assert _annotations(_set(tmp_path, boxes)).boxes["a.png"] == (
        ("spot", Box(0, 0, 4.4, 12)),
        ("spot", Box(16, 2, 4, 3)),
    )


@pytest.mark.parametrize("size", ["0,3", "3,0", "-2,3"])
def test_a_box_without_an_area_is_refused(size: str, tmp_path: Path) -> None:
    assert "must be above 0" in _error(_set(tmp_path, HEADER + f"a.png,1,1,{size},spot\n"))


@pytest.mark.parametrize("number", ["", "nan", "inf", "two", "1e999"])
def test_a_box_with_a_number_that_is_none_is_refused(number: str, tmp_path: Path) -> None:
    message = _error(_set(tmp_path, HEADER + f"a.png,{number},1,2,2,spot\n"))
    assert "row 2: x is" in message


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    assert "no column 'height'" in _error(_set(tmp_path, "image,x,y,width\na.png,1,1,2\n"))


def test_many_bad_boxes_are_listed_together(tmp_path: Path) -> None:
    message = _error(_set(tmp_path, HEADER + "a.png,99,1,2,2,spot\n" * 12))
    assert "12 problems" in message
    assert message.endswith("and 2 more.")


def test_boxes_are_in_the_pixels_as_displayed(tmp_path: Path) -> None:
    path = _set(tmp_path, HEADER + "a.png,1,15,10,4,spot\n")
    assert "outside" in _error(path)
    stored = np.zeros((12, 20), np.uint8)  # displayed 12 wide and 20 high
    data = files.png(stored, files.GREY, 8, exif=files.exif(6))
    (tmp_path / "images" / "a.png").write_bytes(data)
    assert _annotations(path).has("a.png")


def test_an_annotated_image_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = _set(tmp_path, HEADER + "a.png,1,1,2,2,spot\n")
    (tmp_path / "images" / "a.png").write_text("not an image")
    message = _error(path)
    assert "row 2" in message
    assert "not a PNG, JPEG, TIFF" in message


# --- masks


def test_masks_are_found_by_finding_and_image(tmp_path: Path) -> None:
    path = _set(tmp_path, suffix="jpg")
    masks = tmp_path / "masks"
    _mask(masks / "spot" / "a.png")
    _mask(masks / "disc" / "a.jpg.png")
    _mask(masks / "b.png")
    annotations = _annotations(path)
    assert annotations.masks == {
        "a.jpg": {"spot": masks / "spot" / "a.png", "disc": masks / "disc" / "a.jpg.png"},
        "b.jpg": {"finding": masks / "b.png"},
    }
    assert annotations.findings == ("disc", "finding", "spot")


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    path = _set(tmp_path)
    _mask(tmp_path / "masks" / "spot" / "a.png", 11, 20)
    message = _error(path)
    assert "masks, spot/a.png: The mask" in message
    assert "20 x 11 px, its image 20 x 12 px" in message


def test_masks_of_images_outside_the_table_are_counted(tmp_path: Path) -> None:
    path = _set(tmp_path)
    _mask(tmp_path / "masks" / "spot" / "other.png")
    table = _read(path)
    assert table.annotations is None
    assert any(note.startswith("1 mask(s)") for note in table.notes)


def test_masks_that_fit_no_image_at_all_are_refused(tmp_path: Path) -> None:
    path = _set(tmp_path)
    _mask(tmp_path / "masks" / "spot" / "a_mask.png")
    message = _error(path)
    assert "'spot/a_mask.png'" in message
    assert "masks/<finding>/<image name>.png" in message


def test_a_mask_that_fits_two_images_is_refused(tmp_path: Path) -> None:
    path = _set(tmp_path)
    files.image(tmp_path / "images" / "a.jpg", 12, 20)
    path.write_text("image,label\na.png,0\na.jpg,1\n")
    _mask(tmp_path / "masks" / "spot" / "a.png")
    assert "fits 2 images" in _error(path)
    (tmp_path / "masks" / "spot" / "a.png").rename(tmp_path / "masks" / "spot" / "a.jpg.png")
    assert _annotations(path).has("a.jpg")


def test_two_masks_of_one_finding_are_refused(tmp_path: Path) -> None:
    path = _set(tmp_path)
    _mask(tmp_path / "masks" / "spot" / "a.png")
    _mask(tmp_path / "masks" / "spot" / "a.png.png")
    assert "two masks of 'spot'" in _error(path)


def test_a_mask_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = _set(tmp_path)
    (tmp_path / "masks" / "spot").mkdir(parents=True)
    (tmp_path / "masks" / "spot" / "a.png").write_text("x")
    assert "not a PNG, JPEG, TIFF" in _error(path)


def test_masks_of_images_in_sub_folders(tmp_path: Path) -> None:
    files.image(tmp_path / "images" / "x" / "a.png", 12, 20)
    files.image(tmp_path / "images" / "x" / "b.png", 12, 20)
    path = tmp_path / "table.csv"
    path.write_text("image,label\nx/a.png,0\nx/b.png,1\n")
    _mask(tmp_path / "masks" / "spot" / "x" / "a.png")
    _mask(tmp_path / "masks" / "x" / "b.png")
    annotations = _annotations(path)
    assert set(annotations.masks["x/a.png"]) == {"spot"}
    assert set(annotations.masks["x/b.png"]) == {"finding"}
