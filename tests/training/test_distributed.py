"""Several processes, started and watched by the agent that torchrun starts too."""

import json
import shutil
import signal

import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from softcam.errors import InputError
from softcam.training.checkpoints import read_checkpoint
from tests.training.children import (
    command_together,
    draw,
    server,
    tiny_model,
    train,
    train_and_keep,
    train_together,
)

SETTINGS = {"optimizer": "sgd", "lr": 0.05, "epochs": 5, "class_weights": "balanced", "l1": 0.1}
STEPS = 5 * 4


def launch(entry, *arguments, restarts=0):
    server()  # whose children the agent's are
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
        start_method="forkserver",
    )
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        return elastic_launch(config, entry)(*arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def alone(data, out, settings):
    child = server().Process(target=train_and_keep, args=(data, out, None, settings))
    child.start()
    child.join(120)
    assert child.exitcode == 0


def last(out):
    return read_checkpoint(out / "checkpoints" / "last.ckpt")


def result(out, rank):
    return json.loads((out / f"result{rank}.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "table"
    draw(folder, val=7)  # an odd number for two processes
    return folder


@pytest.fixture(scope="module")
def two(data, tmp_path_factory):
    """A run of two processes that nobody disturbed, with dropout."""
    out = tmp_path_factory.mktemp("two") / "run"
    launch(train_together, data, out, SETTINGS)
    return out


def test_two_processes_train_as_one_that_accumulates(data, two, tmp_path):
    alone(data, tmp_path, {**SETTINGS, "accumulate": 2})
    expected, found = last(tmp_path), last(two)
    assert expected["global_step"] == found["global_step"] == STEPS
    fresh, moved = tiny_model().state_dict(), {}
    for name, weights in expected["state_dict"].items():
        if "running" in name or "num_batches" in name:
            continue  # what is not trained differs: each process normalises its own images
        torch.testing.assert_close(found["state_dict"][name], weights, rtol=0, atol=1e-5)
        moved[name] = float((fresh[name.removeprefix("model.")] - weights).abs().max())
    assert all(change > 1e-3 for name, change in moved.items() if name.endswith("weight"))
    whole = json.loads((tmp_path / "result.json").read_text())["history"]
    for row, other in zip(whole, result(two, 0)["history"], strict=True):
        for name in ("train_loss", "train_penalty", "lr"):
            assert row[name] == pytest.approx(other[name], abs=1e-5)


def test_both_end_with_the_same_model_and_history_and_one_writes(two):
    first, second = (torch.load(two / f"weights{r}.pt", weights_only=True) for r in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert result(two, 0) == result(two, 1)
    assert len(list((two / "logs").glob("events*"))) == 1


def test_validation_is_over_all_images_once(data, tmp_path):
    settings = {**SETTINGS, "norms": False, "epochs": 3}  # norms would differ, see above
    launch(train_together, data, tmp_path / "two", settings)
    alone(data, tmp_path / "one", {**settings, "accumulate": 2})
    expected = json.loads((tmp_path / "one" / "result.json").read_text())["history"]
    found = result(tmp_path / "two", 0)["history"]
    assert len({row["val_loss"] for row in expected}) == 3
    for row, other in zip(expected, found, strict=True):
        assert other == pytest.approx(row, abs=1e-5)


@pytest.mark.parametrize("within_epochs", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_starts_again_and_ends_with_the_same_weights(
    within_epochs, data, two, tmp_path
):
    settings = {**SETTINGS, "checkpoint_steps": within_epochs}
    launch(train_together, data, tmp_path, settings, 10, restarts=1)
    assert {**result(tmp_path, 0), "restarts": 0} == result(two, 0)
    assert result(tmp_path, 0)["restarts"] == 1
    for name, weights in last(two)["state_dict"].items():
        assert torch.equal(last(tmp_path)["state_dict"][name], weights)


def test_the_command_goes_on_after_a_restart(data, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", str(data), "--out", str(out), "--model", "resnet10t", "--stages", "1"]
    arguments += ["--size", "32", "--epochs", "3", "--batch-size", "4"]
    last = out / "checkpoints" / "last.ckpt"
    launch(command_together, arguments, last, restarts=1)
    assert json.loads((out / "metrics.json").read_text())
    assert len((out / "logs" / "metrics.csv").read_text().splitlines()) == 4
    starts = json.loads((out / "environment.json").read_text())["starts"]
    assert [(start["processes"], start["restarts"]) for start in starts] == [(2, 0), (2, 1)]


def test_a_run_goes_on_with_as_many_processes_only(data, two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    with pytest.raises(InputError, match="was started with 2 processes, not 1 process"):
        train(data, tmp_path / "run", **SETTINGS, accumulate=2)
