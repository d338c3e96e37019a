from __future__ import annotations

import numpy as np
import pytest

from softcam.data.annotations import Box
from softcam.data.importers.csvtable import plan
from softcam.errors import InputError
from tests.data import dicoms
from tests.data.importers.replicas import png, put

PIXELS = png(np.zeros((4, 4), np.uint8))


def fill(root, table: str, *names: str, yaml: str | None = None, file: str = "table.csv"):
    for name in names:
        put(root / name, PIXELS)
    (root / file).write_text(table)
    if yaml is not None:
        (root / "dataset.yaml").write_text(yaml)
    return root


def test_usual_column_names_are_understood_and_noted(tmp_path):
    table = "Patient_ID,filename,target,age\n7,x,sick,40\n8,sub/y.jpg,healthy,50\n"
    root = fill(tmp_path, table, "x.png", "sub/y.jpg", file="cohort.csv")
    made = plan(root / "cohort.csv", "auto")
    assert [(i.source, i.name, i.label, i.patient) for i in made.items] == [
        ("x.png", "x", "sick", "7"),
        ("sub/y.jpg", "sub/y", "healthy", "8"),
    ]
    assert made.meaning == {"task": "binary", "classes": ["healthy", "sick"], "positive": "sick"}
    assert "the column 'target' was taken for the label" in made.notes


def test_bad_rows_are_left_out_and_say_why(tmp_path):
    table = (
        "image,label,split\na.png,0,train\nb.png,1,test\ngone.png,1,test\n"
        "a.png,0,train\nc.png,7,test\nd.png,1,later\n../out.png,1,test\n"
    )
    yaml = "classes: [no, 'yes']\nfindings: {spot: 'yes'}\n".replace("no,", "'no',")
    names = ("images/a.png", "images/b.png", "images/c.png", "images/d.png")
    made = plan(fill(tmp_path / "src", table, *names, yaml=yaml), "auto")
    put(tmp_path / "out.png", PIXELS)
    assert [item.source for item in made.items] == ["images/a.png", "images/b.png"]
    assert [left.reason for left in made.left_out] == [
        "the image cannot be found",
        "it is listed twice; the first is taken",
        "its label is no class",
        "its split is not train, val or test",
        "the image cannot be found",
    ]
    assert made.meaning["classes"] == {"0": "no", "1": "yes"}
    assert made.meaning["findings"] == {"spot": "yes"}


def test_boxes_beside_the_table_are_kept(tmp_path):
    root = fill(tmp_path, "image,label\na.png,0\nb.png,1\n", "a.png", "b.png")
    (root / "boxes.csv").write_text(
        "image,x,y,width,height\nb.png,1,1,2,2\ngone.png,1,1,2,2\nb.png,1,1,zero,2\n"
    )
    made = plan(root, "auto")
    assert [item.boxes for item in made.items] == [(), (("finding", Box(1, 1, 2, 2)),)]
    assert [left.reason for left in made.left_out] == [
        "the box belongs to no imported image",
        "its box is no box",
    ]


@pytest.mark.parametrize("absolute", [True, False])
def test_images_may_lie_elsewhere(absolute, tmp_path):
    where = str(tmp_path / "pool") if absolute else "../pool"
    put(tmp_path / "pool" / "a.png", PIXELS)
    put(tmp_path / "pool" / "b.png", PIXELS)
    (tmp_path / "t").mkdir()
    root = fill(tmp_path / "t", "image,label\na.png,0\nb.png,1\n", yaml=f"images: {where}\n")
    assert [item.source for item in plan(root, "auto").items] == ["../pool/a.png", "../pool/b.png"]


def test_several_labels_per_image(tmp_path):
    table = "image,red,blue\na.png,1,0\nb.png,,1\nc.png,maybe,1\n"
    yaml = "task: multilabel\nclasses: [red, blue]\n"
    made = plan(fill(tmp_path, table, "a.png", "b.png", "c.png", yaml=yaml), "auto")
    assert made.columns == ("red", "blue")
    assert [item.flags for item in made.items] == [("1", "0"), ("", "1")]
    assert [left.reason for left in made.left_out] == ["its labels are not 0, 1 or empty"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,label\na,0\n", "no image column"),
        ("image,colour\na,0\n", "no label column"),
        ("image,label\na.png,0\n", "only the class"),
    ],
)
def test_a_table_that_lacks_something_is_refused(table, words, tmp_path):
    with pytest.raises(InputError, match=words):
        plan(fill(tmp_path, table, "a.png"), "auto")


def test_patients_come_from_dicom_headers_where_no_column_names_them(tmp_path):
    for i in range(4):
        made = dicoms.dataset(np.zeros((4, 4), np.uint8), PatientID=f"p{i // 2}")
        put(tmp_path / "images" / f"{i}.dcm", dicoms.save(made))
    rows = "".join(f"{i}.dcm,{i % 2}\n" for i in range(4))
    made = plan(fill(tmp_path, "image,label\n" + rows), "auto")
    assert [item.patient for item in made.items] == ["p0", "p0", "p1", "p1"]
    assert any("4 DICOM header(s): 2 patient(s)" in note for note in made.notes)
    named = plan(fill(tmp_path, "image,label,patient\n0.dcm,0,x\n1.dcm,1,y\n"), "auto")
    assert [item.patient for item in named.items] == ["x", "y"]
