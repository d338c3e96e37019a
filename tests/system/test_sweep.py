"""`softcam sweep` on small data sets: what it leaves, what it chooses by, how it goes on."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from PIL import Image, ImageOps

from softcam.cli.app import app
from softcam.cli.errors import run_safely
from softcam.workflows.models import load_run
from softcam.workflows.sweep import jobs
from tests.system.conftest import draw_dots

SMALL = ("--model", "resnet10t", "--size", "32", "--epochs", "1", "--set", "lr=0.01")
FAST = (*SMALL, "--resamples", "50", "--margin", "0.5")
GRID = (*FAST, "--seeds", "0", "1", "--l1", "0", "0.1")


def sweep(*arguments) -> int:
    return run_safely(lambda: app(["sweep", *map(str, arguments)], standalone_mode=False))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A data set and its finished sweep: twin, dense and one penalty, two seeds."""
    root = tmp_path_factory.mktemp("sweep")
    data = draw_dots(root / "dots")
    assert sweep(data, "--out", root / "out", *GRID) == 0
    return data, root / "out"


def choice(out):
    values = json.loads((out / "sweep.json").read_text())
    return values["chosen"], values["seed"], [row["val"] for row in values["rows"]]


def same_weights(one, other) -> bool:
    first, second = (load_run(path).state_dict() for path in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_sweep_leaves_what_it_promises(swept):
    _, out = swept
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    for name in ("black-box", "dense", "l1-0.1"):
        for seed in (0, 1):
            run = f"runs/{name}/seed{seed}"
            assert {f"{run}/{file}" for file in ("config.yaml", "metrics.json")} <= names
    assert names >= {
        "sweep.yaml", "sweep.json", "table.csv", "table.md", "table.tex", "runs.csv", "sweep.html",
        "figures/penalties.png", "figures/tradeoff.pdf", "chosen/model.safetensors",
        "chosen/why.md",
    }  # fmt: skip
    with (out / "table.csv").open() as stream:
        rows = {row["recipe"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["black-box", "dense", "l1-0.1"]
    for row in rows.values():
        assert row["val_auc"] and row["val_deletion_gain"] and row["test_auc_low"]
        assert row["seeds"] == "0 1"
        assert "val_activation_precision" not in row  # annotations decide nothing
    assert rows["dense"]["test_auc_minus_twin"]


def test_the_twin_is_stock_and_the_runs_are_what_train_makes(swept, softcam, tmp_path):
    _, out = swept
    config = yaml.safe_load((out / "runs" / "black-box" / "seed1" / "config.yaml").read_text())
    assert config["black_box"] and config["seed"] == 1 and config["l1"] == 0
    alone = softcam(
        "train", "--config", out / "runs" / "l1-0.1" / "seed0" / "config.yaml",
        "--out", tmp_path / "alone",
    )  # fmt: skip
    assert alone.code == 0, alone.err
    assert same_weights(
        tmp_path / "alone" / "model.safetensors",
        out / "runs" / "l1-0.1" / "seed0" / "model.safetensors",
    )


def test_the_chosen_model_is_a_copy_of_the_chosen_run_and_says_why(swept):
    _, out = swept
    name, seed, _ = choice(out)
    run = out / "runs" / name / f"seed{seed}" / "model.safetensors"
    assert (out / "chosen" / "model.safetensors").read_bytes() == run.read_bytes()
    why = (out / "chosen" / "why.md").read_text()
    assert f"runs/{name}/seed{seed}" in why and "Test images take no part" in why


def test_the_figures_are_those_of_the_runs(swept):
    _, out = swept
    with (out / "runs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    for row in rows:
        metrics = json.loads((out / row["folder"] / "metrics.json").read_text())
        auc = metrics["classification"]["intervals"]["auc"]["value"]
        assert float(row["test_auc"]) == pytest.approx(auc, abs=1e-5)
        val = metrics["training"]["validation"]["val_auc"]
        assert float(row["val_auc"]) == pytest.approx(val, abs=1e-5)


def test_test_images_and_labels_do_not_change_the_choice(swept, tmp_path):
    data, out = swept
    other = tmp_path / "dots"
    shutil.copytree(data, other)
    with (other / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if row["split"] == "test":
            row["label"] = str(1 - int(row["label"]))
            path = other / "images" / row["image"]
            ImageOps.invert(Image.open(path).convert("RGB")).rotate(90).save(path)
    with (other / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert sweep(other, "--out", tmp_path / "out", *GRID) == 0
    assert choice(tmp_path / "out") == choice(out)
    assert same_weights(tmp_path / "out/chosen/model.safetensors", out / "chosen/model.safetensors")
    # The test was no empty one: what was measured on test images did change.
    texts = [(place / "sweep.json").read_text() for place in (out, tmp_path / "out")]
    tests = [[row["test"]["auc"]["mean"] for row in json.loads(text)["rows"]] for text in texts]
    assert tests[0] != tests[1]


def test_a_finished_sweep_is_not_trained_again_but_may_be_widened(swept, softcam, tmp_path):
    data, done = swept
    out = tmp_path / "out"
    shutil.copytree(done, out)
    refused = softcam("sweep", data, "--out", out, *GRID)
    assert refused.code == 2 and "--resume" in refused.err
    # Folders moved with the sweep: each run is found by its place.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    wider = softcam(
        "sweep", "--resume", "--out", out, "--margin", "0.4",
        "--variant", "shallow stages=1",
    )  # fmt: skip
    assert wider.code == 0, wider.err
    rows = [row["name"] for row in json.loads((out / "sweep.json").read_text())["rows"]]
    assert rows == ["black-box", "dense", "l1-0.1", "shallow"]
    after = {path: path.stat().st_mtime_ns for path in before if "chosen" not in path.parts}
    assert all(before[path] == time for path, time in after.items())


def test_ctrl_c_says_how_to_go_on(dots, softcam, tmp_path, monkeypatch):
    done = []

    def interrupted(work):
        if done:
            raise KeyboardInterrupt
        done.append(work)
        original(work)

    original = jobs.do
    monkeypatch.setattr(jobs, "do", interrupted)
    flags = (*FAST, "--seeds", "0")
    result = softcam("sweep", dots, "--out", tmp_path / "out", *flags)
    assert result.code == 130
    assert f"softcam sweep --resume --out {tmp_path / 'out'}" in result.err
    assert not (tmp_path / "out" / "sweep.json").exists()
    unfinished = softcam("sweep", dots, "--out", tmp_path / "out", *flags)
    assert unfinished.code == 2 and "unfinished sweep" in unfinished.err
    monkeypatch.setattr(jobs, "do", original)
    result = softcam("sweep", "--resume", "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert (tmp_path / "out" / "sweep.json").is_file()


@pytest.mark.slow
def test_a_killed_sweep_with_processes_goes_on_to_the_same_weights(swept, softcam, tmp_path):
    data, whole = swept
    out = tmp_path / "out"
    code = "from softcam.cli.app import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "sweep", data, "--out", out, *GRID[:-5], "0", "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    deadline = time.monotonic() + 240
    while not list(out.glob("runs/*/*/config.yaml")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "sweep.json").exists()
    time.sleep(2)  # its processes notice that it is gone
    result = softcam("sweep", "--resume", "--out", out, "--jobs", "1")
    assert result.code == 0, result.err
    for model in whole.glob("runs/*/seed0/model.safetensors"):
        if "l1" in str(model):
            continue
        other = out / model.relative_to(whole)
        state, expected = (load_run(path).state_dict() for path in (other, model))
        for name in expected:  # processes may have had another number of threads
            torch.testing.assert_close(state[name], expected[name], rtol=1e-3, atol=1e-5)


def test_a_run_that_fails_is_reported_and_the_others_go_on(dots, softcam, tmp_path):
    out = tmp_path / "out"
    result = softcam(
        "sweep", dots, "--out", out, *FAST, "--seeds", "0", "--variant", "wild lr=1.0e+30"
    )
    assert result.code == 1
    assert "1 of 3 runs failed: wild, seed 0: training diverged" in result.err
    assert "--resume" in result.err
    values = json.loads((out / "sweep.json").read_text())
    assert [row["name"] for row in values["rows"]] == ["black-box", "dense"]
    assert values["chosen"] == "dense"
    assert len(values["failures"]) == 1


def test_a_choice_by_annotations_is_labelled(swept, tmp_path):
    _, done = swept
    out = tmp_path / "out"
    shutil.copytree(done, out)
    assert sweep("--resume", "--out", out, "--select-by", "localisation") == 0
    with (out / "table.csv").open() as stream:
        assert "val_activation_precision" in next(csv.reader(stream))
    assert "annotations of validation images" in (out / "chosen" / "why.md").read_text()
    assert "used annotations of validation images" in (out / "table.md").read_text()


@pytest.mark.slow
def test_several_classes_can_be_swept(tmp_path, softcam):
    data = draw_dots(tmp_path / "dots", count=36)
    text = (data / "table.csv").read_text().splitlines()
    rows = [line.split(",") for line in text[1:]]
    lines = [",".join([r[0], "abc"[n % 3], *r[2:]]) for n, r in enumerate(rows)]
    (data / "table.csv").write_text("\n".join([text[0], *lines]) + "\n")
    (data / "dataset.yaml").write_text("task: multiclass\nclasses: [a, b, c]\n")
    (data / "boxes.csv").unlink()
    out = tmp_path / "out"
    result = softcam("sweep", data, "--out", out, *FAST, "--seeds", "0", "--maps", "contrast")
    assert result.code == 0, result.err
    assert json.loads((out / "sweep.json").read_text())["chosen"] == "dense"


def one_class_in_validation(dots):
    path = dots / "table.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "1,val" not in line) + "\n")


def no_annotation(dots):
    (dots / "boxes.csv").unlink()
    (dots / "dataset.yaml").write_text("task: binary\nclasses: [plain, dotted]\n")


def broken_image(dots):
    (dots / "images" / "3.png").write_text("not an image")


@pytest.mark.parametrize(
    ("flags", "change", "said"),
    [
        (("--l1", "-1"), None, "l1.0"),
        (("--mix", "0.1"), None, "mixes.0"),
        (("--set", "epoch=3"), None, "epoch: no such setting"),
        (("--set", "epochs"), None, "no name=value"),
        (("--variant", "a stage=3"), None, "stage: no such setting"),
        (("--variant", "a stages=[9]"), None, "a: "),
        (("--variant", "a 'b"), None, "--variant"),
        (("--variant", "a/b epochs=2"), None, "no name for a folder"),
        (("--model", "resnet7"), None, "resnet7"),
        (("--jobs", "0"), None, "jobs"),
        (("--device", "cuda"), None, "CUDA"),
        (("--select-by", "localisation"), no_annotation, "--select-by deletion"),
        ((), one_class_in_validation, "all validation images are of one class"),
        ((), broken_image, "3.png"),
        (("--config", "nowhere.yaml"), None, "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(flags, change, said, dots, softcam, tmp_path):
    if "cuda" in flags and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    if change is not None:
        change(dots)
    result = softcam("sweep", dots, "--out", tmp_path / "out", *FAST, "--seeds", "0", *flags)
    assert result.code == 2, result.err
    last = result.err.strip().splitlines()[-1]
    assert said in last and last.startswith("softcam: ")
    assert "Traceback" not in result.err
    if change is not broken_image:  # which is found when the first run reads it
        assert not (tmp_path / "out").exists()


def test_another_folders_files_are_not_touched(dots, softcam, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    result = softcam("sweep", dots, "--out", tmp_path / "out", *FAST)
    assert result.code == 2 and "no sweep" in result.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_two_sweeps_do_not_share_a_folder(swept, softcam, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    shutil.copytree(swept[1], out)
    with (out / "sweep.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = softcam("sweep", "--resume", "--out", out)
    assert result.code == 2 and "at work in this folder" in result.err
