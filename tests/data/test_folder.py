from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import Task
from tests.data import files


def _layout(folder: Path, *paths: str) -> Path:
    for i, path in enumerate(paths):
        files.image(folder / path, seed=i)
    return folder


def test_split_and_class_folders_make_a_table(tmp_path: Path) -> None:
    _layout(
        tmp_path,
        "train/NORMAL/a.jpeg",
        "train/PNEUMONIA/b.jpeg",
        "val/PNEUMONIA/c.JPG",
        "test/NORMAL/d.png",
    )
    table = read_table(tmp_path)
    assert table.path == tmp_path
    assert table.spec.task is Task.BINARY
    assert table.spec.classes == ("NORMAL", "PNEUMONIA")
    assert table.spec.positive == "PNEUMONIA"
    found = {record.name: (record.label, record.split) for record in table.records}
    assert found == {
        "train/NORMAL/a.jpeg": (0, "train"),
        "train/PNEUMONIA/b.jpeg": (1, "train"),
        "val/PNEUMONIA/c.JPG": (1, "val"),
        "test/NORMAL/d.png": (0, "test"),
    }
    assert table.records[0].image.is_file()


def test_class_folders_alone_are_split_by_image(tmp_path: Path) -> None:
    _layout(tmp_path, *(f"{name}/{i}.png" for name in ("AMD", "DME", "Normal") for i in range(10)))
    table = read_table(tmp_path)
    assert table.spec.classes == ("Normal", "AMD", "DME")
    assert table.spec.task is Task.MULTICLASS
    assert table.splits() == {"train": 21, "val": 3, "test": 6}


@pytest.mark.parametrize("healthy", ["normal", "Healthy", "negative", "No_DR", "control", "zz"])
def test_the_healthy_folder_comes_first(healthy: str, tmp_path: Path) -> None:
    _layout(tmp_path, f"train/{healthy}/a.png", "train/abnormal/b.png", f"val/{healthy}/c.png")
    first = read_table(tmp_path).spec.classes[0]
    assert first == ("abnormal" if healthy == "zz" else healthy)


def test_a_dataset_yaml_names_and_orders_class_folders(tmp_path: Path) -> None:
    _layout(tmp_path, "train/0/a.png", "train/1/b.png", "val/1/c.png")
    (tmp_path / "dataset.yaml").write_text("classes: {0: sick, 1: fine}\npositive: sick\n")
    table = read_table(tmp_path)
    assert table.spec.classes == ("fine", "sick")
    assert table.labels().tolist() == [1, 0, 0]


def test_other_files_and_sub_folders(tmp_path: Path) -> None:
    _layout(tmp_path, "train/a/deep/er/1.png", "train/b/2.png", "val/a/3.png", "train/b/.4.png")
    (tmp_path / "train" / "a" / "Thumbs.db").write_text("x")
    table = read_table(tmp_path)
    assert [record.name for record in table.records] == [
        "train/a/deep/er/1.png",
        "train/b/2.png",
        "val/a/3.png",
    ]
    assert any("2 file(s)" in note for note in table.notes)


def test_masks_and_boxes_lie_beside_the_class_folders(tmp_path: Path) -> None:
    _layout(tmp_path, "a/1.png", "b/2.png", "masks/spot/b/2.png")
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height\na/1.png,1,1,2,2\n")
    table = read_table(tmp_path, make_splits=False)
    assert len(table) == 2
    assert table.annotations is not None
    assert table.annotations.has("a/1.png")
    assert table.annotations.findings == ("finding", "spot")


def test_label_and_segmentation_folders_are_no_classes(tmp_path: Path) -> None:
    _layout(tmp_path, "a/1.png", "b/2.png", "labels/3.png", "segmentations/4.png")
    table = read_table(tmp_path, make_splits=False)
    assert table.spec.classes == ("a", "b")
    assert len(table) == 2


def test_an_empty_image_and_a_link_outside_are_named_by_path(tmp_path: Path) -> None:
    _layout(tmp_path / "set", "train/a/1.png", "train/b/2.png")
    (tmp_path / "set" / "train" / "a" / "3.png").touch()
    outside = files.image(tmp_path / "x.png")
    (tmp_path / "set" / "train" / "b" / "4.png").symlink_to(outside)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "set")
    assert "train/a/3.png: " in str(caught.value)
    assert "0 bytes" in str(caught.value)
    assert "leads outside" in str(caught.value)


def test_a_class_absent_from_train_is_named(tmp_path: Path) -> None:
    _layout(tmp_path, "train/a/1.png", "val/a/2.png", "val/b/3.png")
    with pytest.raises(InputError, match="class 'b'"):
        read_table(tmp_path)


def test_a_folder_without_any_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"table\.csv.*train/<class>"):
        read_table(tmp_path)


def test_a_folder_of_plain_images_will_do_without_labels(tmp_path: Path) -> None:
    _layout(tmp_path, "1.png", "2.jpg")
    with pytest.raises(InputError, match=r"table\.csv"):
        read_table(tmp_path)
    table = read_table(tmp_path, require_labels=False)
    assert [(record.name, record.label) for record in table.records] == [
        ("1.png", None),
        ("2.jpg", None),
    ]


def test_an_image_folder_goes_with_a_table_only(tmp_path: Path) -> None:
    _layout(tmp_path, "a/1.png", "b/2.png")
    with pytest.raises(InputError, match="with a table only"):
        read_table(tmp_path, images=tmp_path)
