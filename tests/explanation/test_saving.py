from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from softcam.data.geometry import Geometry
from softcam.data.steps import Flip, Pad, Resize
from softcam.errors import InputError
from softcam.explanation.explain import explain
from softcam.explanation.saving import class_file_names, input_to_file, safe_name
from softcam.files import write_atomically


@pytest.fixture
def two(make_explanation):
    return make_explanation(np.random.default_rng(0).normal(size=(2, 3, 3)))


def test_every_file_is_written_and_named(two, tmp_path):
    paths = two.save(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [
        "eye.json",
        "eye.npz",
        "eye_summary.png",
        "eye_a.png",
        "eye_b.png",
    ]
    assert sorted(paths) == sorted((tmp_path / "new" / "folder").iterdir())
    for path in paths[2:]:
        Image.open(path).verify()


def test_the_json_is_what_to_dict_gives(two, tmp_path):
    path = two.save(tmp_path)[0]
    assert json.loads(path.read_text(encoding="utf-8")) == two.to_dict()


def test_the_arrays_need_no_pickle_and_hold_the_evidence(softcam_model, image, tmp_path):
    explanation = explain(softcam_model, image, name="scan.png")
    with np.load(explanation.save(tmp_path)[1], allow_pickle=False) as arrays:
        assert arrays["evidence"].dtype == arrays["logits"].dtype == np.float32
        np.testing.assert_array_equal(arrays["evidence"], explanation.evidence)
        np.testing.assert_allclose(
            arrays["evidence"].mean(axis=(1, 2)), arrays["logits"], atol=1e-5
        )
        np.testing.assert_array_equal(arrays["probabilities"], explanation.probabilities)
        assert arrays["classes"].tolist() == ["NORMAL", "AMD", "DME"]
        assert arrays["file_size"].tolist() == [24, 48]
        assert str(arrays["name"]) == "scan.png"


def test_the_matrix_takes_input_pixels_to_file_pixels():
    geometry = Geometry.of((40, 60), Resize(30, 20), Pad(0, 5, 0, 5), Flip(horizontal=True))
    points = np.random.default_rng(0).uniform(0, 30, (10, 2))
    matrix = input_to_file(geometry)
    expected = geometry.to_file(points)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], expected, atol=1e-9)


def test_the_same_image_replaces_its_files_and_another_keeps_clear(two, make_explanation, tmp_path):
    first = two.save(tmp_path)
    assert two.save(tmp_path) == first
    other = make_explanation(two.evidence, image=np.zeros((40, 60), dtype=np.uint8))
    assert other.save(tmp_path)[0].name == "eye-2.json"
    assert other.save(tmp_path)[0].name == "eye-2.json"
    assert json.loads(first[0].read_text()) == two.to_dict()


def test_a_json_that_is_no_explanation_is_not_overwritten(two, tmp_path):
    for text in ("not json", "[1]", '{"format": "other"}'):
        (tmp_path / "eye.json").write_text(text)
        assert two.save(tmp_path)[0].name == "eye-2.json"
        assert (tmp_path / "eye.json").read_text() == text


def test_a_given_stem_is_used_as_it_is(two, tmp_path):
    assert two.save(tmp_path, stem="left/eye")[0].name == "left_eye.json"


def test_the_same_explanation_gives_the_same_bytes(two, tmp_path):
    one, other = two.save(tmp_path / "1"), two.save(tmp_path / "2")
    assert [p.read_bytes() for p in one if p.suffix != ".npz"] == [
        p.read_bytes() for p in other if p.suffix != ".npz"
    ]


def test_a_folder_that_cannot_be_made_is_named(two, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"eye\.png cannot be written"):
        two.save(tmp_path / "file" / "below")


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_leaves_nothing_new_and_what_was_there(two, tmp_path, monkeypatch, after):
    two.save(tmp_path, stem="old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = []

    def until_full(path, content):
        if len(done) == after:
            raise InputError(f"{path}: cannot write here (No space left on device).")
        done.append(path)
        return write_atomically(path, content)

    monkeypatch.setattr("softcam.explanation.saving.write_atomically", until_full)
    with pytest.raises(InputError, match="No space left"):
        two.save(tmp_path, stem="new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_failure_leaves_no_half_written_file(two, tmp_path):
    (tmp_path / "eye.npz").mkdir()
    with pytest.raises(InputError):
        two.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["eye.npz"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/b\\c: d?", "a_b_c_d"),
        ("../../etc/passwd", "etc_passwd"),
        ("Ödem", "Ödem"),
        ("...", "unnamed"),
        ("", "unnamed"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names_are_made_safe(text, name):
    assert safe_name(text) == name


def test_long_names_in_any_script_stay_within_80_bytes():
    assert len(safe_name("糖" * 200).encode()) <= 80


def test_classes_whose_names_look_alike_get_files_of_their_own():
    names = class_file_names(["a/b", "a_b", "A_B", "Summary"])
    assert names == {"a/b": "a_b", "a_b": "a_b-2", "A_B": "A_B-3", "Summary": "Summary-2"}
