"""`softcam reproduce` from the download to its tables, on the downloads in miniature."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from softcam.cli.app import app
from softcam.cli.errors import run_safely
from tests.data.importers.replicas import write_csv
from tests.workflows.reproduce.replicas import DOWNLOADS

TINY = (
    *("--models", "resnet50", "--set", "model=resnet10t", "--batch-size", "8"),
    *("--size", "32", "--epochs", "1", "--precision", "32", "--device", "cpu"),
    *("--methods", "grad-cam", "--limit", "4", "--followed", "1", "--probes", "1"),
    *("--gallery", "1", "--resamples", "20"),
)
ROLES = ["Black box", "Dense SoftCAM", "Sparse SoftCAM (l1)"]

FILES = (
    *("reproduction.html", "reproduction.json", "reproduce.yaml", "published.yaml", "cost.json"),
    *("penalties.yaml", "tables.csv", "tables-explanation.csv", "tables-consistency.csv"),
    *("tables-penalties.csv", "tables.md", "tables.tex"),
)


def run(*arguments) -> int:
    return run_safely(lambda: app([str(a) for a in arguments], standalone_mode=False))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def models_of(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("sweeps/*/runs/*/*/model.safetensors"))
    }


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """The data set with boxes, reproduced once."""
    root = tmp_path_factory.mktemp("reproduce")
    data = DOWNLOADS["rsna-pneumonia"](root / "download", 36)
    out, splits = root / "out", root / "splits.csv"
    chosen = ["val"] * 4 + ["test"] * 2 + ["train"] * 6  # each class alike
    rows = [(f"{n:08x}-0000-4000-8000-000000000000", chosen[n // 3]) for n in range(36)]
    write_csv(splits, ("patient_id", "split"), rows)
    # Without l2 there is no smooth and no ElasticNet model, which take their time.
    penalties = root / "penalties.yaml"
    penalties.write_text("rsna-pneumonia: {opacity: {resnet50: {l1: 0.003, source: given}}}\n")
    words = ("--data", data, "--out", out, "--splits", splits, "--penalties", penalties, *TINY)
    assert run("reproduce", "rsna-pneumonia", *words) == 0
    return data, out


def test_models_stand_beside_empty_published_cells(reproduced):
    _, out = reproduced
    assert [name for name in FILES if not (out / name).is_file()] == []
    rows = rows_of(out / "tables.csv")
    assert [row["Model"] for row in rows] == ROLES
    assert all(0 <= float(row["AUC"]) <= 1 for row in rows)
    assert {row["AUC, published"] for row in rows} == {""}
    for key in ("performance", "explanations-opacity-resnet50", "curves-opacity-resnet50"):
        assert (out / "figures" / f"{key}.png").read_bytes()[:4] == b"\x89PNG"
        assert (out / "figures" / f"{key}.pdf").read_bytes()[:4] == b"%PDF"
    page = (out / "reproduction.html").read_text("utf-8")
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


def test_maps_are_measured_against_the_boxes_of_the_download(reproduced):
    _, out = reproduced
    rows = {row["Map"]: row for row in rows_of(out / "tables-explanation.csv")}
    assert list(rows) == [*ROLES[1:], "Grad-CAM (black box)"]
    assert all(0 <= float(row["Activation precision"]) <= 1 for row in rows.values())
    assert (out / "explanations" / "opacity-resnet50" / "seed0" / "benchmark.html").is_file()


def test_everything_that_went_in_is_on_record(reproduced):
    _, out = reproduced
    found = json.loads((out / "reproduction.json").read_text("utf-8"))
    inputs = found["inputs"]
    for name in ("penalties.yaml", "data/opacity/table.csv", *models_of(out)):
        assert inputs[name] == hashlib.sha256((out / name).read_bytes()).hexdigest()
    assert found["cost"]["hours"] > 0 and "processor" in found["cost"]["sentence"]
    assert found["settings"]["epochs"] == 1 and len(found["settings"]["code"]) == 64


def test_an_edited_figure_is_read_and_nothing_is_trained_anew(reproduced, capsys):
    data, out = reproduced
    before = {path: path.stat().st_mtime_ns for path in out.glob("sweeps/*/runs/*/*/*")}
    path = out / "published.yaml"
    values = yaml.safe_load(path.read_text("utf-8"))
    figures = values["figures"]["rsna-pneumonia"]["opacity"]["resnet50"]
    figures["sparse"] |= {"auc": {"value": 0.987, "source": "paper"}, "accuracy": "good"}
    path.write_text(yaml.safe_dump(values), "utf-8")
    assert run("reproduce", "rsna-pneumonia", "--resume", "--out", out) == 2
    assert "opacity.resnet50.sparse.accuracy: 'good' is no number" in capsys.readouterr().err
    figures["sparse"]["accuracy"] = 0.95
    path.write_text(yaml.safe_dump(values), "utf-8")
    data.rename(data.with_name("gone"))  # what was imported is enough
    try:
        assert run("reproduce", "rsna-pneumonia", "--resume", "--out", out) == 0
    finally:
        data.with_name("gone").rename(data)
    # Here another backbone stands in ResNet-50's place, whose figures are none of its own.
    assert {row["AUC, published"] for row in rows_of(out / "tables.csv")} == {""}
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("kaggle-dr", "--resume", "--out", "OUT"), "was started with data_set"),
        (("rsna-pneumonia", "--resume", "--out", "OUT", "--epochs", "2"), "with epochs 1, not 2"),
        (("rsna-pneumonia", "--data", "DATA", "--out", "OUT"), "finished reproduction; go on with"),
        (("rsna-pneumonia", "--data", "nowhere", "--out", "NEW"), "nowhere does not exist"),
        (("rsna-pneumonia", "--out", "NEW"), "data is missing"),
        (("oct2017", "--data", "DATA", "--out", "NEW"), "holds no scans"),
        (("mnist", "--data", "DATA", "--out", "NEW"), "data_set"),
        (("rsna-pneumonia", "--data", "DATA", "--out", "NEW", "--tasks", "four"), "no task 'four'"),
        (("rsna-pneumonia", "--data", "DATA", "--out", "NEW", "--methods", "x"), "no attribution"),
        (("rsna-pneumonia", "--data", "DATA", "--out", "NEW", "--set", "epochs=3"), "own options"),
        (("rsna-pneumonia", "--data", "DATA", "--out", "NEW", "--weights-vgg16", "x"), "not exist"),
        (("rsna-pneumonia", "--resume", "--out", "NEW"), "no reproduction to resume"),
        (
            ("rsna-pneumonia", "--data", "DATA", "--out", "NEW", *TINY, "--max-hours", "1e-9"),
            "more than --max-hours",
        ),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_what_cannot_work_is_one_sentence_and_leaves_nothing(
    words, said, reproduced, tmp_path, capsys
):
    data, out = reproduced
    places = {"DATA": data, "OUT": out, "NEW": tmp_path / "new"}
    assert run("reproduce", *(places.get(word, word) for word in words)) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not (tmp_path / "new").exists()


def test_a_dry_run_says_the_cost_and_writes_nothing(reproduced, tmp_path, capsys):
    data, _ = reproduced
    out = tmp_path / "new"
    words = (
        "rsna-pneumonia",
        "--data",
        data,
        "--out",
        out,
        *TINY,
        "--dry-run",
        "--seeds",
        "0",
        "1",
    )
    assert run("reproduce", *words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Estimated cost" in said and "training 10 runs" in said and "a GPU takes" in said
    assert not out.exists()


def start(*arguments, **settings) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "softcam", "reproduce", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **settings,
    )


def wait_for(process: subprocess.Popen[str], place: Path, pattern: str) -> None:
    until = time.monotonic() + 240
    while not any(place.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", sorted(DOWNLOADS))
def test_every_data_set_goes_the_whole_way_killed_and_resumed(name, tmp_path):
    data = DOWNLOADS[name](tmp_path / "download")
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    assert run("reproduce", name, "--data", data, "--out", whole, *TINY) == 0

    begun = ("--data", data, "--out", broken, *TINY)
    again = ("--resume", "--out", broken)
    first = start(name, *begun)
    wait_for(first, broken, "data/*/images/*")
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 130, said
    assert f"softcam reproduce {name} --resume --out {broken}" in " ".join(said.split())
    for pattern in (
        "sweeps/*/runs/black-box/seed0/config.yaml",
        "sweeps/*/runs/l1-*/seed0/checkpoints/*",
        "sweeps/*/sweep.json",
        "explanations/cache/*/*.npy",
    ):
        process = start(name, *again)
        wait_for(process, broken, pattern)
        process.kill()
        process.communicate(timeout=120)
    assert run("reproduce", name, *again) == 0

    assert models_of(broken) == models_of(whole)
    tasks = {"kaggle-dr": 2, "oct2017": 2, "rsna-pneumonia": 1}[name]
    assert len(models_of(whole)) == 5 * tasks
    for table in whole.glob("tables*.csv"):
        assert (broken / table.name).read_bytes() == table.read_bytes()
    found = json.loads((whole / "reproduction.json").read_text("utf-8"))
    assert found["failures"] == [] and len(found["parts"]) == tasks
