from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from softcam.data.spec import DatasetSpec
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import Task
from tests.data import files

BASIC = (
    "image,label,split,patient\na.png,0,train,p\nb.png,1,train,q\nc.png,1,val,r\nd.png,0,test,s\n"
)


def _error(path: Path, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


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
    assert "does not exist" in _error(path)
    images = tmp_path / "pictures"
    assert len(read_table(path, images=images, make_splits=False)) == 2
    (tmp_path / "dataset.yaml").write_text("images: pictures\n")
    assert len(read_table(path, make_splits=False)) == 2
    (tmp_path / "dataset.yaml").write_text("images: photos\n")
    assert "photos" in _error(path)


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


# --- classes


def test_three_integers_are_multiclass_in_numeric_order(tmp_path: Path) -> None:
    text = "image,label\na.png,10\nb.png,2\nc.png,0\n"
    table = read_table(files.table(tmp_path, text), make_splits=False)
    assert table.spec.task is Task.MULTICLASS
    assert table.spec.classes == ("0", "2", "10")
    assert table.spec.positive is None
    assert table.labels().tolist() == [2, 1, 0]


def test_names_are_sorted_but_the_healthy_class_is_first(tmp_path: Path) -> None:
    text = "image,label\na.png,Normal\nb.png,DME\n"
    table = read_table(files.table(tmp_path, text), make_splits=False)
    assert table.spec.classes == ("Normal", "DME")
    assert table.spec.positive == "DME"
    assert any("Normal, DME" in note for note in table.notes)


@pytest.mark.parametrize("label", ["0,1", "normal,sick", "0.0,1.0"])
def test_a_list_of_classes_is_named_by_name_or_index(label: str, tmp_path: Path) -> None:
    first, second = label.split(",")
    text = f"image,label\na.png,{first}\nb.png,{second}\n"
    path = files.table(tmp_path, text, yaml="classes: [normal, sick]\n")
    table = read_table(path, make_splits=False)
    assert table.spec.classes == ("normal", "sick")
    assert table.labels().tolist() == [0, 1]


def test_a_mapping_names_the_labels_in_order_and_may_merge_them(tmp_path: Path) -> None:
    text = "image,label\na.png,4\nb.png,1\nc.png,3\nd.png,ok\n"
    yaml = "classes: {1: ok, 3: bad, 4: bad}\n"
    table = read_table(files.table(tmp_path, text, yaml=yaml), make_splits=False)
    assert table.spec.classes == ("ok", "bad")
    assert table.spec.task is Task.BINARY
    assert table.labels().tolist() == [1, 0, 1, 0]


def test_an_index_is_no_label_when_a_mapping_says_what_labels_are(tmp_path: Path) -> None:
    text = "image,label\na.png,1\nb.png,0\n"
    message = _error(files.table(tmp_path, text, yaml="classes: {1: ok, 2: bad}\n"))
    assert "row 3" in message
    assert "'0' is unknown" in message


@pytest.mark.parametrize("positive", ["normal", "0"])
def test_the_positive_class_is_always_second(positive: str, tmp_path: Path) -> None:
    text = "image,label\na.png,0\nb.png,1\nc.png,sick\n"
    yaml = f"classes: [normal, sick]\npositive: {positive}\n"
    table = read_table(files.table(tmp_path, text, yaml=yaml), make_splits=False)
    assert table.spec.classes == ("sick", "normal")
    assert table.spec.positive == "normal"
    assert table.labels().tolist() == [1, 0, 0]
    assert any("positive one second" in note for note in table.notes)


def test_the_positive_class_may_be_a_collected_label(tmp_path: Path) -> None:
    text = "image,label\na.png,0\nb.png,1\n"
    table = read_table(files.table(tmp_path, text, yaml="positive: 0\n"), make_splits=False)
    assert table.spec.classes == ("1", "0")
    assert table.labels().tolist() == [1, 0]


def test_an_ordinal_task_keeps_the_order(tmp_path: Path) -> None:
    text = "image,label\na.png,mild\nb.png,none\nc.png,severe\n"
    yaml = "task: ordinal\nclasses: [none, mild, severe]\n"
    table = read_table(files.table(tmp_path, text, yaml=yaml), make_splits=False)
    assert table.spec.task is Task.ORDINAL
    assert table.labels().tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("task: binary\n", "3 classes"),
        ("positive: 1\n", "multiclass"),
        ("classes: ['0', '1', '2']\ntask: binary\n", "3 classes"),
        ("findings: {spot: 7}\n", "'spot'"),
    ],
)
def test_a_spec_that_contradicts_the_table_is_refused(
    yaml: str, words: str, tmp_path: Path
) -> None:
    text = "image,label,split\na.png,0,train\nb.png,1,train\nc.png,2,train\nd.png,2,val\n"
    assert words in _error(files.table(tmp_path, text, yaml=yaml))


