from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.annotations import Box
from tests.data import files
from tests.data.annotationsources.sets import HEIGHT, WIDTH, annotations, error, read
from tests.data.annotationsources.sets import small_set as make

HEADER = "patientId,x,y,width,height,Target\n"


def _write(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = make(folder)
    (folder / "stage_2_train_labels.csv").write_text(header + rows)
    return path


def test_a_patient_has_a_row_for_each_box_and_an_empty_one_without(tmp_path: Path) -> None:
    path = _write(tmp_path, "a,1.0,2.0,3.0,4.0,1\nb,,,,,0\na,10,2,5,5,1\n")
    found = annotations(path)
    assert found.boxes == {"a.png": (("opacity", Box(1, 2, 3, 4)), ("opacity", Box(10, 2, 5, 5)))}


def test_an_image_in_a_folder_is_found_by_its_own_name(tmp_path: Path) -> None:
    path = _write(tmp_path, "c,1,2,3,4,1\n")
    files.image(tmp_path / "images" / "x" / "c.png", HEIGHT, WIDTH)
    path.write_text("image,label\na.png,0\nx/c.png,1\n")
    assert set(annotations(path).boxes) == {"x/c.png"}
    files.image(tmp_path / "images" / "c.png", HEIGHT, WIDTH)
    path.write_text("image,label\na.png,0\nx/c.png,1\nc.png,1\n")
    assert "row 2: the patientId 'c' fits 2 images" in error(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,,,,,1", "Target is 1 and there is no box"),
        ("a,1,2,3,4,0", "Target is 0 and there is a box"),
        ("a,1,2,3,4,2", "Target is '2'"),
        ("a,,,,,", "Target is ''"),
        ("a,1,2,,4,1", "width is ''"),
        ("a,1,2,nan,4,1", "width is 'nan'"),
        ("a,1,2,0,4,1", "above 0"),
        ("a,1,2,30,4,1", "reaches outside the image 'a.png'"),
        ("b,1,2,3,4,1", "'b' has both Targets"),
    ],
)
def test_a_bad_row_is_named(row: str, said: str, tmp_path: Path) -> None:
    message = error(_write(tmp_path, f"b,,,,,0\n{row}\n"))
    assert message.startswith(f"{tmp_path / 'stage_2_train_labels.csv'}, row 3: ")
    assert said in message


def test_patients_outside_the_table_are_counted(tmp_path: Path) -> None:
    table = read(_write(tmp_path, "a,1,2,3,4,1\nnobody,1,2,3,4,1\n"))
    assert any("1 row(s) of stage_2_train_labels.csv belong" in note for note in table.notes)


def test_patients_of_whom_none_has_an_image_are_refused(tmp_path: Path) -> None:
    message = error(_write(tmp_path, "nobody,1,2,3,4,1\n"))
    assert "none is an image of the table, for instance 'nobody'" in message


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    assert "no column 'Target'" in error(_write(tmp_path, "a,1,2,3,4\n", HEADER[:-8] + "\n"))
