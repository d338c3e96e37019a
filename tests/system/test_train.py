import csv
import json

import pytest
import torch
import yaml

import softcam as package
from softcam.training.run import Run
from tests.system.conftest import FAST

MOSAICS = (
    *("--mosaic", "2", "--mosaic", "4", "--mosaic-share", "0.9", "--precision", "bf16"),
    *("--l1", "0.1", "--penalty-classes", "dotted", "--penalty-form", "sum"),
)
CONSISTENT = (
    *("--consistency", "0.1", "--consistency-share", "1", "--total-variation", "0.1"),
    *("--l2", "0.1", "--penalty-on", "contrast", "--penalty-warmup", "0.5"),
)


def test_a_run_folder_holds_what_it_promises(trained):
    _, run = trained
    for folder in (run, run / "twin"):
        names = {path.name for path in folder.iterdir()}
        assert names >= {
            "config.yaml",
            "model.safetensors",
            "checkpoints",
            "metrics.json",
            "predictions.csv",
            "logs",
            "report.html",
        }
        assert any(p.name.startswith("events.out") for p in (folder / "logs").iterdir())
        assert len(Run(folder).history()) == 1
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["settings"]["split"] == "test"
    assert set(metrics["classification"]["intervals"]["auc"]) >= {"value", "low", "high"}
    assert metrics["twin_classification"] is not None
    methods = {(row["method"], row["map"]) for row in metrics["localisation"]}
    assert methods == {
        ("SoftCAM", "own"),
        ("SoftCAM", "contrast"),
        ("Grad-CAM (twin)", "own"),
        ("Grad-CAM (twin)", "contrast"),
        ("Uniform map", "-"),
    }


def test_predictions_agree_with_the_loaded_model(trained):
    data, run = trained
    model = package.load(run / "model.safetensors")
    with (run / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["split"] for row in rows] == ["test"] * 6
    for row in rows:
        explanation = package.explain(model, data / "images" / row["image"])
        assert abs(float(row["prob_dotted"]) - explanation.probabilities[1]) < 1e-5
        assert abs(float(row["logit_plain"]) - explanation.logits[0]) < 1e-4
        assert row["predicted"] == explanation.predicted[0]


def test_the_model_file_says_all_that_inference_needs(trained):
    info = package.load(trained[1] / "model.safetensors").info
    assert info.classes == ("plain", "dotted")
    assert info.positive == "dotted"
    assert 0 <= info.thresholds["dotted"] <= 1
    assert info.preprocessing["size"] == [32, 32]
    assert info.training["config"]["epochs"] == 1
    assert len(info.training["data"]["sha256"]) == 64


def test_checkpoints_hold_tensors_and_primitives_only(trained):
    for name in ("last.ckpt", "best.ckpt"):
        path = trained[1] / "checkpoints" / name
        assert "state_dict" in torch.load(path, weights_only=True)


def test_the_written_configuration_runs_again_to_the_same_weights(trained, softcam, tmp_path):
    _, run = trained
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["with_twin"] = False
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(values))
    result = softcam("train", "--config", tmp_path / "again.yaml", "--out", tmp_path / "again")
    assert result.code == 0, result.err
    first = package.load(run / "model.safetensors").state_dict()
    second = package.load(tmp_path / "again" / "model.safetensors").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_run(trained, softcam, tmp_path):
    data, run = trained
    result = softcam("train", data, "--out", tmp_path / "other", *FAST, "--seed", "1")
    assert result.code == 0, result.err
    first = package.load(run / "model.safetensors").head.conv.weight
    assert not torch.equal(
        first, package.load(tmp_path / "other" / "model.safetensors").head.conv.weight
    )


