from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from softcam.errors import InputError
from softcam.report.explanations.write import write_benchmark
from tests.report.explanations.sample import make


@pytest.fixture(scope="module")
def result():
    made = make(4)
    return replace(made, curves=made.curves[:1])


@pytest.fixture(scope="module")
def written(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "runs" / "benchmark"
    return folder, write_benchmark(result, folder, title="Compared")


def test_everything_is_there_and_nothing_else(written):
    folder, paths = written
    names = [path.relative_to(folder).as_posix() for path in paths]
    assert names == [
        "methods.csv", "cases.csv", "curves.csv", "lesions.csv",
        "figures/deletion_confidence.png", "figures/differences_localisation.png",
        "figures/differences_faithfulness.png", "figures/differences_consistency.png",
        "gallery/01.png",
        "benchmark.md", "benchmark.tex", "benchmark.html", "benchmark.json",
    ]  # fmt: skip
    assert {path for path in folder.rglob("*") if path.is_file()} == set(paths)


def test_the_page_shows_the_pictures_of_the_folder(written):
    folder, paths = written
    page = (folder / "benchmark.html").read_text("utf-8")
    assert "<title>Compared</title>" in page
    shown = re.findall(r"data:image/\w+;base64,([^\"]+)", page)
    drawn = [path for path in paths if path.suffix == ".png"]
    for text, path in zip(shown, drawn, strict=True):
        pixels, wanted = (
            np.asarray(Image.open(stream).convert("RGB")).astype(int)
            for stream in (io.BytesIO(base64.b64decode(text)), path)
        )
        assert pixels.shape == wanted.shape
        apart = np.abs(pixels - wanted)
        if path.parent.name == "figures":
            assert (apart > 24).mean() < 0.01  # rims of lines have fewer shades
        else:
            assert apart.mean() < 4


def test_a_failure_leaves_no_benchmark_json(result, tmp_path):
    write_benchmark(replace(result, gallery=(), curves=()), tmp_path)
    assert (tmp_path / "benchmark.json").exists()
    shown = replace(result.gallery[0], mask=np.zeros((2, 2), bool))
    with pytest.raises(InputError, match="mask"):
        write_benchmark(replace(result, gallery=(shown,)), tmp_path)
    assert not (tmp_path / "benchmark.json").exists()


def test_a_place_that_is_a_file_is_said(result, tmp_path):
    place = tmp_path / "file"
    place.write_text("x")
    with pytest.raises(InputError, match="cannot make this folder"):
        write_benchmark(result, place)
