from __future__ import annotations

import pytest

from softcam.data.annotations import Box
from softcam.data.importers.rsna_pneumonia import plan
from softcam.errors import InputError
from tests.data.importers import replicas


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    return replicas.rsna_pneumonia(tmp_path_factory.mktemp("rsna"))


def test_every_box_is_kept_once(download):
    items = {item.name[:8]: item for item in plan(download, "opacity").items}
    assert items["00000001"].boxes == (
        ("opacity", Box(10, 20, 12, 16)),
        ("opacity", Box(40, 20, 12.5, 16)),
        ("opacity", Box(60, 50, 10, 10)),
    )
    assert items["00000000"].boxes == ()
    assert len(items["00000004"].boxes) == 2


def test_two_or_three_classes(download):
    two, three = plan(download, "opacity"), plan(download, "three")
    assert two.meaning["positive"] == "Lung Opacity"
    assert three.meaning["classes"] == ["Normal", "No Lung Opacity / Not Normal", "Lung Opacity"]
    assert len(three.items) - len(two.items) == 8
    assert sum(not left.problem for left in two.left_out) == 8
    assert not [left for left in three.left_out if not left.problem]


def test_images_without_labels_are_no_part_of_it(download):
    assert not [left for left in plan(download, "three").left_out if "test_images" in left.what]


def test_a_row_whose_box_is_none_is_listed_and_its_image_kept(tmp_path):
    root = replicas.rsna_pneumonia(tmp_path, patients=6)
    with (root / "stage_2_train_labels.csv").open("a") as stream:
        stream.write(f"{4:08x}-0000-4000-8000-000000000000,5,5,0,4,1\n")
    made = plan(root, "opacity")
    assert [x.reason for x in made.left_out if "00000004" in x.what] == [
        "its box is no box (the image is kept)"
    ]
    assert len(next(i for i in made.items if i.name.startswith("00000004")).boxes) == 2


def test_another_table_is_refused(tmp_path):
    root = replicas.rsna_pneumonia(tmp_path, patients=3)
    replicas.write_csv(root / "stage_2_detailed_class_info.csv", ("patientId", "kind"), [])
    with pytest.raises(InputError, match="no column 'class'"):
        plan(root, "opacity")
