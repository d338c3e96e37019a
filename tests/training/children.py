"""A small training in a process of its own, which may be killed at any point.

Children are forked from a server that has imported everything and computed nothing, so that one
starts in no time. Every child has one thread, so that all sum up in the same order.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch import nn

import softcam
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.evidence.model import SoftCAM
from softcam.training import checkpoints
from softcam.training.augment import Augment
from softcam.training.config import TrainConfig
from softcam.training.dataset import ImageDataset
from softcam.training.loop import Fitted, fit
from softcam.training.processes import Processes


def server() -> multiprocessing.context.BaseContext:
    """Give the context whose children are forked from a fresh process."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "softcam.cli.app", "softcam.workflows.train"])
    return context


def draw(folder: Path, *, train: int = 22, val: int = 7, seed: int = 0) -> None:
    """Write a table of small noisy images, the positive ones brighter on one side."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = ["image,label,split"]
    for number in range(train + val):
        label = number % 3 % 2  # the classes are not balanced
        pixels = generator.integers(0, 200, (16, 16, 3)).astype(np.uint8)
        pixels[:, :8] += np.uint8(40 * label)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{label},{'train' if number < train else 'val'}")
    (folder / "table.csv").write_text("\n".join(lines))


def tiny_model(*, drop_rate: float = 0.3, norms: bool = True) -> SoftCAM:
    """Build a network with batch normalisation and dropout, always with the same weights."""
    torch.manual_seed(5)
    norm = nn.BatchNorm2d if norms else nn.Identity
    black_box = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, stride=2, padding=1), norm(6), nn.ReLU()),
        *(nn.Dropout2d(drop_rate), nn.Conv2d(6, 8, 3, padding=1), norm(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)),
    )
    return softcam.convert(black_box)


def train(data: Path, out: Path, *callbacks: Callback, **settings: object) -> Fitted:
    """Train the tiny model, or go on with it."""
    torch.set_num_threads(1)
    model = tiny_model(**{k: settings.pop(k) for k in ("drop_rate", "norms") if k in settings})
    table = read_table(data / "table.csv")
    base = {"table": data, "out": out, "epochs": 4, "batch_size": 3, "lr": 0.02, "seed": 7}
    config = TrainConfig(**{**base, "device": "cpu", "precision": "32", **settings})
    preprocessing = Preprocessing((16, 16))
    augment = Augment(config.augment)
    return fit(
        model,
        config,
        table.spec.task,
        ImageDataset(table.subset("train"), preprocessing, augment=augment, seed=config.seed),
        ImageDataset(table.subset("val"), preprocessing),
        out,
        show_progress=False,
        callbacks=callbacks,
    )


def train_and_keep(data: Path, out: Path, kill: tuple[str, int] | None, settings: dict) -> None:
    """Train in this process, die where `kill` says, else write what came out.

    Args:
        data: The table's folder.
        out: The run folder.
        kill: ("calls", n) after n function calls from the beginning of training on, ("early", n)
            from the beginning of the process on; ("write", n) in the middle of the n-th
            checkpoint's bytes; ("rename", n) when they are written and not yet in place.
        settings: As `train` takes them.
    """
    with _killed(*kill) if kill else _counted("calls") as counter:
        begun = _Begun(counter)
        fitted = train(data, out, begun, **settings)
    torch.save(fitted.model.state_dict(), out / "weights.pt")
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.history]
    calls = {"training": counter[0], "before": begun.before}
    (out / "result.json").write_text(json.dumps({"history": rows, "calls": calls}))


class _Begun(Callback):
    """Starts to count when training does: to read a checkpoint takes many calls."""

    def __init__(self, counter):
        self.counter = counter
        self.before = 0

    def on_train_start(self, trainer, pl_module):
        if self.counter[0] < 0:
            self.before = self.counter[0] + _LONG_BEFORE
            self.counter[0] = 0


_LONG_BEFORE = 10**12


@contextmanager
def _counted(where: str, limit: int = sys.maxsize):
    """Count function calls; die at the limit, wherever in softcam, Lightning or torch it is."""
    counter = [0 if where == "early" else -_LONG_BEFORE]

    def called(frame, event, argument):
        if event in ("call", "c_call"):
            counter[0] += 1
            if counter[0] == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(called)
    try:
        yield counter
    finally:
        sys.setprofile(None)


@contextmanager
def _killed(where: str, number: int):
    if where in ("calls", "early"):
        with _counted(where, number) as counter:
            yield counter
        return
    whole, seen = checkpoints.replacing, [0]

    @contextmanager
    def replacing(path):
        seen[0] += 1
        with whole(path) as stream:
            if seen[0] == number and where == "write":
                stream = _Torn(stream)
            yield stream
            if seen[0] == number and where == "rename":
                stream.flush()
                os.fsync(stream.fileno())
                os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.replacing = replacing
    try:
        yield [0]
    finally:
        checkpoints.replacing = whole


class _Torn:
    """A stream that dies after the first few thousand bytes."""

    def __init__(self, stream):
        self.stream = stream
        self.room = 5000

    def write(self, data):
        self.stream.write(bytes(data)[: self.room])
        self.room -= len(data)
        if self.room < 0:
            self.stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return len(data)

    def flush(self):
        self.stream.flush()


def train_together(data: Path, out: Path, settings: dict, dies_at: int = 0) -> None:
    """Train as one of several processes that torch's elastic agent started.

    Args:
        data: The table's folder.
        out: The run folder.
        settings: As `train` takes them.
        dies_at: At the first start, the second process dies after so many steps; 0: never.
    """
    processes = Processes.of_environment()
    dies = dies_at and processes.rank == 1 and not processes.restarts
    with processes.joined("cpu"):
        fitted = train(data, out, *([_DiesAt(dies_at)] if dies else []), **settings)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.history]
    kept = {"history": rows, "restarts": processes.restarts}
    (out / f"result{processes.rank}.json").write_text(json.dumps(kept))
    torch.save(fitted.model.state_dict(), out / f"weights{processes.rank}.pt")


class _DiesAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def command_together(arguments: list[str], checkpoint: Path) -> int:
    """Run a command line as one of several processes; the second dies at the first checkpoint."""
    processes = Processes.of_environment()
    if processes.rank == 1 and not processes.restarts:
        threading.Thread(target=_die_with, args=(checkpoint,), daemon=True).start()
    from softcam.cli.app import app
    from softcam.cli.errors import run_safely

    torch.set_num_threads(1)
    code = run_safely(lambda: app(arguments, standalone_mode=False))
    if code:
        raise SystemExit(code)
    return code


def _die_with(path):
    while not path.is_file():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
