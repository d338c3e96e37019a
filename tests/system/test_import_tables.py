"""`softcam import` of class folders, tables and published splits, and the leaks that it finds."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from softcam.data.table import read_table
from tests.data.importers import replicas
from tests.system.imported_files import contents, rows_of


def test_class_folders_and_tables_are_imported_too(softcam, tmp_path):
    rng = np.random.default_rng(0)
    source = tmp_path / "src"
    for i in range(24):
        kind = ("NORMAL", "ILL")[i % 2]
        pixels = rng.integers(0, 255, (20, 30), dtype=np.uint8)
        replicas.put(source / kind / f"{i}.png", replicas.png(pixels))
    result = softcam("import", "folder", source, tmp_path / "a", "--jobs", "1")
    assert result.code == 0, result.err
    for image in rows_of(tmp_path / "a" / "table.csv"):
        copied = (tmp_path / "a" / "images" / image["image"]).read_bytes()
        assert copied == (source / image["image"]).read_bytes()

    (tmp_path / "a" / "boxes.csv").write_text("image,x,y,width,height\nILL/1.png,3,2,9,6\n")
    result = softcam("import", "csv", tmp_path / "a", tmp_path / "b", "--size", "10", "--jobs", "1")
    assert result.code == 0, result.err
    assert read_table(tmp_path / "b").splits() == read_table(tmp_path / "a").splits()
    # 30 x 20 px became 10 x 7 px.
    assert rows_of(tmp_path / "b" / "boxes.csv") == [
        {"image": "ILL/1.png", "x": "1", "y": "0.7", "width": "3", "height": "2.1"}
        | {"finding": "finding"}
    ]


def test_published_splits_decide(softcam, tmp_path):
    source = replicas.oct2017(tmp_path / "download")
    tables = tmp_path / "csv"
    scans = [p for p in sorted(source.rglob("*.jpeg")) if p.stem[:4] in ("NORM", "DRUS")]
    for split, chosen in (("train", scans[::2]), ("val", scans[1::4]), ("test", scans[3::4])):
        rows = [(f"{p.parent.parent.name}/{p.parent.name}/{p.stem}.png",) for p in chosen]
        replicas.write_csv(tables / f"{split}.csv", ("filename",), rows)
    flags = ("--splits", tables, "--jobs", "1", "--size", "32")
    result = softcam("import", "oct2017", source, tmp_path / "out", *flags)
    assert result.code == 0, result.err
    val = {p.stem for p in scans[1::4]}
    found = {
        Path(r["image"]).stem
        for r in rows_of(tmp_path / "out" / "table.csv")
        if r["split"] == "val"
    }
    assert found and found <= val
    card = json.loads((tmp_path / "out" / "datacard.json").read_text("utf-8"))
    assert "the splits are those of the tables given with --splits" in card["notes"]
    (tables / "val.csv").write_text("filename\n")
    assert "other settings" in softcam("import", "oct2017", source, tmp_path / "out", *flags).err


def leaking(folder: Path) -> Path:
    """A table whose sick images are wider than the others, one of them also in another split."""
    generator = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(24):
        sick, split = number % 2, ("train", "val", "test")[number // 8]
        picture = generator.integers(0, 255, (40, 60 if sick else 40), dtype=np.uint8)
        if number == 9:  # in val; number 1 is in train
            picture = np.asarray(Image.open(folder / "images" / "1.png"))
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        rows.append((f"{number}.png", ("well", "sick")[sick], split, f"p{number}"))
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "label", "split", "patient"), *rows])
    return folder


def test_leaks_and_hints_of_the_originals_are_in_the_card(softcam, tmp_path):
    source, out = leaking(tmp_path / "source"), tmp_path / "out"
    done = softcam("import", "csv", source, out, "--size", "32")
    assert done.code == 0, done.err
    kinds = {found["kind"] for found in json.loads((out / "datacard.json").read_text())["quality"]}
    assert "file_across_splits" in kinds
    # All imported images are 32 x 32: what told the label was the originals' size.
    assert "hint_size" in kinds
    text = (out / "datacard.md").read_text()
    assert "## Leaks, conflicts and hints" in text
    assert "9.png" in text
    assert "leak:" in done.out
    sums = dict(
        line.split("  ")[::-1]
        for line in (out / "checksums.sha256").read_text().split("\n")
        if line
    )
    for name in ("datacard.json", "datacard.md"):
        assert sums[name] == hashlib.sha256((out / name).read_bytes()).hexdigest()
    before = contents(out)
    assert softcam("import", "csv", source, out, "--size", "32").code == 0
    assert contents(out) == before


def test_a_strict_import_refuses_a_leak_and_no_check_leaves_it_out(softcam, tmp_path):
    source = leaking(tmp_path / "source")
    strict = softcam("import", "csv", source, tmp_path / "strict", "--size", "32", "--strict")
    assert strict.code == 2
    assert "leak" in strict.err
    plain = softcam("import", "csv", source, tmp_path / "plain", "--size", "32", "--no-check")
    assert plain.code == 0
    assert "quality" not in json.loads((tmp_path / "plain" / "datacard.json").read_text())
