from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softcam.data.annotations import Box, Polygon
from softcam.data.annotationsources import coco
from tests.data.annotationsources.sets import HEIGHT, WIDTH, annotations, error, file_mask, read
from tests.data.annotationsources.sets import small_set as make
from tests.data.annotationsources.test_runlengths import packed, runs

SIZE = (HEIGHT, WIDTH)
SQUARE = [2, 2, 8, 2, 8, 6, 2, 6]


def _content(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 2, "file_name": "b.png", "width": WIDTH, "height": HEIGHT},
        ],
        "categories": [{"id": 1, "name": "spot"}, {"id": 7, "name": "disc"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, **given}
            for i, given in enumerate(annotations, start=11)
        ],
    }
    return {**content, **changes}


def _write(folder: Path, content: object, **settings: Any) -> Path:
    path = make(folder, **settings)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "annotations.json").write_text(text)
    return path


def _square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def test_polygons_boxes_and_runs_are_read_by_image_and_finding(tmp_path: Path) -> None:
    drawn = np.zeros(SIZE, bool)
    drawn[3:5, 9:15] = True
    content = _content(
        {"segmentation": [SQUARE], "bbox": [0, 0, 20, 12]},
        {"bbox": [1.5, 2, 3, 4], "category_id": 7},
        {"bbox": [5, 5, 2, 2], "segmentation": [], "image_id": 2},
        {
            "segmentation": {"size": list(SIZE), "counts": runs(drawn)},
            "category_id": 7,
            "image_id": 2,
            "iscrowd": 1,
        },
    )
    found = annotations(_write(tmp_path, content))
    assert found.polygons["a.png"] == (("spot", Polygon(((2, 2), (8, 2), (8, 6), (2, 6)))),)
    assert found.boxes == {
        "a.png": (("disc", Box(1.5, 2, 3, 4)),),
        "b.png": (("spot", Box(5, 5, 2, 2)),),
    }
    assert file_mask(found, "a.png", "spot", SIZE).sum() == 24
    np.testing.assert_array_equal(file_mask(found, "b.png", "disc", SIZE), drawn)
    assert found.findings == ("disc", "spot")


def test_packed_runs_are_read(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).random(SIZE) < 0.3
    given = {"segmentation": {"size": list(SIZE), "counts": packed(runs(drawn))}, "iscrowd": 1}
    found = annotations(_write(tmp_path, _content(given)))
    np.testing.assert_array_equal(file_mask(found, "a.png", "spot", SIZE), drawn)
    ((finding, mask),) = found.regions("a.png")
    assert finding == "spot"
    np.testing.assert_array_equal(mask, drawn)


def test_all_annotations_of_a_finding_are_united_whatever_marks_them(tmp_path: Path) -> None:
    drawn = np.zeros(SIZE, bool)
    drawn[11, 19] = True
    content = _content(
        {"segmentation": [_square(1, 1, 2), _square(2, 2, 2)]},
        {"bbox": [10, 1, 2, 2]},
        {"segmentation": {"size": list(SIZE), "counts": runs(drawn)}},
    )
    found = annotations(_write(tmp_path, content))
    assert not found.boxes  # else it would give way to the others, which are other lesions
    assert file_mask(found, "a.png", "spot", SIZE).sum() == 7 + 4 + 1
    assert len(found.regions("a.png")) == 4


def test_boxes_of_another_file_give_way_to_polygons(tmp_path: Path) -> None:
    path = _write(tmp_path, _content({"segmentation": [_square(1, 1, 2)]}))
    lines = ["image,x,y,width,height,finding", "a.png,0,0,9,9,spot", "b.png,0,0,9,9,spot"]
    (tmp_path / "boxes.csv").write_text("\n".join([*lines, "a.png,5,5,3,3,disc"]))
    found = annotations(path)
    assert file_mask(found, "a.png", "spot", SIZE).sum() == 4
    assert file_mask(found, "b.png", "spot", SIZE).sum() == 81
    assert file_mask(found, "a.png", "disc", SIZE).sum() == 9
    assert [finding for finding, _ in found.regions("a.png")] == ["disc", "spot"]


@pytest.mark.parametrize("written", ["a.png", "train2017/a.png", "x\\y\\a.png", "./images/a.png"])
def test_a_file_name_may_have_folders(written: str, tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": written}]
    content = _content({"bbox": [1, 1, 2, 2]}, images=images)
    assert annotations(_write(tmp_path, content)).has("a.png")


@pytest.mark.parametrize("written", ["../a.png", "/etc/a.png", "x/../../a.png", "..\\a.png", "."])
def test_a_file_name_that_leads_out_of_the_folder_is_refused(written: str, tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": written}]
    message = error(_write(tmp_path, _content({"bbox": [1, 1, 2, 2]}, images=images)))
    assert "annotation 11: its image" in message
    assert "leads outside the image folder" in message


def test_annotations_of_images_outside_the_table_are_counted(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "other.png"}, {"id": 2, "file_name": "b.png"}]
    path = _write(tmp_path, _content({"bbox": [1, 1, 2, 2]}, images=images))
    table = read(path)
    assert table.annotations is None
    assert any(note.startswith("1 annotation(s) of annotations.json") for note in table.notes)
    images[0]["file_name"] = "nowhere.png"
    both = _content({"bbox": [1, 1, 2, 2]}, {"bbox": [1, 1, 2, 2], "image_id": 2}, images=images)
    (tmp_path / "annotations.json").write_text(json.dumps(both))
    assert annotations(path).findings == ("spot",)


def test_annotations_of_which_none_has_an_image_are_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpeg"}]
    message = error(_write(tmp_path, _content({"bbox": [1, 1, 2, 2]}, images=images)))
    assert "none belongs to an image of the table, for instance 'a.jpeg'" in message


def test_an_image_without_annotations_may_be_anything(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "../x"}, {"id": 2, "file_name": "b.png", "width": 3}]
    assert read(_write(tmp_path, _content(images=images))).annotations is None


