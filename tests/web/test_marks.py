from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from softcam.errors import InputError
from softcam.web.marks import find_marks
from softcam.web.settings import Settings
from tests.web.conftest import LIMITS, client_of, png


@pytest.fixture
def home(tmp_path, image):
    """A data set: a.png with a box and a mask with a hole, b.png without anything."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).write_bytes(png(image + (name == "b.png")))
    (tmp_path / "table.csv").write_text("image,label\na.png,1\nb.png,0\n")
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height,finding\na.png,10,5,20,10,spot\n")
    mask = np.zeros(image.shape, np.uint8)
    mask[20:30, 40:60] = 255
    mask[24:26, 45:50] = 0
    (tmp_path / "masks" / "haze").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks" / "haze" / "a.png")
    return tmp_path


def marks_of(settings: Settings) -> dict[str, dict[str, list]]:
    with client_of(settings=settings) as own:
        found = {}
        for entry in own.get("/v1/folder").json()["images"]:
            told = own.get(f"/v1/folder/{entry['id']}/annotation").json()
            if not entry["name"].startswith("masks/"):
                name = entry["name"].rpartition("/")[2]
                found[name] = {item["finding"]: item["outline"] for item in told["findings"]}
        return found


@pytest.mark.parametrize("folder", ["", "images"])
def test_boxes_and_masks_of_the_folders_table_are_outlined(home, folder):
    found = marks_of(Settings(folder=home / "images" / ".." / folder, limits=LIMITS))
    assert found["b.png"] == {}
    assert found["a.png"]["spot"] == [[[10, 5], [30, 5], [30, 15], [10, 15]]]
    outer, hole = found["a.png"]["haze"]
    assert {tuple(corner) for corner in outer} == {(40, 20), (60, 20), (60, 30), (40, 30)}
    assert {tuple(corner) for corner in hole} == {(45, 24), (50, 24), (50, 26), (45, 26)}


def test_a_table_that_lies_elsewhere_is_named(home, tmp_path):
    found = find_marks(home / "images", home / "table.csv")
    assert [item.finding for item in found.findings(home / "images" / "a.png")] == ["spot", "haze"]


def test_a_table_beside_the_folder_that_is_about_something_else_is_left_alone(home):
    (home / "table.csv").write_text("name,age\nx,3\n")
    assert find_marks(home / "images", None) is None
    with pytest.raises(InputError):
        find_marks(home / "images", home / "table.csv")


def test_an_image_that_is_not_there_has_none(home):
    with client_of(settings=Settings(folder=home, limits=LIMITS)) as own:
        assert own.get("/v1/folder/abc/annotation").status_code == 404


def test_without_a_folder_there_is_none(client):
    assert client.get("/v1/folder/abc/annotation").json()["code"] == "no_folder"
