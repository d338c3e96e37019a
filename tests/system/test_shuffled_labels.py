"""A run on shuffled labels says so, and holds explanations to account in a benchmark."""

from __future__ import annotations

import csv
import json

import pytest

from softcam.conversion.load import load
from tests.system.conftest import FAST, draw_dots

QUICK = (
    *("--methods", "evidence", "--methods", "floors"),
    *("--probes", "3", "--steps", "2", "--resamples", "20", "--gallery", "0"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A data set, a run and the same run on shuffled labels."""
    from softcam.cli.app import app
    from softcam.cli.errors import run_safely

    root = tmp_path_factory.mktemp("shuffled")
    data = draw_dots(root / "dots")
    for name, more in (("true", []), ("shuffled", ["--shuffle-labels", "--seed", "1"])):
        arguments = ["train", str(data), "--out", str(root / name), *FAST, *more]
        assert run_safely(lambda given=arguments: app(given, standalone_mode=False)) == 0
    return data, root / "true", root / "shuffled"


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr("softcam.report.explanations.write.draw_figures", lambda result: [])


def test_the_run_says_loudly_that_its_labels_were_shuffled(runs):
    _, true, shuffled = runs
    assert "SHUFFLED LABELS: this model is for checks only" in (shuffled / "report.html").read_text(
        "utf-8"
    )
    assert "SHUFFLED" not in (true / "report.html").read_text("utf-8")
    assert json.loads((shuffled / "metrics.json").read_text())["training"]["shuffled_labels"]
    assert "shuffled_labels" not in json.loads((true / "metrics.json").read_text())["training"]
    assert load(shuffled / "model.safetensors").info.training["config"]["shuffle_labels"]


def test_it_is_measured_on_true_test_labels_of_the_same_split(runs):
    _, true, shuffled = runs
    labels = [
        [(row["image"], row["label"]) for row in csv.DictReader((run / "predictions.csv").open())]
        for run in (true, shuffled)
    ]
    assert labels[0] == labels[1]
    data = [load(run / "model.safetensors").info.training["data"] for run in (true, shuffled)]
    assert data[0]["split_sha256"] == data[1]["split_sha256"]


def test_maps_are_held_against_those_of_shuffled_labels(softcam, runs, tmp_path, no_figures):
    data, true, shuffled = runs
    result = softcam("benchmark", true, data, "--shuffled", shuffled, "--out", tmp_path, *QUICK)
    assert result.code == 0, result.err
    found = {
        (row["method"], row["map"]): float(row["value"])
        for row in csv.DictReader((tmp_path / "methods.csv").open(newline=""))
        if row["measure"] == "label_similarity" and row["value"]  # of a constant map there is none
    }
    assert found["edges", "-"] == pytest.approx(1)  # of the image alone, whatever the model
    assert -1 <= found["evidence", "own"] < 1
    flags = {
        (row["name"], row["map"]): row["flags"]
        for row in json.loads((tmp_path / "benchmark.json").read_text())["methods"]
    }
    assert "survives shuffled labels" in flags["edges", "-"]
    assert "trained on shuffled labels" in " ".join(result.out.split())


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("itself", "learned the table's own labels; train it with --shuffle-labels"),
        ("both", "learned shuffled labels too"),
        ("other", "was trained with epochs 1, the model that it is held against with 2"),
        ("nothing", "no such run folder or model file"),
    ],
)
def test_what_cannot_be_held_against_it_is_refused(softcam, runs, tmp_path, which, words):
    data, true, shuffled = runs
    main, other = {
        "itself": (true, true),
        "both": (shuffled, shuffled),
        "other": (tmp_path / "longer.safetensors", shuffled),
        "nothing": (true, tmp_path / "none"),
    }[which]
    if which == "other":
        model = load(true / "model.safetensors")
        model.info.training["config"]["epochs"] = 2
        model.save(main)
    out = tmp_path / "out"
    result = softcam("benchmark", main, data, "--shuffled", other, "--out", out, *QUICK)
    assert result.code == 2, result.err
    assert words in " ".join(result.err.split())
    assert str(other) in result.err.replace("\n", "")
    assert not out.exists()
