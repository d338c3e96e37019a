"""A tiny classifier with known weights, and images whose parts decide its answers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from softcam.data.annotations import Annotations, Box
from softcam.data.geometry import Geometry
from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.evaluation.explanations.result import Case
from softcam.evidence.info import ModelInfo, Task
from softcam.explanation.attributions.subject import Subject
from softcam.workflows.benchmark.choose import CaseBatch, Chosen

SIDE = 16
INFO = ModelInfo(task=Task.BINARY, classes=("plain", "ill"), positive="ill")


class Reader(nn.Module):
    """Calls the class by the mean of one part of the image, whatever the rest shows."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.part = (rows, columns)
        self.gain = nn.Parameter(torch.tensor(8.0))

    def forward(self, x):
        seen = x[:, :, self.part[0], self.part[1]].mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-self.gain * seen, self.gain * seen], dim=1)


CORNER = Reader(slice(0, 4), slice(0, 4))
MIDDLE = Reader(slice(6, 10), slice(6, 10))


def reader_of(part: nn.Module, info: ModelInfo = INFO) -> Subject:
    return Subject("SoftCAM", part.eval(), info)


def marked_images(count=16):
    """Ill images are bright in the middle; 3 of 4 have a bright mark in the corner, which is
    annotated as a distractor beside another one in a corner that nobody reads."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 0.2, (count, 1, SIDE, SIDE)).astype(np.float32)
    boxes, ill = {}, np.arange(count) % 2 == 1
    for row in np.flatnonzero(ill):
        pixels[row, :, 6:10, 6:10] = 1
        boxes[f"{row}.png"] = [("spot", Box(6, 6, 4, 4)), ("label", Box(12, 12, 4, 4))]
        if row % 8 != 7:
            pixels[row, :, 0:4, 0:4] = 1
            boxes[f"{row}.png"].append(("mark", Box(0, 0, 4, 4)))
    return pixels, ill, {name: tuple(found) for name, found in boxes.items()}


def chosen_of(pixels, ill, boxes):
    findings = {"spot": "ill", "mark": "distractor", "label": "distractor"}
    spec = DatasetSpec(Task.BINARY, ("plain", "ill"), "ill", findings)
    records = tuple(
        Record(f"{row}.png", f"{row}.png", int(ill[row]), "test", f"p{row}", row)
        for row in range(len(pixels))
    )
    cases = tuple(
        Case(f"{row}.png", f"p{row}", "ill", bool(ill[row]), bool(ill[row]))
        for row in range(len(pixels))
    )
    table = Table("t.csv", records, spec, Annotations(boxes=boxes), ())
    return Chosen(table, cases, np.ones(len(pixels), dtype=np.int64), 0)


def batch_of(chosen, pixels, ill, rows=None):
    """What `case_batches` would give of these images."""
    rows = np.arange(len(pixels)) if rows is None else np.asarray(rows)
    geometry = Geometry.of((SIDE, SIDE))
    marks = chosen.table.annotations

    def masks(*findings):
        found = np.zeros((len(rows), SIDE, SIDE), dtype=bool)
        for place, row in enumerate(rows):
            if marks.has(f"{row}.png"):
                found[place] = marks.mask(f"{row}.png", findings, geometry)
        return found

    return CaseBatch(
        rows=rows,
        pixels=pixels[rows],
        classes=chosen.classes[rows],
        present=ill[rows],
        lesions=masks("spot"),
        distractors=masks("mark", "label"),
        organs=np.zeros((len(rows), SIDE, SIDE), dtype=bool),
        geometries=(geometry,) * len(rows),
        findings={"spot": masks("spot")},
    )
