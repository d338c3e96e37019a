"""A model that was trained on a planted shortcut is exposed by its benchmark."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.system.conftest import write_csv

SIDE, MARK = 32, 6


def draw_marked(folder, count=120):
    """Diseased images have a faint spot, and in 9 of 10 a bright mark in the corner."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows, boxes = [], []
    for number in range(count):
        image = rng.integers(40, 140, (SIDE, SIDE, 3)).astype(np.uint8)
        ill = number % 2
        if ill:
            x, y = rng.integers(10, SIDE - 8, 2)
            image[y : y + 6, x : x + 6] += 20
            boxes.append((f"{number}.png", x, y, 6, 6, "spot"))
            if number % 20 != 19:
                image[1 : 1 + MARK, 1 : 1 + MARK] = (250, 240, 60)
                boxes.append((f"{number}.png", 1, 1, MARK, MARK, "corner_mark"))
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        split = "train" if number < 60 else "val" if number < 80 else "test"
        rows.append((f"{number}.png", ill, split, f"p{number}"))
    write_csv(folder / "table.csv", ("image", "label", "split", "patient"), rows)
    write_csv(folder / "boxes.csv", ("image", "x", "y", "width", "height", "finding"), boxes)
    (folder / "dataset.yaml").write_text(
        "task: binary\nclasses: [healthy, ill]\npositive: ill\n"
        "findings: {spot: ill, corner_mark: distractor}\n"
    )
    return folder


def test_a_corner_mark_in_nine_of_ten_diseased_is_exposed(softcam, tmp_path):
    data, run, out = draw_marked(tmp_path / "data"), tmp_path / "run", tmp_path / "out"
    trained = softcam(
        "train", data, "--out", run, "--model", "test_resnet", "--size", str(SIDE),
        "--stages", "2", "--epochs", "12", "--lr", "0.01", "--augment", "none", "--patience", "0",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    result = softcam(
        "benchmark", run, data, "--out", out, "--methods", "evidence", "--methods", "uniform",
        "--probes", "2", "--steps", "3", "--resamples", "100", "--gallery", "1",
    )  # fmt: skip
    assert result.code == 0, result.err
    told = " ".join(result.out.split())
    assert "SoftCAM uses 'corner_mark' as a shortcut" in told, told
    inserted = re.search(r"copied into images without it, it turns (\d\.\d+) \[(\d\.\d+)", told)
    assert float(inserted[1]) > 0.5  # most healthy images become diseased with the mark
    assert float(inserted[2]) > 0.1
    for name in ("benchmark.html", "benchmark.md", "benchmark.json"):
        assert "as a shortcut" in (out / name).read_text("utf-8")
    (told,) = json.loads((out / "benchmark.json").read_text("utf-8"))["shortcuts"]
    assert (told["subject"], told["class_name"], told["finding"]) == (
        "SoftCAM", "ill", "corner_mark",
    )  # fmt: skip
    assert told["found"]
    assert told["inserted"]["value"] == pytest.approx(float(inserted[1]), abs=0.005)
    assert told["inserted"]["low"] == pytest.approx(float(inserted[2]), abs=0.005)
    assert told["energy"]["value"] > 3 * told["area"]
    assert told["removed"]["n"] > 0
    rows = list(csv.DictReader((out / "methods.csv").open(newline="")))
    energy = {
        (row["method"], row["map"]): float(row["value"])
        for row in rows
        if row["measure"] == "distractor_energy"
    }
    area = MARK**2 / SIDE**2
    assert energy["uniform", "-"] == pytest.approx(area, rel=1e-3)
    assert energy["evidence", "own"] > 3 * area, energy
