"""Folders and tables, half of whose images are damaged: each is named, the rest goes on."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fuzz.damage import LYING, RANDOM
from tests.fuzz.run import BAD
from tests.fuzz.whole import Whole, whole_images
from tests.fuzz.worker import judge, read_file
from tests.system.conftest import FAST, write_csv

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # what pydicom and Pillow say of damaged headers
    pytest.mark.timeout(300),
]

COUNT = 200
SUFFIXES = (".png", ".jpg", ".tif", ".dcm")  # what a folder's images are known by


def damaged(whole: Whole, rng: np.random.Generator) -> bytes:
    kind = str(rng.choice([*RANDOM, "lying", "empty"]))
    if kind == "empty":
        return b""
    return (LYING[whole.format] if kind == "lying" else RANDOM[kind])(whole.data, rng)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> tuple[Path, set[str]]:
    """Class folders with 200 images, and the names of those of them that cannot be read."""
    root = tmp_path_factory.mktemp("damaged") / "download"
    rng = np.random.default_rng(5)
    # What an import refuses though it can be read: 16-bit colour that would have to be written.
    images = [
        whole
        for name, whole in whole_images().items()
        if whole.suffix in SUFFIXES and whole.frame is None and name != "tiff 16 bits colour"
    ]
    unreadable = set()
    for number in range(COUNT):
        name = "sick" if number % 4 < 2 else "healthy"
        if number % 2:
            whole = images[number % len(images)]
            path = root / name / f"{number:03d}{whole.suffix}"
            data = damaged(whole, rng)
        else:
            path = root / name / f"{number:03d}.png"
            data = b""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if not number % 2:
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        result = judge(read_file, str(path))[0]
        assert result not in BAD
        if result == "refused":
            unreadable.add(path.name)
    assert COUNT // 4 < len(unreadable) <= COUNT // 2
    return root, unreadable


def table_of(root: Path, into: Path, *, skip: set[str]) -> Path:
    """A table of the folder's images."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name not in skip)
    rows = [
        (path.relative_to(root).as_posix(), path.parent.name, ("train", "val", "test")[i % 3])
        for i, path in enumerate(paths)
    ]
    into.mkdir()
    write_csv(into / "table.csv", ("image", "label", "split"), rows)
    (into / "dataset.yaml").write_text("classes: [healthy, sick]\n")
    (into / "images").symlink_to(root)
    return into


def names_in(lines: list[str], names: set[str]) -> set[str]:
    return {name for name in names if any(name in line for line in lines)}


@pytest.mark.parametrize("name", ["folder", "csv"])
def test_an_import_leaves_each_out_by_name(name, folder, softcam, tmp_path):
    root, unreadable = folder
    source = root if name == "folder" else table_of(root, tmp_path / "source", skip=set())
    out = tmp_path / "out"
    done = softcam("import", name, source, out, "--jobs", "1")
    assert done.code == 0, done.err
    with (out / "left_out.csv").open(newline="", encoding="utf-8") as stream:
        left = [" ".join(row.values()) for row in csv.DictReader(stream)]
    assert names_in(left, unreadable) == unreadable
    # The DICOM files of a table share a patient, who must not be in two of its splits either.
    others = [row for row in left if not names_in([row], unreadable)]
    assert all("its patient is in" in row for row in others)
    assert f"softcam: {len(left)} problem(s) in the download were left out" in done.err
    with (out / "table.csv").open(newline="", encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == COUNT - len(left)
    assert softcam("check", out).code == 0


def test_explaining_skips_each_by_name(folder, trained, softcam, tmp_path):
    root, unreadable = folder
    some = tmp_path / "some"  # drawing figures of all would take minutes
    some.mkdir()
    bad = sorted(path for path in root.rglob("*") if path.name in unreadable)
    good = sorted((root / "sick").glob("*.png"))[:4]
    for path in (*bad, *good):
        shutil.copy(path, some)
    taken = {path.name for path in some.iterdir()}
    bad_taken = taken & unreadable
    out = tmp_path / "out"
    done = softcam("explain", trained[1], some, "--out", out)
    assert done.code == 2
    assert f"{len(bad_taken)} of {len(taken)} images could not be explained" in done.err
    assert done.out.count("skipped: ") == len(bad_taken)
    assert names_in([done.out.replace("\n", "")], bad_taken) == bad_taken
    assert len(list(out.glob("*.json"))) == len(taken - bad_taken) > 0


def test_a_check_lists_each_and_judges_the_others(folder, softcam, tmp_path):
    root, unreadable = folder
    empty = {path.name for path in root.rglob("*") if path.is_file() and not path.stat().st_size}
    data = table_of(root, tmp_path / "data", skip=empty)
    done = softcam("check", data, "--json")
    told = json.loads(done.out)
    assert done.code == 2
    assert len(told["unreadable"]) == len(unreadable - empty)
    assert (
        names_in([one["problem"] for one in told["unreadable"]], unreadable) == unreadable - empty
    )
    assert f"{len(unreadable - empty)} of {COUNT - len(empty)} images cannot be read" in done.err
    assert told["findings"]  # many of the others are one picture, damaged where it does not show


def test_training_stops_and_lists_the_first_ones(folder, softcam, tmp_path):
    root, unreadable = folder
    empty = {path.name for path in root.rglob("*") if path.is_file() and not path.stat().st_size}
    data = table_of(root, tmp_path / "data", skip=empty)
    for flags in ((), ("--check",)):
        done = softcam("train", data, "--out", tmp_path / "run", *FAST, *flags)
        assert done.code == 2
        assert "more" in done.err
        assert len(names_in([done.err], unreadable)) == 10
        assert not (tmp_path / "run").exists()
