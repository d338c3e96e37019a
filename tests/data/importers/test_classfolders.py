from __future__ import annotations

import numpy as np
import pytest

from softcam.data.importers.classfolders import plan
from softcam.errors import InputError
from tests.data import dicoms
from tests.data.importers.replicas import png, put

PIXELS = png(np.zeros((4, 4), np.uint8))


def fill(root, *names):
    for name in names:
        put(root / name, PIXELS)
    return root


def test_classes_and_splits_are_folders_inside_a_folder(tmp_path):
    names = ("train/NORMAL/a.png", "train/ILL/b.png", "Test/ILL/deep/c.png", "train/notes.txt")
    fill(tmp_path / "download" / "chest", *names)
    made = plan(tmp_path / "download", "auto")
    assert [(i.source, i.name, i.label, i.split) for i in made.items] == [
        ("chest/Test/ILL/deep/c.png", "Test/ILL/deep/c", "ILL", "test"),
        ("chest/train/ILL/b.png", "train/ILL/b", "ILL", "train"),
        ("chest/train/NORMAL/a.png", "train/NORMAL/a", "NORMAL", "train"),
    ]
    assert made.meaning == {"task": "binary", "classes": ["NORMAL", "ILL"], "positive": "ILL"}
    assert [left.what for left in made.left_out] == ["chest/train/notes.txt"]


def test_images_that_differ_in_their_suffix_keep_it(tmp_path):
    fill(tmp_path, "a/x.png", "a/x.jpg", "b/y.png", "c/z.png")
    made = plan(tmp_path, "auto")
    assert [item.name for item in made.items] == ["a/x.jpg", "a/x.png", "b/y", "c/z"]
    assert made.meaning["task"] == "multiclass"


def test_links_that_lead_outside_are_not_followed(tmp_path):
    fill(tmp_path / "src", "a/x.png", "b/y.png")
    secret = fill(tmp_path / "secret", "s.png")
    (tmp_path / "src" / "a" / "link.png").symlink_to(secret / "s.png")
    (tmp_path / "src" / "c").symlink_to(secret)
    made = plan(tmp_path / "src", "auto")
    assert [item.source for item in made.items] == ["a/x.png", "b/y.png"]
    assert {left.what for left in made.left_out} == {"a/link.png", "c"}


def test_one_class_is_refused(tmp_path):
    with pytest.raises(InputError, match="one class folder"):
        plan(fill(tmp_path, "train/a/x.png", "train/a/y.png"), "auto")


def test_patients_come_from_dicom_headers(tmp_path):
    for i in range(4):
        made = dicoms.dataset(np.zeros((4, 4), np.uint8), PatientID=f"p{i // 2}")
        put(tmp_path / ("ill" if i % 2 else "well") / f"{i}.dcm", dicoms.save(made))
    made = plan(tmp_path, "auto")
    assert [(item.source, item.patient) for item in made.items] == [
        ("ill/1.dcm", "p0"),
        ("ill/3.dcm", "p1"),
        ("well/0.dcm", "p0"),
        ("well/2.dcm", "p1"),
    ]
    assert any("4 DICOM header(s): 2 patient(s)" in note for note in made.notes)
    assert not any("name no patients" in note for note in made.notes)
