"""Bad tables are refused in one sentence that names file, row and remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from softcam.data.table import read_table
from tests.data import files
from tests.data.tables import BASIC, MODEL, refusal


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    assert "none.csv does not exist" in refusal(tmp_path / "none.csv")


def test_an_image_in_the_place_of_a_table_is_called_one(tmp_path: Path) -> None:
    image = tmp_path / "scan.JPG"
    image.write_bytes(b"\xff\xd8\xff\xe0")
    assert "scan.JPG is an image, not a table" in refusal(image)


def test_a_table_without_an_image_column_is_refused(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, "file,label\na.png,0\n"))
    assert "no column 'image'" in message
    assert "file, label" in message


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    assert "no rows" in refusal(files.table(tmp_path, "image,label\n"))


def test_a_missing_image_is_named_with_its_row(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "b.png").unlink()
    message = refusal(path)
    assert message.startswith(f"{path}, row 3: the image 'b.png' does not exist")


def test_an_empty_image_is_named_with_its_row(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "c.png").write_bytes(b"")
    message = refusal(path)
    assert "row 4" in message
    assert "0 bytes" in message


@pytest.mark.parametrize("label", ["", "nan", "NaN", "NA", "None", "null", " "])
def test_a_missing_label_is_named_with_its_row(label: str, tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC.replace("b.png,1", f"b.png,{label}")))
    assert "row 3: the label" in message
    assert "give the image a class" in message


@pytest.mark.parametrize("label", ["-1", "0.5", "inf", "-0.5"])
def test_a_number_that_is_no_class_is_named_with_its_row(label: str, tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC.replace("d.png,0", f"d.png,{label}")))
    assert f"row 5: the label {label!r}" in message


def test_an_unknown_label_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    path = files.table(
        tmp_path, BASIC.replace("b.png,1", "b.png,sik"), yaml="classes: [normal, sick]\n"
    )
    message = refusal(path)
    assert "row 3: the label 'sik' is unknown" in message
    assert "normal" in message
    assert "sick" in message


def test_labels_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    text = "image,label\na.png,AMD\nb.png,amd\nc.png,dme\n"
    message = refusal(files.table(tmp_path, text))
    assert "'AMD'" in message
    assert "'amd'" in message


def test_a_class_absent_from_train_is_named(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC.replace("b.png,1", "b.png,0")))
    assert "train split has no image of the class '1'" in message


def test_a_class_absent_from_train_is_no_error_where_there_is_no_train(tmp_path: Path) -> None:
    text = "image,label,split\na.png,ill,test\nb.png,ill,test\n"
    table = read_table(files.table(tmp_path, text), spec=MODEL)
    assert table.splits() == {"test": 2}


def test_duplicate_rows_are_named(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC + "./b.png,1,train,q\n")
    message = refusal(path)
    assert "row 6: the image './b.png' is already in row 3" in message


def test_an_image_in_two_splits_is_named(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC + "b.png,1,test,q\n"))
    assert (
        "row 6: the image 'b.png' is in the split 'test' and, in row 3, in the split 'train'"
        in (message)
    )


def test_a_link_to_an_image_of_the_table_is_a_duplicate(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "e.png").symlink_to("a.png")
    path.write_text(BASIC + "e.png,0,train,p\n")
    assert "already in row 2" in refusal(path)


@pytest.mark.parametrize("way", ["dots", "absolute", "link", "folder link"])
def test_a_path_leading_outside_the_folder_is_refused(way: str, tmp_path: Path) -> None:
    outside = files.image(tmp_path / "secret" / "x.png")
    path = files.table(tmp_path / "set", BASIC)
    images = tmp_path / "set" / "images"
    (images / "link.png").symlink_to(outside)
    (images / "link").symlink_to(outside.parent)
    written = {
        "dots": "../../secret/x.png",
        "absolute": str(outside),
        "link": "link.png",
        "folder link": "link/x.png",
    }[way]
    path.write_text(BASIC + f"{written},0,train,t\n")
    message = refusal(path)
    assert "row 6" in message
    assert "leads outside" in message


def test_a_path_outside_is_refused_even_if_nothing_is_there(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path / "set", BASIC + "../../none.tif,0,train,t\n"))
    assert "leads outside" in message


def test_an_absolute_path_inside_the_folder_is_the_image(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    path.write_text(BASIC.replace("a.png", str(tmp_path / "images" / "a.png")))
    assert read_table(path).records[0].name == "a.png"


def test_the_image_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    files.table(tmp_path / "real", BASIC)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "real" / "images")
    path = tmp_path / "set" / "table.csv"
    path.write_text(BASIC)
    assert len(read_table(path)) == 4


def test_many_bad_rows_are_listed_together_and_the_rest_counted(tmp_path: Path) -> None:
    rows = "".join(f"gone{i}.png,{'' if i == 0 else 1},train,p\n" for i in range(14))
    path = files.table(tmp_path, BASIC)
    path.write_text(BASIC + rows)
    message = refusal(path)
    assert "15 problems" in message
    assert "row 6: the label is empty" in message
    assert "row 6: the image 'gone0.png'" in message
    assert "gone8.png" in message
    assert "gone9.png" not in message
    assert message.endswith("and 5 more.")


def test_a_folder_that_is_named_as_an_image_is_refused(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "f").mkdir()
    path.write_text(BASIC + "f,1,train,p\n,1,train,p\n")
    message = refusal(path)
    assert "row 6: the image 'f' is not a file" in message
    assert "row 7: the image cell is empty" in message


def test_images_of_six_thousand_rows_are_checked_fast(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    first = files.image(images / "0.png")
    for i in range(1, 6000):
        os.link(first, images / f"{i}.png")
    path = tmp_path / "table.csv"
    path.write_text("image,label\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(6000)))
    assert len(read_table(path)) == 6000