def test_another_size_than_the_file_has_is_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.png", "width": HEIGHT, "height": WIDTH}]
    message = error(_write(tmp_path, _content({"bbox": [1, 1, 2, 2]}, images=images)))
    assert "has 12 x 20 px, and it has 20 x 12 as displayed" in message


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "x/a.png"}, {"id": 2, "file_name": "y/a.png"}]
    both = _content({"bbox": [1, 1, 2, 2]}, {"bbox": [1, 1, 2, 2], "image_id": 2}, images=images)
    assert "'y/a.png' and 'x/a.png' are both the image 'a.png'" in error(_write(tmp_path, both))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"segmentation": [[1, 1, 5, 5, 3]]}, "an odd number"),
        ({"segmentation": [[1, 1, 5, 5]]}, "2 corner(s)"),
        ({"segmentation": [[]]}, "0 corner(s)"),
        ({"segmentation": [[1, 1, 5, 5, 9, 9]]}, "no area"),
        ({"segmentation": [[1, 1, 30, 5, 9, 9]]}, "x=30 y=5 lies outside the image 'a.png' of 20"),
        ({"segmentation": [[1, 1, 5, -5, 9, 9]]}, "x=5 y=-5 lies outside"),
        ({"segmentation": [1, 1, 5, 5, 3, 9]}, "neither a list of polygons"),
        ({"segmentation": "x"}, "neither a list of polygons"),
        ({"segmentation": [[1, 1, 5, None, 3, 9]]}, "holds None"),
        ({"segmentation": [[1, 1, 5, True, 3, 9]]}, "holds True"),
        ({"segmentation": [[1, 1, 5, float("nan"), 3, 9]]}, "holds nan"),
        ({"segmentation": [[1, 1, 5, 10**400, 3, 9]]}, "holds 1000"),
        ({"segmentation": [[1, 1, 5, "4", 3, 9]]}, "holds '4'"),
        ({"segmentation": {"size": [12, 20], "counts": [3, 4]}}, "do not add up to the 240 px"),
        ({"segmentation": {"size": [20, 12], "counts": [240]}}, "the RLE is 12 x 20 px"),
        ({"bbox": [1, 1, 2]}, "bbox is [1, 1, 2]"),
        ({"bbox": "1 2"}, "bbox is '1 2'"),
        ({"bbox": [1, 1, 0, 2]}, "above 0"),
        ({"bbox": [1, 1, 40, 2]}, "reaches outside the image 'a.png'"),
        ({}, "neither a segmentation nor a bbox"),
        ({"segmentation": None, "bbox": None}, "neither a segmentation nor a bbox"),
        ({"bbox": [1, 1, 2, 2], "category_id": 3}, "category_id 3 names no category"),
        ({"bbox": [1, 1, 2, 2], "category_id": None}, "category_id None names no category"),
        ({"bbox": [1, 1, 2, 2], "category_id": [1]}, "category_id [1] names no category"),
        ({"bbox": [1, 1, 2, 2], "image_id": 5}, "image_id 5 is no image"),
        ({"bbox": [1, 1, 2, 2], "image_id": {}}, "image_id {} is no image"),
    ],
)
def test_a_bad_annotation_is_named_by_its_id(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    message = error(_write(tmp_path, _content({"bbox": [1, 1, 2, 2]}, given)))
    assert message.startswith(f"{tmp_path / 'annotations.json'}, annotation 12: ")
    assert said in message


def test_many_bad_annotations_are_listed_together(tmp_path: Path) -> None:
    message = error(_write(tmp_path, _content(*[{"bbox": [1]}] * 12)))
    assert "12 problems" in message
    assert message.endswith("and 2 more.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no valid JSON"),
        ('{"images": [', "no valid JSON"),
        ('{"images": ' + "9" * 9000 + "}", "no valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "is no COCO file; it needs an object"),
        ("{}", "its 'categories' is no list of objects"),
        ('{"categories": [], "images": [3], "annotations": []}', "its 'images' is no list"),
        ('{"categories": [], "images": [], "annotations": {}}', "its 'annotations' is no list"),
        (
            '{"categories": [], "images": [{"id": 1}, {"id": 1}], "annotations": []}',
            "images number 2: the id 1 is taken",
        ),
        ('{"categories": [{}], "images": [], "annotations": []}', "categories number 1: its id is"),
        ("\udcff", "no valid JSON"),
    ],
)
def test_a_file_that_is_no_coco_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    (tmp_path / "annotations.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    message = error(path)
    assert message.startswith(str(tmp_path / "annotations.json"))
    assert said in message


def test_a_file_too_large_to_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path, _content({"bbox": [1, 1, 2, 2]}))
    assert annotations(path).has("a.png")
    monkeypatch.setattr(coco, "MAX_BYTES", 100)
    assert "has more than" in error(path)


def test_a_corner_that_rounding_put_over_the_edge_is_moved_back(tmp_path: Path) -> None:
    given = {"segmentation": [[-0.5, 0, 20.9, 0, 20.9, 12, -0.5, 12]]}
    found = annotations(_write(tmp_path, _content(given)))
    ((_, polygon),) = found.polygons["a.png"]
    assert polygon == Box(0, 0, 20, 12).corners()
