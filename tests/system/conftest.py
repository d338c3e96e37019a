"""Whole commands on a small data set of coloured dots."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.cli.app import app
from softcam.cli.errors import run_safely


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def softcam(capsys):
    """Run a command line in this process."""

    def run(*arguments) -> Result:
        code = run_safely(lambda: app([str(a) for a in arguments], standalone_mode=False))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def draw_dots(folder: Path, *, count: int = 24, size: int = 40, seed: int = 0) -> Path:
    """Write grey images, every other one with a bright dot, and boxes around the dots."""
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows, boxes = [], []
    for number in range(count):
        image = generator.integers(60, 90, (size, size, 3)).astype(np.uint8)
        label = number % 2
        if label:
            x, y = generator.integers(4, size - 12, 2)
            image[y : y + 8, x : x + 8] = (250, 220, 40)
            boxes.append((f"{number}.png", x, y, 8, 8, "dot"))
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        split = "train" if number < count // 2 else "val" if number < 3 * count // 4 else "test"
        rows.append((f"{number}.png", label, split, f"p{number // 2}"))
    write_csv(folder / "table.csv", ("image", "label", "split", "patient"), rows)
    write_csv(folder / "boxes.csv", ("image", "x", "y", "width", "height", "finding"), boxes)
    (folder / "dataset.yaml").write_text(
        "task: binary\nclasses: [plain, dotted]\npositive: dotted\nfindings: {dot: dotted}\n"
    )
    return folder


def write_csv(path, head, rows):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        writer.writerows(rows)


FAST = ("--model", "resnet18", "--stages", "1", "--size", "32", "--epochs", "1", "--lr", "0.01")


@pytest.fixture
def dots(tmp_path) -> Path:
    return draw_dots(tmp_path / "dots")


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """A data set and a finished run with its twin."""
    root = tmp_path_factory.mktemp("trained")
    data = draw_dots(root / "dots")
    run = root / "run"
    arguments = ["train", str(data), "--out", str(run), *FAST, "--with-twin"]
    assert run_safely(lambda: app(arguments, standalone_mode=False)) == 0
    return data, run
