"""What can be tried before a long run, and what it leaves behind: nothing, or two files."""

from __future__ import annotations

import csv
import tempfile

import pytest

from tests.system.conftest import FAST

FLAGS = FAST[:6]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders go in this test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_fast_run_goes_the_whole_way_and_leaves_nothing(dots, softcam, temporary, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    result = softcam("train", dots, *FLAGS, "--batch-size", "4", "--fast-dev-run", "--with-twin")
    assert result.code == 0, result.err
    assert "its twin" in result.out
    assert "4 train, 4 val, 4 test images" in " ".join(result.out.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_fast_run_finds_what_would_fail(dots, softcam, temporary):
    (dots / "images" / "1.png").write_bytes(b"no image")
    result = softcam("train", dots, *FLAGS, "--fast-dev-run")
    assert result.code == 2
    assert "1.png" in result.err
    assert list(temporary.iterdir()) == []


def test_one_batch_is_learnt_by_heart(dots, softcam, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = softcam("train", dots, *FLAGS, "--lr", "0.01", "--overfit-batch", "4")
    assert result.code == 0, result.err
    assert "Learnt by heart: the loss of one batch of 4 images went from" in result.out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_batch_that_is_not_learnt_fails_with_a_sentence(dots, softcam):
    result = softcam("train", dots, *FLAGS, "--lr", "1e-9", "--overfit-batch", "2")
    assert result.code == 1
    assert "not below 0.05; look at labels" in result.err


def test_learning_rates_are_tried_twice_with_the_same_result(dots, softcam, tmp_path):
    out = tmp_path / "runs" / "dots"
    texts = []
    for _ in range(2):
        result = softcam("train", dots, *FLAGS, "--find-lr", "--out", out, "--head-lr", "2")
        assert result.code == 0, result.err
        texts.append((out.parent / "dots-lr.csv").read_text())
    assert texts[0] == texts[1]
    assert sorted(path.name for path in out.parent.iterdir()) == ["dots-lr.csv", "dots-lr.png"]
    rows = list(csv.DictReader(texts[0].splitlines()))
    rates = [float(row["lr"]) for row in rows]
    assert rates == sorted(rates)
    assert rates[0] == 1e-6
    suggestion = float(result.out.split("--lr ")[1].split(",")[0])
    assert min(rates) < suggestion < rates[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--find-lr",), "out is missing"),
        (("--find-lr", "--fast-dev-run"), "--fast-dev-run and --find-lr cannot be done at once"),
        (("--fast-dev-run", "--resume"), "--fast-dev-run and --resume cannot be done at once"),
        (("--overfit-batch", "1"), "a batch of 1 is too small"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_a_sentence(flags, message, dots, softcam):
    result = softcam("train", dots, *FLAGS, *flags)
    assert result.code == 2
    assert message in result.err
