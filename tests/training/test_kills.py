"""A run that is killed, however often and wherever, ends as one that was not."""

import csv
import json
import signal

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from softcam.training.checkpoints import read_checkpoint
from tests.training.children import draw, server, train_and_keep

SETTINGS = {"accumulate": 2, "clip": 1.0, "checkpoint_steps": 1, "class_weights": "balanced"}
SETTINGS |= {"l1": 0.1, "epochs": 5, "augment": "fundus"}
STEPS = 5 * 4


def run(data, out, kill=None):
    child = server().Process(target=train_and_keep, args=(data, out, kill, SETTINGS))
    child.start()
    child.join(120)
    assert child.exitcode == (0 if kill is None else -signal.SIGKILL)


def outcome(out):
    """What a run leaves behind: weights, history, and both logs."""
    result = json.loads((out / "result.json").read_text())
    with (out / "logs" / "metrics.csv").open(newline="") as stream:
        lines = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(stream)]
    return torch.load(out / "weights.pt", weights_only=True), result["history"], lines, events(out)


def events(out):
    """Every scalar in the event files, in the order of their steps."""
    found = []
    for path in (out / "logs").glob("events*"):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.append((event.step, value.tag, value.tensor.float_val[0]))
    return sorted(found)


def same(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])
    assert one[1:] == other[1:]


def done(out):
    last = out / "checkpoints" / "last.ckpt"
    return read_checkpoint(last)["global_step"] if last.is_file() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A table, and a run over it that nobody disturbed."""
    root = tmp_path_factory.mktemp("whole")
    draw(root / "data")
    run(root / "data", root / "run")
    return root / "data", root / "run"


def test_ten_kills_at_random_points_and_in_checkpoints_change_nothing(whole, tmp_path):
    data, unbroken = whole
    calls = json.loads((unbroken / "result.json").read_text())["calls"]
    each = calls["training"] / STEPS
    generator = np.random.default_rng(11)
    out = tmp_path / "run"
    chosen = {2: ("write", 1), 5: ("rename", 2), 8: ("write", 2)}
    chosen[6] = "early", int(generator.integers(calls["before"]))
    reached = []
    for number in range(10):
        kill = chosen.get(number)
        if kill is None:
            left = (STEPS - done(out)) * each
            kill = "calls", 1 + int(generator.uniform(0, 0.4) * left)
        run(data, out, kill)
        reached.append(done(out))
    assert reached == sorted(reached)
    assert len(set(reached)) > 4, "the kills must fall into many places"
    assert reached[-1] < STEPS
    assert any(step % 4 for step in reached), "and within epochs"
    run(data, out)
    same(outcome(unbroken), outcome(out))
    left = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert left == ["best.ckpt", "last.ckpt"]


def test_what_is_compared_is_not_empty(whole):
    weights, history, lines, scalars = outcome(whole[1])
    assert len(weights) > 10
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert [line["epoch"] for line in lines] == ["1", "2", "3", "4", "5"]
    assert len({row["train_loss"] for row in history}) == 5
    names = {tag for _, tag, _ in scalars}
    assert names >= {"train_loss", "train_penalty", "val_loss", "val_auc"}
    losses = [(step, value) for step, tag, value in scalars if tag == "train_loss"]
    assert [step for step, _ in losses] == [3, 7, 11, 15, 19]
    assert [value for _, value in losses] == pytest.approx([row["train_loss"] for row in history])


def test_a_checkpoint_holds_tensors_and_primitives_only(whole):
    seen = set()

    def walk(item):
        seen.add(type(item))
        if isinstance(item, dict):
            for pair in item.items():
                walk(pair)
        elif isinstance(item, list | tuple):
            for part in item:
                walk(part)

    state = read_checkpoint(whole[1] / "checkpoints" / "last.ckpt")
    walk(state)
    assert {kind.__name__ for kind in seen} <= {
        *("dict", "OrderedDict", "defaultdict", "list", "tuple", "str", "int", "float", "bool"),
        *("NoneType", "Tensor"),
    }
    place = state["callbacks"]["Place"]
    assert (place["epoch"], place["batch"]) == (5, 0)
    assert place["random"].keys() >= {"torch", "numpy", "python"}
