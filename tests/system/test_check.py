"""`softcam check`: what it prints, and when it refuses."""

from __future__ import annotations

import json
import shutil

from tests.system.conftest import FAST, draw_dots


def spoil(data):
    """Put a training image into test, and give another one the other label."""
    table = data / "table.csv"
    images = data / "images"
    shutil.copy(images / "0.png", images / "leak.png")
    shutil.copy(images / "2.png", images / "conflict.png")
    with table.open("a") as stream:
        stream.write("leak.png,0,test,other\nconflict.png,1,train,another\n")
    return data


def test_a_clean_table(softcam, dots):
    for flags in ((), ("--strict",)):
        done = softcam("check", dots / "table.csv", *flags)
        assert (done.code, done.err) == (0, "")
        assert "24 images of 12 patients (train 12, val 6, test 6)" in done.out
        assert "Nothing found." in done.out


def test_findings_are_printed_and_no_error(softcam, dots):
    done = softcam("check", spoil(dots))
    assert (done.code, done.err) == (0, "")
    assert "leak: 1 file(s) are in more than one split" in done.out
    assert "    0.png (row 2, train) = leak.png (row 26, test)" in done.out
    assert "conflict: 1 file(s) have more than one label" in done.out
    assert "    2.png (row 4, plain) = conflict.png (row 27, dotted)" in done.out


def test_strict_refuses_leaks_and_conflicts_in_one_sentence(softcam, dots):
    done = softcam("check", spoil(dots), "--strict")
    assert done.code == 2
    assert "leak: 1 file(s)" in done.out
    assert done.err.count("\n") == 1
    assert "table.csv has 1 kind(s) of leak and 1 kind(s) of conflict" in done.err
    assert "0.png (row 2, train) = leak.png (row 26, test)" in done.err


def test_strict_lets_hints_and_bad_images_pass(softcam, dots):
    image = dots / "images" / "0.png"
    shutil.copy(dots / "images" / "4.png", image)  # twice in train
    done = softcam("check", dots, "--strict")
    assert (done.code, done.err) == (0, "")
    assert "quality: 1 file(s) are in one split more than once" in done.out


def test_json_is_whole_and_repeats(softcam, dots):
    first = softcam("check", spoil(dots), "--json", "--strict")
    assert first.code == 2
    told = json.loads(first.out)
    assert told["images"] == 26
    assert told["splits"] == {"train": 13, "val": 6, "test": 7}
    assert [f["kind"] for f in told["findings"]] == ["file_across_splits", "file_labels"]
    assert told["findings"][0]["severity"] == "leak"
    assert softcam("check", dots, "--json").out == first.out


def test_a_patient_in_two_splits_is_told_once(softcam, tmp_path):
    data = draw_dots(tmp_path / "data")
    table = data / "table.csv"
    table.write_text(table.read_text().replace("p11", "p0"))
    done = softcam("check", data)
    assert done.out.count("1 patient(s) are in more than one given split") == 1
    assert softcam("check", data, "--strict").code == 2


def test_bad_input_is_one_sentence(softcam, dots, tmp_path):
    done = softcam("check", tmp_path / "none.csv")
    assert done.code == 2
    assert "none.csv does not exist" in done.err
    (dots / "images" / "2.png").write_bytes(b"no image")
    done = softcam("check", dots)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "softcam: 1 of 24 images cannot be read, such as row 4: " in done.err
    assert "2.png is not a PNG" in done.err
    assert "unreadable: row 4: " in done.out
    told = json.loads(softcam("check", dots, "--json").out)
    assert [one["row"] for one in told["unreadable"]] == [4]


def test_train_checks_first_and_keeps_what_was_found(softcam, dots, tmp_path, caplog):
    run = tmp_path / "run"
    done = softcam("train", spoil(dots), "--out", run, *FAST, "--strict")
    assert done.code == 2
    assert "has 1 kind(s) of leak and 1 kind(s) of conflict" in done.err
    assert not run.exists()
    done = softcam("train", dots, "--out", run, *FAST, "--check")
    assert done.code == 0
    assert "leak: 1 file(s) are in more than one split" in caplog.text
    told = json.loads((run / "quality.json").read_text())
    assert [f["kind"] for f in told["findings"]] == ["file_across_splits", "file_labels"]