def test_an_unknown_positive_class_is_refused(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, BASIC, yaml="positive: sick\n"))
    assert "'sick'" in message
    assert "0, 1" in message


def test_a_table_with_one_class_is_refused(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, "image,label\na.png,1\nb.png,1\n"))
    assert "only the class '1'" in message


def test_a_dataset_yaml_elsewhere_may_be_named(tmp_path: Path) -> None:
    path = files.table(tmp_path / "shared", BASIC)
    spec = tmp_path / "mine.yaml"
    spec.write_text("classes: [healthy, ill]\n")
    assert read_table(path, spec=spec).spec.classes == ("healthy", "ill")


# --- a model's classes


MODEL = DatasetSpec(Task.BINARY, ("healthy", "ill"), "ill", {"spot": "ill"})


def test_a_models_classes_hold_for_another_table(tmp_path: Path) -> None:
    text = "image,label\na.png,ill\nb.png,ill\n"
    table = read_table(files.table(tmp_path, text), spec=MODEL, make_splits=False)
    assert table.spec == MODEL
    assert table.labels().tolist() == [1, 1]


def test_a_tables_own_indices_are_read_before_the_models_order(tmp_path: Path) -> None:
    text = "image,label\na.png,0\nb.png,1\n"
    path = files.table(tmp_path, text, yaml="classes: [ill, healthy]\nfindings: {disc: organ}\n")
    table = read_table(path, spec=MODEL, make_splits=False)
    assert table.spec.classes == ("healthy", "ill")
    assert table.labels().tolist() == [1, 0]
    assert table.spec.findings == {"spot": "ill", "disc": "organ"}


def test_a_class_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC, yaml="classes: [healthy, dead]\n")
    assert "'dead'" in _error(path, spec=MODEL)


# --- several labels per image


MULTI = "image,oedema,nodule,split\na.png,0,1,train\nb.png,1,,train\nc.png,,0.0,val\n"


@pytest.mark.parametrize("yaml", ["task: multilabel\n", "classes: [oedema, nodule]\n"])
def test_one_column_per_class_is_multilabel(yaml: str, tmp_path: Path) -> None:
    table = read_table(files.table(tmp_path, MULTI, yaml=yaml))
    assert table.spec.task is Task.MULTILABEL
    assert table.spec.classes == ("oedema", "nodule")
    nan = np.nan
    np.testing.assert_array_equal(table.labels(), [[0, 1], [1, nan], [nan, 0]])


def test_the_class_columns_may_be_picked(tmp_path: Path) -> None:
    yaml = "task: multilabel\nclasses: [nodule]\n"
    table = read_table(files.table(tmp_path, MULTI, yaml=yaml))
    assert table.labels().shape == (3, 1)


def test_a_flag_that_is_no_flag_is_named_with_its_row(tmp_path: Path) -> None:
    path = files.table(tmp_path, MULTI.replace("1,,train", "-1,,train"), yaml="task: multilabel")
    message = _error(path)
    assert "row 3" in message
    assert "'-1'" in message


def test_a_missing_class_column_is_named(tmp_path: Path) -> None:
    path = files.table(tmp_path, MULTI, yaml="task: multilabel\nclasses: [oedema, mass]\n")
    assert "'mass'" in _error(path)


def test_a_class_never_seen_in_train_is_named_for_multilabel_too(tmp_path: Path) -> None:
    path = files.table(tmp_path, MULTI.replace("0,1,train", "0,0,train"), yaml="task: multilabel")
    assert "'nodule'" in _error(path)


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
    message = _error(files.table(tmp_path, BASIC.replace("q\n", "q\n").replace("1,val", "1,")))
    assert "row 4" in message
    assert "split is empty" in message


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, BASIC.replace("val", "holdout")))
    assert "row 4" in message
    assert "'holdout'" in message


# --- without labels


def test_a_table_with_only_images_is_read_when_labels_are_not_required(tmp_path: Path) -> None:
    path = files.table(tmp_path, "image\na.png\nb.png\n")
    assert "no column 'label'" in _error(path)
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


# --- bad input


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    assert "none.csv does not exist" in _error(tmp_path / "none.csv")


def test_an_image_in_the_place_of_a_table_is_called_one(tmp_path: Path) -> None:
    image = tmp_path / "scan.JPG"
    image.write_bytes(b"\xff\xd8\xff\xe0")
    assert "scan.JPG is an image, not a table" in _error(image)


def test_a_table_without_an_image_column_is_refused(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, "file,label\na.png,0\n"))
    assert "no column 'image'" in message
    assert "file, label" in message


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    assert "no rows" in _error(files.table(tmp_path, "image,label\n"))


