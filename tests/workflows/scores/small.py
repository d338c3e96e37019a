"""Small tables and a predictor whose evidence can be told by eye; used by child processes too."""

from __future__ import annotations

import csv
import hashlib
import time
from pathlib import Path

import numpy as np
from PIL import Image

from softcam.data.preprocessing import Preprocessing
from softcam.evidence.info import ModelInfo, Task

PREPARED = Preprocessing(size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)


class BlockMeans:
    """Evidence: (k + 1) times each 8 × 8 block's mean, minus k. Counts its images; may be slow."""

    def __init__(self, outputs=2, task=Task.BINARY, classes=("plain", "bright"), seconds=0.0):
        self.info = ModelInfo(task=task, classes=classes, preprocessing=PREPARED.to_dict())
        self.outputs = outputs
        self.seconds = seconds
        self.batches: list[int] = []

    def predict(self, batch):
        time.sleep(self.seconds)
        self.batches.append(len(batch))
        count, channels, height, width = batch.shape
        blocks = batch.reshape(count, channels, height // 8, 8, width // 8, 8).mean(axis=(1, 3, 5))
        evidence = np.stack([(k + 1) * blocks - k / 2 for k in range(self.outputs)], axis=1)
        return evidence.mean(axis=(2, 3)), evidence.astype(np.float32)


def draw_table(folder: Path, count: int, *, label=lambda number: number % 2) -> Path:
    """Write `count` small images, no two alike, and a table of them."""
    generator = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "label", "split", "patient"))
        for number in range(count):
            pixels = generator.integers(0, 256, (20 + number % 7, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{number:03d}.png")
            split = "test" if number % 4 == 3 else "train"
            writer.writerow((f"{number:03d}.png", label(number), split, f"p{number // 2}"))
    return folder / "table.csv"


def content_of(folder: Path) -> dict[str, str]:
    """Every file under a folder with the digest of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def times_of(folder: Path) -> dict[str, int]:
    """When each file under a folder was written."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }
