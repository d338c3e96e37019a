from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.annotations import Box, Polygon
from tests.data import files
from tests.data.annotationsources.sets import HEIGHT, WIDTH, annotations, error, file_mask, read
from tests.data.annotationsources.sets import small_set as make


def _write(folder: Path, names: str | None = "disc\nspot\n", **labels: str) -> Path:
    path = make(folder)
    (folder / "labels").mkdir(exist_ok=True)
    for name, text in labels.items():
        (folder / "labels" / f"{name}.txt").write_text(text)
    if names is not None:
        (folder / "classes.txt").write_text(names)
    return path


def test_boxes_and_polygons_are_read_in_parts_of_the_sides(tmp_path: Path) -> None:
    path = _write(tmp_path, a="1 0.5 0.5 0.2 0.5\n\n0 0.1 0 0.5 0 0.5 0.5 0.1 0.5\n", b="")
    found = annotations(path)
    assert found.boxes == {"a.png": (("spot", Box(8, 3, 4, 6)),)}
    assert found.polygons == {"a.png": (("disc", Polygon(((2, 0), (10, 0), (10, 6), (2, 6)))),)}
    assert file_mask(found, "a.png", "disc", (HEIGHT, WIDTH)).sum() == 48


def test_a_box_beside_polygons_of_its_class_counts_too(tmp_path: Path) -> None:
    path = _write(tmp_path, a="0 0.5 0.5 0.2 0.5\n0 0 0 0.1 0 0.1 0.5 0 0.5")
    assert file_mask(annotations(path), "a.png", "disc", (HEIGHT, WIDTH)).sum() == 24 + 12


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels/classes.txt", "disc\nspot\n"),
        ("data.yaml", "names: [disc, spot]\nnc: 2\n"),
        ("data.yaml", "names:\n  1: spot\n"),
        ("data.yml", "names: {0: disc, 1: spot}"),
    ],
)
def test_the_classes_are_named_in_one_of_several_files(
    name: str, text: str, tmp_path: Path
) -> None:
    path = _write(tmp_path, None, a="1 0.5 0.5 0.2 0.5")
    (tmp_path / name).write_text(text)
    assert annotations(path).findings == ("spot",)


def test_files_that_name_the_classes_differently_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, a="1 0.5 0.5 0.2 0.5")
    (tmp_path / "data.yaml").write_text("names: [spot, disc]")
    assert "name the classes differently" in error(path)
    (tmp_path / "data.yaml").write_text("names: [disc, spot]")
    assert annotations(path).findings == ("spot",)


@pytest.mark.parametrize("text", ["names: 3", "[1]", "names: [yes, no]", "names: {a: b}", "x: ["])
def test_a_data_yaml_without_names_is_refused(text: str, tmp_path: Path) -> None:
    path = _write(tmp_path, None, a="1 0.5 0.5 0.2 0.5")
    (tmp_path / "data.yaml").write_text(text)
    assert error(path).startswith(str(tmp_path / "data.yaml"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 0.5 0.5 1.2 0.5", "holds '1.2'; give parts of the image's side from 0 to 1"),
        ("1 0.5 -0.1 0.2 0.5", "holds '-0.1'"),
        ("1 0.5 nan 0.2 0.5", "holds 'nan'"),
        ("1 0.5 x 0.2 0.5", "holds 'x'"),
        ("1 0.1 0.5 0.9 0.5", "reaches outside the image 'a.png'"),
        ("1 0.1 0.5 0 0.5", "above 0"),
        ("2 0.5 0.5 0.2 0.5", "the class 2 has no name"),
        ("spot 0.5 0.5 0.2 0.5", "begins with 'spot'"),
        ("-1 0.5 0.5 0.2 0.5", "begins with '-1'"),
        ("1.0 0.5 0.5 0.2 0.5", "begins with '1.0'"),
        ("1 0.5 0.5 0.2", "3 numbers after the class"),
        ("1 0.5 0.5 0.2 0.5 0.9", "5 numbers after the class"),
        ("1 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "7 numbers after the class"),
        ("1 0.1 0.1 0.2 0.2 0.3 0.3", "no area"),
        ("1", "0 numbers after the class"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    message = error(_write(tmp_path, a=f"1 0.5 0.5 0.2 0.5\n{line}\n"))
    assert message.startswith(f"{tmp_path / 'labels'}, a.txt line 2: ")
    assert said in message


def test_a_class_without_any_names_is_refused(tmp_path: Path) -> None:
    message = error(_write(tmp_path, None, a="0 0.5 0.5 0.2 0.5"))
    assert "a.txt line 1: the class 0 has no name; list the names in classes.txt" in message


def test_files_of_images_outside_the_table_are_counted(tmp_path: Path) -> None:
    table = read(_write(tmp_path, other="0 0.5 0.5 0.2 0.5"))
    assert table.annotations is None
    assert any("belong to images that the table does not list" in note for note in table.notes)


def test_files_that_fit_no_image_are_refused(tmp_path: Path) -> None:
    message = error(_write(tmp_path, img_a="0 0.5 0.5 0.2 0.5"))
    assert "1 label file(s) and none fits an image, for instance 'img_a.txt'" in message


def test_images_in_folders_and_of_one_name(tmp_path: Path) -> None:
    path = _write(tmp_path, None)
    files.image(tmp_path / "images" / "x" / "a.png", HEIGHT, WIDTH)
    files.image(tmp_path / "images" / "a.jpg", HEIGHT, WIDTH)
    path.write_text("image,label\na.png,0\na.jpg,1\nx/a.png,1\n")
    (tmp_path / "data.yaml").write_text("names: [disc]")
    (tmp_path / "labels" / "x").mkdir()
    (tmp_path / "labels" / "x" / "a.txt").write_text("0 0.5 0.5 0.2 0.5")
    (tmp_path / "labels" / "a.jpg.txt").write_text("0 0.5 0.5 0.4 0.5")
    assert set(annotations(path).boxes) == {"a.jpg", "x/a.png"}
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.5")
    assert "a.txt: it fits 2 images (a.jpg, a.png)" in error(path)


def test_a_label_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path, a="")
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8 text" in error(path)
