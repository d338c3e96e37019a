from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from softcam.data.spec import DatasetSpec
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import Task
from tests.data import files
from tests.data.tables import BASIC, MODEL, refusal

# --- what a table says


def test_a_table_becomes_records(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    table = read_table(path)
    assert table.path == path
    assert [record.name for record in table.records] == ["a.png", "b.png", "c.png", "d.png"]
    assert [record.row for record in table.records] == [2, 3, 4, 5]
    assert [record.split for record in table.records] == ["train", "train", "val", "test"]
    assert table.records[1].image == tmp_path / "images" / "b.png"
    assert table.patients() == ["p", "q", "r", "s"]
    assert table.labels().tolist() == [0, 1, 1, 0]
    assert table.labels().dtype == np.int64
    assert table.spec == DatasetSpec(Task.BINARY, ("0", "1"), "1", {})
    assert table.annotations is None
    assert table.notes == ()


def test_the_folder_of_a_table_stands_for_it(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    assert read_table(tmp_path) == read_table(path)


def test_images_beside_the_table_are_found_without_an_image_folder(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,label\na.png,0\nb.png,1\n")
    files.image(tmp_path / "a.png")
    files.image(tmp_path / "b.png")
    assert read_table(path, make_splits=False).records[0].image == tmp_path / "a.png"


def test_the_image_folder_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,label\na.png,0\nb.png,1\n")
    files.image(tmp_path / "pictures" / "a.png")
    files.image(tmp_path / "pictures" / "b.png")
    assert "does not exist" in refusal(path)
    images = tmp_path / "pictures"
    assert len(read_table(path, images=images, make_splits=False)) == 2
    (tmp_path / "dataset.yaml").write_text("images: pictures\n")
    assert len(read_table(path, make_splits=False)) == 2
    (tmp_path / "dataset.yaml").write_text("images: photos\n")
    assert "photos" in refusal(path)


def test_images_in_sub_folders_keep_their_path_as_name(tmp_path: Path) -> None:
    text = "image,label\n./x/a.png,0\ny/../x/b.png,1\n"
    (tmp_path / "images" / "y").mkdir(parents=True)
    table = read_table(files.table(tmp_path, text), make_splits=False)
    assert [record.name for record in table.records] == ["x/a.png", "x/b.png"]


def test_semicolons_a_byte_order_mark_and_capitals_are_understood(tmp_path: Path) -> None:
    text = "\ufeffImage;LABEL;Split\r\na.png;0;Train\r\n\r\nb.png;1.0;TRAIN\r\nc.png;1;valid\r\n"
    table = read_table(files.table(tmp_path, text))
    assert table.labels().tolist() == [0, 1, 1]
    assert [record.row for record in table.records] == [2, 4, 5]
    assert table.records[2].split == "val"


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Val"])
def test_validation_has_several_names(name: str, tmp_path: Path) -> None:
    table = read_table(files.table(tmp_path, BASIC.replace(",val,", f",{name},")))
    assert table.splits() == {"train": 2, "val": 1, "test": 1}


def test_other_columns_are_counted_in_a_note(tmp_path: Path) -> None:
    text = "image,label,age,sex\na.png,0,50,f\nb.png,1,60,m\n"
    table = read_table(files.table(tmp_path, text), make_splits=False)
    assert any("2 column(s)" in note and "'age'" in note for note in table.notes)


def test_a_missing_patient_is_the_image_itself(tmp_path: Path) -> None:
    table = read_table(files.table(tmp_path, BASIC.replace(",p\n", ",\n")))
    assert table.patients()[0] == "a.png"
    assert any("1 image(s) have no patient" in note for note in table.notes)
    text = "image,label\na.png,0\nb.png,1\n"
    table = read_table(files.table(tmp_path / "two", text), make_splits=False)
    assert any("no patients" in note for note in table.notes)


def test_a_subset_keeps_the_rest_and_names_the_splits_when_empty(tmp_path: Path) -> None:
    table = read_table(files.table(tmp_path, BASIC))
    assert [record.name for record in table.subset("train").records] == ["a.png", "b.png"]
    with pytest.raises(InputError, match=r"train \(2\), val \(1\), test \(1\)"):
        table.subset("extra")


# --- splits


def _many(folder: Path, count: int = 60, images_each: int = 3) -> Path:
    lines = ["image,label,patient"]
    for patient in range(count):
        lines += [
            f"{patient}_{i}.png,{int(patient % 3 == 0)},p{patient}" for i in range(images_each)
        ]
    return files.table(folder, "\n".join(lines) + "\n")


def test_without_splits_patients_are_shared_out_and_never_straddle(tmp_path: Path) -> None:
    table = read_table(_many(tmp_path), seed=3)
    splits: dict[str, set[str | None]] = {}
    for record in table.records:
        splits.setdefault(record.patient, set()).add(record.split)
    assert all(len(found) == 1 for found in splits.values())
    assert table.splits() == {"train": 126, "val": 18, "test": 36}
    for split in ("train", "val", "test"):
        assert table.subset(split).labels().mean() == pytest.approx(1 / 3, abs=0.04)
    assert any("made by patient with seed 3" in note for note in table.notes)
    assert read_table(tmp_path, seed=3) == table
    assert read_table(tmp_path, seed=4) != table


def test_an_empty_split_column_counts_as_none(tmp_path: Path) -> None:
    text = BASIC.replace("train", "").replace("val", "").replace("test", "")
    table = read_table(files.table(tmp_path, text))
    assert sum(table.splits().values()) == 4


def test_a_missing_validation_split_is_taken_from_train_by_patient(tmp_path: Path) -> None:
    path = _many(tmp_path)
    lines = path.read_text().splitlines()
    rows = [f"{line},{'test' if line.endswith('7') else 'train'}" for line in lines[1:]]
    path.write_text("\n".join([lines[0] + ",split", *rows]))
    table = read_table(path)
    counts = table.splits()
    assert counts["test"] == 18
    assert counts["val"] == pytest.approx(162 / 8, abs=3)
    train, val = table.subset("train"), table.subset("val")
    assert not set(train.patients()) & set(val.patients())
    assert any("moved to val" in note for note in table.notes)
    assert read_table(path, make_splits=False).splits() == {"train": 162, "test": 18}


def test_a_patient_in_two_given_splits_is_a_note(tmp_path: Path) -> None:
    table = read_table(files.table(tmp_path, BASIC.replace(",q\n", ",r\n")))
    assert any(note.startswith("1 patient(s)") and "leaks" in note for note in table.notes)


def test_a_row_without_a_split_among_rows_with_one_is_refused(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC.replace("q\n", "q\n").replace("1,val", "1,")))
    assert "row 4" in message
    assert "split is empty" in message


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC.replace("val", "holdout")))
    assert "row 4" in message
    assert "'holdout'" in message


# --- without labels


def test_a_table_with_only_images_is_read_when_labels_are_not_required(tmp_path: Path) -> None:
    path = files.table(tmp_path, "image\na.png\nb.png\n")
    assert "no column 'label'" in refusal(path)
    table = read_table(path, require_labels=False)
    assert [record.label for record in table.records] == [None, None]
    assert table.splits() == {}
    with pytest.raises(InputError, match="row 2"):
        table.labels()
    with pytest.raises(InputError, match="no splits"):
        table.subset("test")


def test_labels_that_are_there_are_read_when_they_are_not_required(tmp_path: Path) -> None:
    path = files.table(tmp_path, "image,label\na.png,ill\nb.png,\n")
    table = read_table(path, spec=MODEL, require_labels=False)
    assert [record.label for record in table.records] == [1, None]