def test_a_missing_image_is_named_with_its_row(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "b.png").unlink()
    message = _error(path)
    assert message.startswith(f"{path}, row 3: the image 'b.png' does not exist")


def test_an_empty_image_is_named_with_its_row(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "c.png").write_bytes(b"")
    message = _error(path)
    assert "row 4" in message
    assert "0 bytes" in message


@pytest.mark.parametrize("label", ["", "nan", "NaN", "NA", "None", "null", " "])
def test_a_missing_label_is_named_with_its_row(label: str, tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, BASIC.replace("b.png,1", f"b.png,{label}")))
    assert "row 3: the label" in message
    assert "give the image a class" in message


@pytest.mark.parametrize("label", ["-1", "0.5", "inf", "-0.5"])
def test_a_number_that_is_no_class_is_named_with_its_row(label: str, tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, BASIC.replace("d.png,0", f"d.png,{label}")))
    assert f"row 5: the label {label!r}" in message


def test_an_unknown_label_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    path = files.table(
        tmp_path, BASIC.replace("b.png,1", "b.png,sik"), yaml="classes: [normal, sick]\n"
    )
    message = _error(path)
    assert "row 3: the label 'sik' is unknown" in message
    assert "normal" in message
    assert "sick" in message


def test_labels_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    text = "image,label\na.png,AMD\nb.png,amd\nc.png,dme\n"
    message = _error(files.table(tmp_path, text))
    assert "'AMD'" in message
    assert "'amd'" in message


def test_a_class_absent_from_train_is_named(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, BASIC.replace("b.png,1", "b.png,0")))
    assert "train split has no image of the class '1'" in message


def test_a_class_absent_from_train_is_no_error_where_there_is_no_train(tmp_path: Path) -> None:
    text = "image,label,split\na.png,ill,test\nb.png,ill,test\n"
    table = read_table(files.table(tmp_path, text), spec=MODEL)
    assert table.splits() == {"test": 2}


def test_duplicate_rows_are_named(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC + "./b.png,1,train,q\n")
    message = _error(path)
    assert "row 6: the image './b.png' is already in row 3" in message


def test_an_image_in_two_splits_is_named(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path, BASIC + "b.png,1,test,q\n"))
    assert (
        "row 6: the image 'b.png' is in the split 'test' and, in row 3, in the split 'train'"
        in (message)
    )


def test_a_link_to_an_image_of_the_table_is_a_duplicate(tmp_path: Path) -> None:
    path = files.table(tmp_path, BASIC)
    (tmp_path / "images" / "e.png").symlink_to("a.png")
    path.write_text(BASIC + "e.png,0,train,p\n")
    assert "already in row 2" in _error(path)


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
    message = _error(path)
    assert "row 6" in message
    assert "leads outside" in message


def test_a_path_outside_is_refused_even_if_nothing_is_there(tmp_path: Path) -> None:
    message = _error(files.table(tmp_path / "set", BASIC + "../../none.tif,0,train,t\n"))
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
    message = _error(path)
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
    message = _error(path)
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


# --- findings


def test_findings_mean_what_dataset_yaml_says(tmp_path: Path) -> None:
    yaml = (
        "classes: [normal, sick]\n"
        "findings: {exudate: 1, scar: normal, disc: distractor, eye: organ}\n"
    )
    path = files.table(tmp_path, BASIC, yaml=yaml)
    lines = "".join(f"b.png,1,1,2,2,{name}\n" for name in ("exudate", "disc", "spot"))
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height,finding\n" + lines)
    spec = read_table(path).spec
    assert spec.findings == {
        "exudate": "sick",
        "scar": "normal",
        "disc": "distractor",
        "eye": "organ",
        "spot": "sick",
    }
    assert set(spec.findings_for("sick")) == {"exudate", "spot"}
    assert spec.distractors() == ("disc",)
    assert spec.organs() == ("eye",)


def test_a_number_of_a_finding_is_the_label_even_when_classes_are_reordered(tmp_path: Path) -> None:
    yaml = "classes: [sick, normal]\npositive: sick\nfindings: {exudate: 0}\n"
    table = read_table(files.table(tmp_path, BASIC, yaml=yaml))
    assert table.spec.findings == {"exudate": "sick"}


def test_open_findings_speak_for_the_images_own_class_when_there_are_many(tmp_path: Path) -> None:
    text = "image,label\na.png,0\nb.png,1\nc.png,2\n"
    path = files.table(tmp_path, text)
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height\nb.png,1,1,2,2\n")
    table = read_table(path, make_splits=False)
    assert table.spec.findings == {"finding": ""}
    assert table.spec.findings_for("2") == ("finding",)
    assert any("own class" in note for note in table.notes)
