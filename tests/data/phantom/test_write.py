"""Phantoms as a data set on disk."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from softcam.data.phantom import draw, write
from softcam.errors import InputError


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("modality", ["fundus", "oct", "chest"])
def test_what_is_written_is_what_is_drawn(tmp_path, modality):
    folder = write(tmp_path / "set", modality, 12, size=48, prevalence=0.6, seed=3)
    drawn = draw(modality, 12, size=48, prevalence=0.6, seed=3)
    assert sorted(path.name for path in folder.iterdir()) == [
        "boxes.csv",
        "dataset.yaml",
        "images",
        "masks",
        "table.csv",
    ]
    table = rows_of(folder / "table.csv")
    assert [int(row["label"]) for row in table] == drawn.labels.tolist()
    for k, row in enumerate(table):
        with Image.open(folder / "images" / row["image"]) as image:
            np.testing.assert_array_equal(np.asarray(image), drawn.images[k])
        for finding, masks in drawn.masks.items():
            path = folder / "masks" / finding / row["image"]
            assert path.exists() == bool(masks[k].any())
            if path.exists():
                with Image.open(path) as image:
                    assert image.mode == "L"
                    np.testing.assert_array_equal(np.asarray(image), masks[k] * np.uint8(255))


def test_boxes_are_tight_round_the_components_of_the_masks(tmp_path):
    folder = write(tmp_path / "set", "fundus", 10, size=64, prevalence=1, seed=1)
    drawn = draw("fundus", 10, size=64, prevalence=1, seed=1)
    boxes = defaultdict(list)
    for row in rows_of(folder / "boxes.csv"):
        box = tuple(int(row[key]) for key in ("x", "y", "width", "height"))
        boxes[row["image"], row["finding"]].append(box)
    names = [row["image"] for row in rows_of(folder / "table.csv")]
    for finding, masks in drawn.masks.items():
        for name, mask in zip(names, masks, strict=True):
            covered = np.zeros_like(mask)
            for x, y, width, height in boxes[name, finding]:
                part = mask[y : y + height, x : x + width]
                edges = (part[0], part[-1], part[:, 0], part[:, -1])
                assert all(edge.any() for edge in edges)
                covered[y : y + height, x : x + width] = True
            assert not (mask & ~covered).any()
            assert bool(boxes[name, finding]) == bool(mask.any())


def test_dataset_yaml_says_what_things_mean(tmp_path):
    folder = write(tmp_path / "set", "chest", 2, size=32)
    assert yaml.safe_load((folder / "dataset.yaml").read_text(encoding="utf-8")) == {
        "task": "binary",
        "classes": ["healthy", "diseased"],
        "positive": "diseased",
        "findings": {"opacity": "diseased", "lung": "organ", "device": "distractor"},
    }


def test_patients_have_one_or_two_images_and_never_straddle_splits(tmp_path):
    folder = write(tmp_path / "set", "oct", 200, size=32, seed=5)
    splits, counts = defaultdict(set), defaultdict(int)
    table = rows_of(folder / "table.csv")
    for row in table:
        splits[row["patient"]].add(row["split"])
        counts[row["patient"]] += 1
    assert all(len(found) == 1 for found in splits.values())
    assert set(counts.values()) == {1, 2}
    for split, share in (("train", 0.6), ("val", 0.15), ("test", 0.25)):
        chosen = [int(row["label"]) for row in table if row["split"] == split]
        assert abs(len(chosen) / 200 - share) < 0.02
        assert 0.35 < np.mean(chosen) < 0.65


def test_shares_of_zero_leave_a_split_empty(tmp_path):
    folder = write(tmp_path / "set", "oct", 6, size=32, splits=(1, 0, 0))
    assert {row["split"] for row in rows_of(folder / "table.csv")} == {"train"}


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not an empty folder"):
        write(tmp_path, "oct", 2, size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    assert (write(tmp_path / "set", "oct", 2, size=32) / "table.csv").exists()


def test_an_interrupted_write_leaves_no_folder(tmp_path, monkeypatch):
    saved = Image.Image.save
    calls = []

    def save_until_interrupted(self, *arguments, **keywords):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        saved(self, *arguments, **keywords)

    monkeypatch.setattr(Image.Image, "save", save_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set", "oct", 6, size=32)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file" / "set", "oct", 2, size=32)


@pytest.mark.parametrize("splits", [(0.5, 0.5), (0.9, 0.2, 0.1), (1.2, -0.1, -0.1), "abc"])
def test_unusable_shares_are_named(tmp_path, splits):
    with pytest.raises(InputError, match="splits is"):
        write(tmp_path / "set", "oct", 2, size=32, splits=splits)
    assert list(tmp_path.iterdir()) == []