def test_class_folders_train_without_a_table(dots, softcam, tmp_path):
    folders = tmp_path / "folders"
    for number, path in enumerate(sorted((dots / "images").iterdir(), key=lambda p: int(p.stem))):
        label = "DOT" if number % 2 else "NORMAL"
        split = "train" if number < 16 else "test"
        (folders / split / label).mkdir(parents=True, exist_ok=True)
        path.rename(folders / split / label / path.name)
    result = softcam("train", folders, "--out", tmp_path / "run", *FAST)
    assert result.code == 0, result.err
    assert package.load(tmp_path / "run" / "model.safetensors").info.classes == ("NORMAL", "DOT")


@pytest.mark.parametrize(
    "extra",
    [
        ("--one-logit",),
        ("--channels", "grey", "--optimizer", "sgd", "--class-weights", "balanced"),
        ("--l1", "0.1", "--l2", "0.1", "--drop-rate", "0.2", "--patience", "1"),
        ("--precision", "bf16", "--augment", "fundus", "--cache-gb", "0", "--workers", "1"),
        ("--black-box",),
        MOSAICS,
        CONSISTENT,
    ],
)
def test_every_kind_of_run_finishes(dots, softcam, tmp_path, extra):
    run = tmp_path / "run"
    result = softcam("train", dots, "--out", run, *FAST, *extra)
    assert result.code == 0, result.err
    assert Run(run).finished
    assert softcam("evaluate", run, dots).code == 0


def test_the_twin_of_a_run_with_mosaics_trains_plain_and_says_so(dots, softcam, tmp_path, caplog):
    run = tmp_path / "run"
    shaped = ("--mosaic", "2", "--mosaic-share", "1", "--l1", "0.1")
    with caplog.at_level("INFO", logger="softcam"):
        result = softcam("train", dots, "--out", run, *FAST, *shaped, "--with-twin")
    assert result.code == 0, result.err
    assert "twin trains without mosaics" in caplog.text
    assert Run(run).config().mosaic == (2,)
    assert Run(run / "twin").config().mosaic == ()
    assert Run(run / "twin").finished


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--penalty-classes", "spotted"), "no map of 'spotted'; the maps are of plain, dotted"),
        (("--mosaic", "2", "--black-box"), "a black box has no maps and so no mosaics"),
        (("--mosaic", "2", "--model", "mobilenetv3_small_050"), "has a gated head"),
        (("--mosaic", "4", "--model", "resnet10t"), "need maps of at least 4 x 4 cells"),
    ],
)
def test_shaping_that_cannot_be_is_refused_and_leaves_nothing(
    dots, softcam, tmp_path, extra, message
):
    flags = ("--size", "64", "--epochs", "1")
    result = softcam("train", dots, "--out", tmp_path / "run", *flags, *extra)
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert not (tmp_path / "run").exists()


def test_multilabel_tables_with_unknown_labels_train(dots, softcam, tmp_path):
    lines = (dots / "table.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    text = "image,dotted,odd,split\n"
    for number, (image, label, split, _) in enumerate(rows):
        text += f"{image},{label},{'' if number % 5 == 0 else number % 2},{split}\n"
    (dots / "table.csv").write_text(text)
    (dots / "dataset.yaml").write_text("task: multilabel\nclasses: [dotted, odd]\n")
    result = softcam("train", dots, "--out", tmp_path / "run", *FAST)
    assert result.code == 0, result.err
    assert set(package.load(tmp_path / "run" / "model.safetensors").info.thresholds) == {
        "dotted",
        "odd",
    }


def test_ordinal_tables_report_quadratic_kappa(dots, softcam, tmp_path):
    lines = (dots / "table.csv").read_text().splitlines()
    text = lines[0] + "\n"
    for number, line in enumerate(lines[1:]):
        image, _, split, patient = line.split(",")
        text += f"{image},{number % 3},{split},{patient}\n"
    (dots / "table.csv").write_text(text)
    (dots / "dataset.yaml").write_text("task: ordinal\nclasses: [none, mild, severe]\n")
    result = softcam("train", dots, "--out", tmp_path / "run", *FAST)
    assert result.code == 0, result.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "kappa" in metrics["classification"]["intervals"]
