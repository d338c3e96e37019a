"""What the labels and findings of a table mean: classes, a model's classes, several labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from softcam.data.table import read_table
from softcam.evidence.info import Task
from tests.data import files
from tests.data.tables import BASIC, MODEL, refusal


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
    message = refusal(files.table(tmp_path, text, yaml="classes: {1: ok, 2: bad}\n"))
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
    assert words in refusal(files.table(tmp_path, text, yaml=yaml))


def test_an_unknown_positive_class_is_refused(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, BASIC, yaml="positive: sick\n"))
    assert "'sick'" in message
    assert "0, 1" in message


def test_a_table_with_one_class_is_refused(tmp_path: Path) -> None:
    message = refusal(files.table(tmp_path, "image,label\na.png,1\nb.png,1\n"))
    assert "only the class '1'" in message


def test_a_dataset_yaml_elsewhere_may_be_named(tmp_path: Path) -> None:
    path = files.table(tmp_path / "shared", BASIC)
    spec = tmp_path / "mine.yaml"
    spec.write_text("classes: [healthy, ill]\n")
    assert read_table(path, spec=spec).spec.classes == ("healthy", "ill")


# --- a model's classes


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
    assert "'dead'" in refusal(path, spec=MODEL)


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
    message = refusal(path)
    assert "row 3" in message
    assert "'-1'" in message


def test_a_missing_class_column_is_named(tmp_path: Path) -> None:
    path = files.table(tmp_path, MULTI, yaml="task: multilabel\nclasses: [oedema, mass]\n")
    assert "'mass'" in refusal(path)


def test_a_class_never_seen_in_train_is_named_for_multilabel_too(tmp_path: Path) -> None:
    path = files.table(tmp_path, MULTI.replace("0,1,train", "0,0,train"), yaml="task: multilabel")
    assert "'nodule'" in refusal(path)


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
