"""`softcam benchmark` on whole runs: files, reruns, bad input, other tasks."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import softcam.workflows.benchmark.bench as workflow
from softcam.conversion.load import load
from softcam.evidence.info import Task
from softcam.workflows.benchmark.maps import MapStore
from tests.system.conftest import draw_dots, write_csv

QUICK = (
    *("--methods", "evidence", "--methods", "grad-cam", "--methods", "uniform"),
    *("--probes", "2", "--steps", "3", "--resamples", "20", "--gallery", "1"),
)
FILES = {
    *("benchmark.html", "benchmark.json", "benchmark.md", "benchmark.tex"),
    *("methods.csv", "cases.csv", "curves.csv", "lesions.csv"),
}
TABLES = ("methods.csv", "cases.csv", "curves.csv", "lesions.csv")


def rows_of(path):
    return list(csv.DictReader(path.open(newline="")))


def said(result):
    """The one sentence of a refusal."""
    assert result.code == 2, result.err
    sentence = " ".join(result.err.split())
    assert sentence.startswith("softcam: ")
    assert "failed with" not in sentence
    return sentence


@pytest.fixture(scope="module")
def first(trained, tmp_path_factory):
    """A finished benchmark of a run beside its twin."""
    from softcam.cli.app import app
    from softcam.cli.errors import run_safely

    data, run = trained
    out = tmp_path_factory.mktemp("benchmark") / "out"
    arguments = ["benchmark", str(run), str(data), "--out", str(out), *QUICK]
    assert run_safely(lambda: app(arguments, standalone_mode=False)) == 0
    return out


@pytest.fixture
def no_figures(monkeypatch):
    """Figures take longer than all else; `first` has drawn them."""
    monkeypatch.setattr("softcam.report.explanations.write.draw_figures", lambda result: [])


def test_every_file_is_written_and_the_tables_hold_every_method(first):
    assert {path.name for path in first.iterdir()} >= FILES
    assert list((first / "gallery").glob("*.png"))
    assert list((first / "figures").glob("*.png"))
    rows = rows_of(first / "methods.csv")
    methods = {(row["subject"], row["method"], row["map"]) for row in rows}
    assert methods == {
        ("SoftCAM", "evidence", "own"), ("SoftCAM", "evidence", "contrast"),
        ("SoftCAM", "grad-cam", "own"), ("SoftCAM", "grad-cam", "contrast"),
        ("SoftCAM", "uniform", "-"),
        ("Black-box twin", "grad-cam", "own"), ("Black-box twin", "grad-cam", "contrast"),
        ("Black-box twin", "uniform", "-"),
    }  # fmt: skip
    measured = {row["measure"] for row in rows}
    assert {"activation_precision", "deletion_auc", "agreement", "completeness_error"} <= measured
    errors = [
        float(row["value"])
        for row in rows
        if row["measure"] == "completeness_error" and row["value"]
    ]
    assert len(errors) == 1  # native evidence alone is complete
    assert errors[0] < 1e-5
    assert all(float(row["seconds_per_map"]) > 0 for row in rows)


def test_floors_are_marked_and_evidence_leads(first):
    document = json.loads((first / "benchmark.json").read_text())
    floors = {row["name"]: row["floor"] for row in document["methods"]}
    assert floors == {"evidence": False, "grad-cam": False, "uniform": True}
    assert document["reference"]["name"] == "evidence"


def test_lesions_are_counted_by_finding_and_size(first):
    rows = rows_of(first / "lesions.csv")
    assert {row["finding"] for row in rows} == {"dot"}
    uniform = [row for row in rows if row["method"] == "uniform"]
    # Three dots of 4 % of the image, all of which a map finds that covers everything.
    assert [(row["lesions"], row["found"]) for row in uniform] == [("0", "0")] * 2 + [
        ("3", "3")
    ] + [("0", "0")] * 2 + [("3", "3")]
    assert "Which lesions are found, by size" in (first / "benchmark.html").read_text("utf-8")


def test_a_rerun_computes_nothing_and_gives_the_same_tables(
    no_figures, first, trained, softcam, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise AssertionError("computed anew")

    monkeypatch.setattr(MapStore, "_compute", refuse)
    monkeypatch.setattr(workflow, "measure", refuse)
    monkeypatch.setattr(workflow, "probe", refuse)
    data, run = trained
    out = tmp_path / "again"
    result = softcam("benchmark", run, data, "--out", out, "--cache", first / "cache", *QUICK)
    assert result.code == 0, result.err
    for name in TABLES:
        assert (out / name).read_bytes() == (first / name).read_bytes()
    assert not (out / "cache").exists()


def test_another_setting_is_measured_anew_beside_the_first_in_one_cache(
    no_figures, first, trained, softcam, tmp_path
):
    data, run = trained
    arguments = ("benchmark", run, data, "--cache", first / "cache", *QUICK)
    for more in (("--steps", 2), ("--baseline", "blur")):
        out, fresh = tmp_path / f"{more[1]}", tmp_path / f"{more[1]}-fresh"
        assert softcam(*arguments, *more, "--out", out).code == 0
        assert softcam("benchmark", run, data, *QUICK, *more, "--out", fresh).code == 0
        for name in ("cases.csv", "curves.csv", "lesions.csv"):
            assert (out / name).read_bytes() == (fresh / name).read_bytes()
        assert (out / "cases.csv").read_bytes() != (first / "cases.csv").read_bytes()


def bad_inputs(data, run, tmp_path):
    other = tmp_path / "other.safetensors"
    model = load(run / "model.safetensors")
    model.info.classes = ("plain", "striped")
    model.info.positive = "striped"
    model.save(other)
    bare = tmp_path / "bare.safetensors"
    model = load(run / "model.safetensors")
    model.info.preprocessing = None
    model.save(bare)
    unlabelled = tmp_path / "unlabelled"
    (unlabelled / "images").mkdir(parents=True)
    image = (data / "images" / "1.png").read_bytes()
    (unlabelled / "images" / "1.png").write_bytes(image)
    write_csv(unlabelled / "table.csv", ("image", "label"), [("1.png", "")])
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.docx").write_text("x")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the cache should be")
    out = ("--out", tmp_path / "out")
    return {
        "unknown method": ((run, data, *out, "--methods", "nonsense"), "'nonsense'"),
        "unknown baseline": ((run, data, *out, "--baseline", "pink"), "pink is none of mean"),
        "unknown maps": ((run, data, *out, "--maps", "all"), "use own, contrast or both"),
        "unknown device": ((run, data, *out, "--device", "tpu"), "use auto, cpu or cuda"),
        "twin of other classes": ((run, data, *out, "--twin", other), "striped"),
        "two twins of one name": (
            (run, data, *out, "--twin", run / "twin", "--twin", run / "twin"), "same name",
        ),
        "a twin with the model's name": (
            (run, data, *out, "--twin", f"SoftCAM={run / 'twin'}"), "two models have this name",
        ),
        "table without labels": ((run, unlabelled, *out, "--split", "all"), "label"),
        "folder with other files": ((run, data, "--out", full), "thesis.docx"),
        "folder that is a file": ((run, data, "--out", blocked), "another --out"),
        "cache that cannot be written": (
            (run, data, *out, *QUICK, "--cache", blocked), "another --cache",
        ),
        "no preprocessing": ((bare, data, *out), "how images become its input"),
        "unknown split": ((run, data, *out, "--split", "holdout"), "holdout"),
        "classes of another model": ((other, data, *out), "striped"),
    }  # fmt: skip


def test_bad_input_is_one_sentence(trained, softcam, tmp_path):
    data, run = trained
    given = bad_inputs(data, run, tmp_path)
    assert len(given) == 14
    for what, (arguments, sentence) in given.items():
        assert sentence in said(softcam("benchmark", *arguments)), what
        assert not (tmp_path / "out").exists(), what


def test_a_benchmark_that_broke_off_while_writing_may_be_written_over(
    no_figures, first, trained, softcam, tmp_path
):
    data, run = trained
    out = tmp_path / "broken"
    out.mkdir()
    (out / "methods.csv").write_text("half")
    result = softcam("benchmark", run, data, "--out", out, "--cache", first / "cache", *QUICK)
    assert result.code == 0, result.err
    assert (out / "methods.csv").read_bytes() == (first / "methods.csv").read_bytes()


def test_an_interruption_says_that_the_cache_goes_on(
    no_figures, trained, softcam, tmp_path, monkeypatch
):
    data, run = trained
    taken = workflow.measure
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return taken(*arguments)

    monkeypatch.setattr(workflow, "measure", interrupted)
    arguments = ("benchmark", run, data, "--out", tmp_path / "out", *QUICK)
    result = softcam(*arguments)
    assert result.code == 130
    assert "same command" in result.err
    assert "cache" in result.err
    again = softcam(*arguments)
    assert again.code == 0, again.err
    assert len(calls) == 3 + 8 - 2  # of eight columns of one batch, two were done


@pytest.mark.usefixtures("no_figures")
def test_one_image_is_enough_and_has_no_intervals(trained, softcam, tmp_path):
    data, run = trained
    out = tmp_path / "out"
    result = softcam("benchmark", run, data, "--out", out, *QUICK, "--limit", "1")
    assert result.code == 0, result.err
    rows = rows_of(out / "methods.csv")
    assert any(row["value"] for row in rows)
    assert {row["low"] for row in rows} == {""}


def strip_annotations(data, keep=lambda row: True):
    (data / "boxes.csv").unlink()
    rows = [row for row in rows_of(data / "table.csv") if keep(row)]
    write_csv(data / "table.csv", tuple(rows[0]), [tuple(row.values()) for row in rows])


@pytest.mark.usefixtures("no_figures")
def test_without_annotations_there_is_no_localisation(trained, softcam, tmp_path):
    _, run = trained
    data, out = draw_dots(tmp_path / "dots"), tmp_path / "out"
    strip_annotations(data)
    result = softcam("benchmark", run, data, "--out", out, *QUICK)
    assert result.code == 0, result.err
    rows = rows_of(out / "methods.csv")
    assert {row["group"] for row in rows} == {"faithfulness", "consistency"}
    assert rows_of(out / "lesions.csv") == []
    assert "Not measured: no lesion" in (out / "benchmark.html").read_text("utf-8")
    assert list((out / "gallery").glob("*.png"))


def test_healthy_images_alone_have_shares_and_nothing_to_delete(
    no_figures, trained, softcam, tmp_path
):
    _, run = trained
    data, out = draw_dots(tmp_path / "dots"), tmp_path / "out"
    strip_annotations(data, lambda row: row["label"] == "0" or row["split"] != "test")
    result = softcam("benchmark", run, data, "--out", out, *QUICK)
    assert result.code == 0, result.err
    measured = {row["measure"] for row in rows_of(out / "methods.csv")}
    assert "negative_share" in measured
    assert not {"deletion_auc", "agreement", "positive_share"} & measured


def draw_three(folder, label):
    """Images with a red, green or blue dot; `label` writes the label of a number of colour."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(24):
        image = rng.integers(60, 90, (40, 40, 3)).astype(np.uint8)
        x, y = rng.integers(4, 28, 2)
        image[y : y + 8, x : x + 8, number % 3] = 255
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        split = ("train", "train", "val", "test")[number // 6]
        given = label(number % 3)
        rows.append((f"{number}.png", split, f"p{number}", *np.atleast_1d(given).tolist()))
    labels = ("label",) if np.ndim(given) == 0 else ("red", "green", "blue")
    write_csv(folder / "table.csv", ("image", "split", "patient", *labels), rows)
    return folder


TASKS = {
    "multiclass": ("task: multiclass\nclasses: [red, green, blue]\n", lambda c: c, ()),
    "multilabel": (
        "task: multilabel\nclasses: [red, green, blue]\n",
        lambda c: ((1, 0, 0), (1, 1, 0), (0, 0, 1))[c],
        (),
    ),
    "one logit": (
        "task: binary\nclasses: [other, red]\npositive: red\n",
        lambda c: int(c == 0),
        ("--one-logit",),
    ),
    "grey": ("task: binary\nclasses: [other, red]\npositive: red\n", lambda c: int(c == 0),
             ("--channels", "grey", "--size", "32x48")),
}  # fmt: skip


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("task", TASKS)
def test_other_tasks_are_benchmarked_too(softcam, tmp_path, task):
    yaml, label, more = TASKS[task]
    data, run, out = draw_three(tmp_path / "data", label), tmp_path / "run", tmp_path / "out"
    (data / "dataset.yaml").write_text(yaml)
    trained = softcam(
        "train",
        data,
        "--out",
        run,
        "--model",
        "test_resnet",
        "--size",
        "32",
        "--epochs",
        "1",
        *more,
    )
    assert trained.code == 0, trained.err
    result = softcam("benchmark", run, data, "--out", out, *QUICK)
    assert result.code == 0, result.err
    rows = rows_of(out / "methods.csv")
    kinds = {row["map"] for row in rows if row["method"] == "evidence"}
    assert kinds == ({"own"} if task in ("multilabel", "one logit") else {"own", "contrast"})
    error = [float(r["value"]) for r in rows if r["measure"] == "completeness_error" and r["value"]]
    assert len(error) == 1
    assert error[0] < 1e-5
    deletion = [float(r["value"]) for r in rows if r["measure"] == "deletion_auc"]
    assert len(deletion) == len({(r["method"], r["map"]) for r in rows})
    assert np.isfinite(deletion).all()
    if task == "multilabel":
        assert load(run / "model.safetensors").info.task is Task.MULTILABEL
