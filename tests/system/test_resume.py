import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

import softcam as package
from tests.system.conftest import FAST


def package_history(run):
    from softcam.training.run import Run

    return Run(run).history()


SLOW = (*(x if x != "1" else "1" for x in FAST[:-4]), "--epochs", "3", "--lr", "0.01")


def start(arguments):
    code = "from softcam.cli.app import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_resumes_to_the_same_weights(how, dots, softcam, tmp_path):
    whole = tmp_path / "whole"
    arguments = ("train", dots, *SLOW, "--augment", "fundus", "--drop-rate", "0.2")
    arguments = (*arguments, "--batch-size", "2")
    result = softcam(*arguments, "--out", whole)
    assert result.code == 0, result.err

    broken = tmp_path / "broken"
    process = start((*arguments, "--out", broken))
    log = broken / "logs" / "metrics.csv"
    deadline = time.monotonic() + 120
    while not (log.is_file() and (broken / "checkpoints" / "last.ckpt").is_file()):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
    assert not (broken / "metrics.json").exists(), "the run was over before the interruption"
    if how is signal.SIGINT:
        assert process.returncode == 130, output
        assert f"softcam train --resume --out {broken}" in output
        assert "Traceback" not in output

    refused = softcam(*arguments, "--out", broken)
    assert refused.code == 2
    assert "--resume" in refused.err
    result = softcam("train", "--resume", "--out", broken)
    assert result.code == 0, result.err
    for one, other in zip(package_history(whole), package_history(broken), strict=True):
        one.pop("seconds"), other.pop("seconds")
        assert one == other
    first = package.load(whole / "model.safetensors").state_dict()
    second = package.load(broken / "model.safetensors").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_last_checkpoint_is_of_the_last_epoch_not_of_the_best(dots, softcam, tmp_path):
    run = tmp_path / "run"
    # Learning rates that undo what was learnt: later epochs are rarely the best one.
    flags = ("--epochs", "4", "--lr", "5", "--optimizer", "sgd", "--patience", "4")
    result = softcam("train", dots, "--out", run, *FAST[:-4], *flags)
    assert result.code == 0, result.err
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 3
    rows = package_history(run)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert all(row["train_loss"] is not None for row in rows)


def test_a_run_is_not_resumed_with_other_settings(trained, softcam, dots, tmp_path):
    _, run = trained
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    result = softcam("train", "--resume", "--out", half, "--epochs", "9")
    assert result.code == 2
    assert "started with epochs 1, not 9" in result.err


@pytest.fixture
def unfinished(trained, tmp_path):
    """A copy of a data set and of its run, as if that had been killed at the end."""
    data, run = trained
    shutil.copytree(data, tmp_path / "dots")
    shutil.copytree(run, tmp_path / "run")
    for name in ("metrics.json", "model.safetensors"):
        (tmp_path / "run" / name).unlink()
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(data), str(tmp_path / "dots")))
    return tmp_path / "dots", tmp_path / "run"


class _Planted:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_code_planted_in_a_checkpoint_is_refused_and_not_run(name, unfinished, softcam, tmp_path):
    _, run = unfinished
    witness = tmp_path / "witness"
    checkpoint = run / "checkpoints" / name
    content = torch.load(checkpoint, weights_only=True)
    content["callbacks"]["planted"] = _Planted(witness)
    torch.save(content, checkpoint)
    result = softcam("train", "--resume", "--out", run)
    assert result.code == 2
    assert f"{name}: is damaged, or holds more than tensors" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not witness.exists()
    torch.load(checkpoint, weights_only=False)
    assert witness.exists(), "it would have run"


def test_a_table_edited_between_the_parts_of_a_run_is_noticed(unfinished, softcam):
    data, run = unfinished
    table = data / "table.csv"
    text = table.read_bytes()
    table.write_bytes(text.replace(b"2.png,0,train", b"2.png,1,train", 1))
    assert table.read_bytes() != text
    result = softcam("train", "--resume", "--out", run)
    assert result.code == 2
    assert "is no longer the table that it was" in result.err
    assert not (run / "metrics.json").exists()
    table.write_bytes(text)
    result = softcam("train", "--resume", "--out", run)
    assert result.code == 0, result.err


def test_there_must_be_something_to_resume(softcam, dots, tmp_path):
    result = softcam("train", dots, "--out", tmp_path / "run", "--resume")
    assert result.code == 2
    assert "holds no run to resume" in result.err
