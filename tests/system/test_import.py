"""`softcam import` from end to end, on miniature replicas of the downloads."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from softcam.cli.app import app
from softcam.cli.errors import run_safely
from softcam.data.importers import engine
from softcam.data.importers.sources import read_sources
from softcam.data.table import read_table
from tests.data.importers import replicas
from tests.system.imported_files import contents, rows_of

DOWNLOADS = {
    "kaggle-dr": replicas.kaggle_dr,
    "oct2017": replicas.oct2017,
    "rsna-pneumonia": replicas.rsna_pneumonia,
}


FLAGS = {
    "kaggle-dr": ("--size", "48"),
    "oct2017": ("--size", "48"),
    "rsna-pneumonia": ("--size", "48"),
}


@pytest.fixture(scope="module", params=sorted(DOWNLOADS))
def imported(request, tmp_path_factory):
    """Each download imported once, in this process."""
    name = request.param
    root = tmp_path_factory.mktemp(name)
    source = DOWNLOADS[name](root / "download")
    arguments = ["import", name, str(source), str(root / "out"), *FLAGS[name], "--jobs", "1"]
    assert run_safely(lambda: app(arguments, standalone_mode=False)) == 0
    return name, source, root / "out"


def test_what_is_written_is_whole_and_checks_out(imported):
    _, _, out = imported
    files = contents(out)
    assert {"table.csv", "sources.csv", "left_out.csv", "datacard.md", "datacard.json"} <= set(
        files
    )
    assert engine.JOURNAL not in files
    listed = {}
    for line in files["checksums.sha256"].decode().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
        assert hashlib.sha256(files[name]).hexdigest() == digest, name
    assert set(files) - set(listed) == {"checksums.sha256", "import.json"}


def test_no_patient_is_in_two_splits(imported):
    _, _, out = imported
    table = read_table(out)
    assert set(table.splits()) == {"train", "val", "test"}
    assert not [note for note in table.notes if "more than one" in note]
    found: dict[str, set] = {}
    for record in table.records:
        found.setdefault(record.patient, set()).add(record.split)
    assert all(len(splits) == 1 for splits in found.values())


def test_the_card_counts_what_the_table_holds(imported):
    _, _, out = imported
    card = json.loads((out / "datacard.json").read_text("utf-8"))
    table = read_table(out)
    assert card["images"] == len(table)
    assert {name: row["images"] for name, row in card["splits"].items()} == table.splits()
    for split, row in card["splits"].items():
        own = table.subset(split)
        counts = np.bincount(own.labels(), minlength=len(table.spec.classes))
        named = dict(zip(table.spec.classes, counts.tolist(), strict=True))
        assert row["classes"] == named
    left = rows_of(out / "left_out.csv")
    assert sum(group["count"] for group in card["left_out"]) == len(left)
    text = (out / "datacard.md").read_text("utf-8")
    assert all(group["reason"] in text for group in card["left_out"])


def test_every_image_says_where_it_came_from(imported):
    _, source, out = imported
    sources = read_sources(out / "sources.csv")
    assert set(sources) == {row["image"] for row in rows_of(out / "table.csv")}
    for name, entry in sources.items():
        with Image.open(out / "images" / name) as image:
            assert image.size == (entry.width, entry.height)
        data = (source / entry.source).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.source_sha256


def test_importing_again_changes_nothing(imported, softcam, monkeypatch):
    name, source, out = imported
    before = contents(out)

    def refuse(*_):
        raise AssertionError("an image was written again")

    monkeypatch.setattr("softcam.data.importers.convert.write_atomically", refuse)
    result = softcam("import", name, source, out, *FLAGS[name], "--jobs", "1")
    assert result.code == 0, result.err
    assert contents(out) == before


def test_an_import_elsewhere_by_two_processes_gives_the_same_bytes(imported, softcam, tmp_path):
    name, source, out = imported
    result = softcam("import", name, source, tmp_path / "other", *FLAGS[name], "--jobs", "2")
    assert result.code == 0, result.err
    assert contents(tmp_path / "other") == contents(out)


def test_an_interrupted_import_goes_on_and_ends_the_same(imported, softcam, tmp_path, monkeypatch):
    name, source, out = imported
    target = tmp_path / "out"
    real, made = engine.convert, []

    def interrupted(job):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(job.name)
        return real(job)

    monkeypatch.setattr(engine, "convert", interrupted)
    result = softcam("import", name, source, target, *FLAGS[name], "--jobs", "1")
    assert result.code == 130
    command = f"softcam import {name} {source} {target} --size 48 --seed 0 --jobs 1"
    assert command in result.err
    assert not (target / "table.csv").exists()
    refused = softcam("train", target, "--out", tmp_path / "run")
    assert refused.code == 2

    # The journal's last row was cut off, and an image is damaged: both are mended.
    journal = target / engine.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])
    first = next(path for path in sorted((target / "images").rglob("*")) if path.is_file())
    first.write_bytes(first.read_bytes()[:-5])
    monkeypatch.setattr(engine, "convert", real)
    result = softcam("import", name, source, target, *FLAGS[name], "--jobs", "1")
    assert result.code == 0, result.err
    assert contents(target) == contents(out)


def test_strict_refuses_and_names_the_rows(imported, softcam, tmp_path):
    name, source, _ = imported
    result = softcam("import", name, source, tmp_path / "out", *FLAGS[name], "--strict")
    assert result.code == 2
    assert "problems: " in result.err and "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


def test_the_table_trains(imported, softcam, tmp_path):
    _, _, out = imported
    flags = ("--model", "test_resnet", "--size", "32", "--epochs", "1", "--batch-size", "4")
    result = softcam("train", out, "--out", tmp_path / "run", *flags)
    assert result.code == 0, result.err
    assert (tmp_path / "run" / "metrics.json").is_file()


QUIRKS = {
    "kaggle-dr": {
        "trainLabels.csv row 8: 13_left": "the image is missing",
        "train/train/14_left.jpeg": "the image cannot be read",
        "train/train/15_left.jpeg": "the image cannot be read",
        "train/train/900_left.jpeg": "trainLabels.csv does not list it",
        "trainLabels.csv row 32: 17_left": "it is listed twice; the first is taken",
        "trainLabels.csv row 33: 18_left_2": "its name is not NUMBER_left or NUMBER_right",
        "trainLabels.csv row 34: 901_left": "its level is not 0 to 4",
    },
    "oct2017": {
        "OCT2017/train/NORMAL/NORMAL-4-2.jpeg": "the image cannot be read",
        "OCT2017/train/NORMAL/DRUSEN-40-1.jpeg": "its name and its folder say different classes",
        "OCT2017/train/NORMAL/scan.jpeg": "its name is not CLASS-PATIENT-NUMBER",
        "OCT2017/train/NORMAL/Thumbs.db": "it is no JPEG or PNG by name",
        "OCT2017/train/NORMAL/NORMAL-3-1.jpeg": "it is in train and its patient is in test too",
        "OCT2017/test/CNV/CNV-23-2.jpeg": "CNV is no class of the task drusen",
    },
    "rsna-pneumonia": {
        "stage_2_train_labels.csv row 36: gone": "the image is missing",
        "stage_2_train_labels.csv row 37: torn": "it has several classes",
        "stage_2_train_labels.csv row 38: odd": "its Target and its class disagree",
    },
}


def test_every_quirk_is_listed(imported, softcam):
    name, _, out = imported
    listed = {row["what"]: row["reason"] for row in rows_of(out / "left_out.csv")}
    for what, reason in QUIRKS[name].items():
        assert listed.get(what) == reason, (what, sorted(listed.items()))


def test_every_box_lies_where_it_was(imported):
    name, _, out = imported
    if name != "rsna-pneumonia":
        assert not (out / "boxes.csv").exists()
        return
    boxes = rows_of(out / "boxes.csv")
    one = "00000001-0000-4000-8000-000000000000.png"
    found = [tuple(row.values()) for row in boxes if row["image"] == one]
    # 64 px became 48: every number by three quarters, the one over the border clipped.
    assert found == [
        (one, "7.5", "15", "9", "12", "opacity"),
        (one, "30", "15", "9.375", "12", "opacity"),
        (one, "45", "37.5", "3", "7.5", "opacity"),
    ]
    reasons = [row["reason"] for row in rows_of(out / "left_out.csv")]
    assert "the box is listed twice (it is kept once)" in reasons
    assert "the box reaches over the image's border (the part inside is kept)" in reasons


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_an_import_ends_its_processes_and_the_next_call_goes_on(
    how, tmp_path, softcam
):
    source = replicas.kaggle_dr(tmp_path / "download", patients=40)
    out = tmp_path / "out"
    arguments = ["import", "kaggle-dr", str(source), str(out), "--size", "192"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from softcam.cli.app import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    journal = out / engine.JOURNAL
    while not journal.is_file() or journal.read_text("utf-8").count("\n") < 3:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to all of them
    else:
        process.kill()
    # Ends only when every process that holds the pipe has ended.
    output, _ = process.communicate(timeout=60)
    assert "Traceback" not in output
    assert journal.is_file() and not (out / "table.csv").exists(), "it was over before"
    if how is signal.SIGINT:
        assert process.returncode == 130, output
        assert "Go on with: softcam import kaggle-dr" in output
        assert not [p for p in (out / "images").iterdir() if p.name.startswith(".")]
    assert softcam(*arguments, "--jobs", "1").code == 0
    listed = {row["image"] for row in rows_of(out / "table.csv")}
    assert {path.name for path in (out / "images").iterdir()} == listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kaggle", "SRC", "OUT"), "there is no data set 'kaggle'"),
        (("kaggle-dr", "SRC", "OUT", "--task", "drusen"), "has no task 'drusen'"),
        (("kaggle-dr", "GONE", "OUT"), "does not exist"),
        (("kaggle-dr", "SRC", "SRC/out"), "lies in the download"),
        (("kaggle-dr", "SRC", "FULL"), "is not an empty folder"),
        (("kaggle-dr", "SRC", "OUT", "--splits", "GONE"), "GONE"),
        (("kaggle-dr", "SRC", "OUT", "--splits", "SRC", "--resplit"), "not both"),
        (("kaggle-dr", "FULL", "OUT"), "holds no trainLabels.csv"),
        (("oct2017", "SRC", "OUT"), "holds no scans"),
        (("rsna-pneumonia", "SRC", "OUT"), "holds no stage_2_train_labels.csv"),
        (("csv", "SRC", "OUT"), "table.csv does not exist"),
        (("folder", "FULL", "OUT"), "class folders"),
    ],
)
def test_bad_input_is_named_in_a_sentence(arguments, message, softcam, tmp_path):
    replicas.kaggle_dr(tmp_path / "SRC", patients=8)
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "thesis.tex").write_text("years of work")
    given = [str(tmp_path / a) if a[:3] in ("SRC", "OUT", "FUL", "GON") else a for a in arguments]
    result = softcam("import", *given, "--jobs", "1")
    assert result.code == 2, result.err
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "OUT").exists()
    assert [p.name for p in (tmp_path / "FULL").iterdir()] == ["thesis.tex"]


def test_another_import_is_not_mixed_in(imported, softcam):
    name, source, out = imported
    before = contents(out)
    result = softcam("import", name, source, out, "--size", "32")
    assert result.code == 2
    assert "other settings" in result.err
    assert contents(out) == before


def test_a_missing_pydicom_is_said_in_a_sentence(softcam, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    (tmp_path / "src").mkdir()
    result = softcam("import", "rsna-pneumonia", tmp_path / "src", tmp_path / "out")
    assert result.code == 1
    assert 'pip install "softcam[dicom]"' in result.err


def test_two_images_of_one_name_are_refused(softcam, tmp_path):
    for name in ("a/x.png", "a/x.jpg", "a/x.jpg.png", "b/y.png"):
        replicas.put(tmp_path / "src" / name, replicas.png(np.zeros((4, 4), np.uint8)))
    result = softcam("import", "folder", tmp_path / "src", tmp_path / "out", "--jobs", "1")
    assert result.code == 2
    assert "two images would be called 'a/x.jpg'" in result.err
