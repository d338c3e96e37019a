"""Habits of a lab together: what they change, and that a resumed run knows them all."""

from __future__ import annotations

import sys

import pytest
import torch

import softcam as package
from softcam.training.run import Run
from softcam.training.task import ClassificationTask
from tests.system.conftest import FAST

HABITS = (
    *("--ema", "0.9", "--sampling", "progressive"),
    *("--freeze", "0", "--layer-decay", "0.5", "--head-lr", "2"),
    *("--loss", "focal", "--label-smoothing", "0.1"),
)


def weights(run):
    return package.load(run / "model.safetensors").state_dict()


@pytest.mark.parametrize("place", [(2, 0), (1, 2)], ids=["between epochs", "within an epoch"])
def test_a_run_with_every_habit_resumes_to_the_same_weights(
    place, dots, softcam, tmp_path, monkeypatch
):
    flags = (*FAST[:6], "--epochs", "3", "--batch-size", "4", "--drop-rate", "0.2", *HABITS)
    result = softcam("train", dots, "--out", tmp_path / "whole", *flags)
    assert result.code == 0, result.err

    with monkeypatch.context() as patch:
        seeded = ClassificationTask.on_train_batch_start

        def interrupt(self, batch, batch_idx):
            if (self.current_epoch, batch_idx) == place:
                raise KeyboardInterrupt
            seeded(self, batch, batch_idx)

        patch.setattr(ClassificationTask, "on_train_batch_start", interrupt)
        broken = (*flags, "--checkpoint-steps", "1")
        result = softcam("train", dots, "--out", tmp_path / "broken", *broken)
        assert result.code == 130, result.err
    result = softcam("train", "--resume", "--out", tmp_path / "broken")
    assert result.code == 0, result.err

    first, second = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(first[name], second[name]) for name in first)
    histories = [Run(tmp_path / name).history() for name in ("whole", "broken")]
    for one, other in zip(*histories, strict=True):
        one.pop("seconds"), other.pop("seconds")
        assert one == other


def test_the_saved_model_is_the_average(dots, softcam, tmp_path):
    run = tmp_path / "run"
    result = softcam("train", dots, "--out", run, *FAST, "--ema", "0.9")
    assert result.code == 0, result.err
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    saved = weights(run)
    for name, value in saved.items():
        assert torch.equal(checkpoint["state_dict"][f"model.{name}"], value)
    head = "head.conv.weight"
    assert not torch.equal(checkpoint["training_weights"][f"model.{head}"], saved[head])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--loss", "ordinal"), "loss: ordinal is for classes in order"),
        (("--sampling", "often"), "sampling: "),
        (("--ema", "1"), "ema: "),
        (("--focal-gamma", "-1"), "focal_gamma: "),
        (("--label-smoothing", "1"), "label_smoothing: "),
        (("--precision", "fp16", "--device", "cpu"), "fp16 needs a CUDA GPU"),
        (("--mlflow-uri", "http://x"), "mlflow_uri is of no use without mlflow"),
        (("--layer-decay", "2"), "layer_decay: "),
        (("--freeze", "all"), "freeze: give a number of stages, or backbone, not all"),
        (("--freeze", "3"), "freeze: this backbone has stages up to 1, not 3"),
    ],
)
def test_a_habit_that_does_not_fit_is_refused_in_a_sentence(
    flags, message, dots, softcam, tmp_path
):
    result = softcam("train", dots, "--out", tmp_path / "run", *FAST, *flags)
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "run").exists()


def test_a_frozen_backbone_keeps_weights_and_statistics(dots, softcam, tmp_path):
    frozen, free = tmp_path / "frozen", tmp_path / "free"
    flags = (*FAST[:6], "--epochs", "2", "--freeze", "backbone")
    for run, more in ((frozen, ()), (free, ("--freeze", "0"))):
        result = softcam("train", dots, "--out", run, *flags, *more)
        assert result.code == 0, result.err
    torch.manual_seed(0)
    start = package.create_model("resnet18", num_classes=2, stages=1).state_dict()
    after, other = weights(frozen), weights(free)
    changed = {name for name in start if not torch.equal(start[name], after[name])}
    assert changed == {"head.conv.weight", "head.conv.bias"}
    assert {name for name in start if not torch.equal(start[name], other[name])} > changed


def test_what_is_logged_reaches_every_logger(dots, softcam, tmp_path, monkeypatch):
    from lightning.pytorch.loggers import CSVLogger

    from softcam.training import trackers

    monkeypatch.setattr("softcam.workflows.train.require_mlflow", lambda: None)
    monkeypatch.setattr(
        trackers, "mlflow_logger", lambda config, folder: CSVLogger(folder, "tracked", "")
    )
    run = tmp_path / "run"
    result = softcam("train", dots, "--out", run, *FAST, "--mlflow")
    assert result.code == 0, result.err
    assert "val_auc" in (run / "tracked" / "metrics.csv").read_text()
    assert any(path.name.startswith("events") for path in (run / "logs").iterdir())


def test_without_mlflow_one_sentence_tells_how_to_get_it(dots, softcam, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    result = softcam("train", dots, "--out", tmp_path / "run", *FAST, "--mlflow")
    assert result.code == 1
    assert 'run: pip install "softcam[mlflow]"' in " ".join(result.err.split())
    assert not (tmp_path / "run").exists()


def test_ordered_classes_train_with_their_own_loss_and_keep_a_map_for_each(dots, softcam, tmp_path):
    head, *lines = (dots / "table.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    graded = [f"{row[0]},{n % 3},{row[2]},{row[3]}" for n, row in enumerate(rows)]
    (dots / "table.csv").write_text("\n".join([head, *graded]) + "\n")
    (dots / "dataset.yaml").write_text("task: ordinal\nclasses: [none, mild, severe]\n")
    run = tmp_path / "run"
    result = softcam("train", dots, "--out", run, *FAST, "--loss", "ordinal")
    assert result.code == 0, result.err
    model = package.load(run / "model.safetensors")
    output = model(torch.zeros(1, 3, 32, 32))
    assert output.evidence.shape[1] == 3
    torch.testing.assert_close(output.evidence.mean((2, 3)), output.logits)


def test_multilabel_tables_train_with_the_focal_loss_and_unknown_labels(dots, softcam, tmp_path):
    _, *lines = (dots / "table.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines]
    text = "image,dotted,odd,split\n"
    for n, row in enumerate(rows):
        text += f"{row[0]},{row[1]},{'' if n % 5 == 0 else n % 2},{row[2]}\n"
    (dots / "table.csv").write_text(text)
    (dots / "dataset.yaml").write_text("task: multilabel\nclasses: [dotted, odd]\n")
    flags = (*FAST, "--loss", "focal", "--label-smoothing", "0.1", "--class-weights", "balanced")
    result = softcam("train", dots, "--out", tmp_path / "run", *flags)
    assert result.code == 0, result.err
    refused = softcam("train", dots, "--out", tmp_path / "other", *FAST, "--sampling", "balanced")
    assert refused.code == 2
    assert "a multi-label table belongs to several" in refused.err
    assert not (tmp_path / "other").exists()
