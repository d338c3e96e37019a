"""Findings marked as distractors or organs mean the same whichever file marks them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.geometry import Geometry
from softcam.data.steps import Resize
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.localise import lesions_of
from tests.data.annotationsources import test_segmentation as seg
from tests.data.annotationsources.sets import HEIGHT, WIDTH, read, small_set

FINDINGS = {"spot": (2, 2, 4, 4), "disc": (10, 2, 6, 6), "lung": (0, 0, 18, 10)}


def _drawn(finding: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    x, y, width, height = FINDINGS[finding]
    mask = np.zeros(size, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def _boxes(home: Path) -> None:
    rows = [f"b.png,{x},{y},{w},{h},{f}" for f, (x, y, w, h) in FINDINGS.items()]
    (home / "boxes.csv").write_text("\n".join(["image,x,y,width,height,finding", *rows]))


def _masks(home: Path) -> None:
    for finding in FINDINGS:
        (home / "masks" / finding).mkdir(parents=True)
        Image.fromarray(_drawn(finding)).save(home / "masks" / finding / "b.png")


def _coco(home: Path) -> None:
    given = []
    for number, (x, y, w, h) in enumerate(FINDINGS.values()):
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        given.append({"id": 1, "image_id": 4, "category_id": number, "segmentation": [corners]})
    content = {
        "images": [{"id": 4, "file_name": "b.png"}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(FINDINGS)],
        "annotations": given,
    }
    (home / "annotations.json").write_text(json.dumps(content))


def _yolo(home: Path) -> None:
    lines = [
        f"{i} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}"
        for i, (x, y, w, h) in enumerate(FINDINGS.values())
    ]
    (home / "labels").mkdir()
    (home / "labels" / "b.txt").write_text("\n".join(lines))
    (home / "classes.txt").write_text("\n".join(FINDINGS))


def _segmentation(home: Path) -> None:
    frames: list[seg.Frame] = [
        (_drawn(finding), i, "1.2.2", None) for i, finding in enumerate(FINDINGS, start=1)
    ]
    made = seg.segmentation(frames, labels=tuple(FINDINGS))
    seg.save(made, home / "segmentations" / "x.dcm")


@pytest.mark.parametrize("write", [_boxes, _masks, _coco, _yolo, _segmentation])
def test_only_lesions_speak_for_a_class(write: Callable[[Path], None], tmp_path: Path) -> None:
    if write is _segmentation:
        path = seg.image_set(tmp_path, size=(HEIGHT, WIDTH))
    else:
        path = small_set(tmp_path)
    write(tmp_path)
    (tmp_path / "dataset.yaml").write_text("findings: {spot: 1, disc: distractor, lung: organ}\n")
    table = read(path)
    assert table.spec.distractors() == ("disc",)
    assert table.spec.organs() == ("lung",)
    assert table.annotations is not None
    assert table.annotations.findings == ("disc", "lung", "spot")
    record = table.records[1]
    geometry = Geometry.of((HEIGHT, WIDTH), Resize(2 * WIDTH, 2 * HEIGHT))
    info = ModelInfo(kind="black_box", classes=table.spec.classes, task=Task.BINARY)
    (lesions,) = lesions_of(record, table, info, geometry)
    assert lesions.class_index == 1
    expected = np.kron(_drawn("spot"), np.ones((2, 2), bool))
    np.testing.assert_array_equal(lesions.mask, expected)
    for finding in ("disc", "lung"):
        found = table.annotations.mask(record.name, [finding], geometry)
        np.testing.assert_array_equal(found, np.kron(_drawn(finding), np.ones((2, 2), bool)))
