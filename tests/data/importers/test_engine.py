from __future__ import annotations

import os

import numpy as np
import pytest

from softcam.data.importers import engine
from softcam.data.importers.engine import JOURNAL, convert_all
from softcam.data.importers.plan import Item, LeftOut, Shape
from softcam.data.importers.sources import read_sources
from softcam.errors import InputError, WorkError
from tests.data.importers.replicas import png, put


@pytest.fixture
def download(tmp_path):
    items = []
    for i in range(6):
        put(tmp_path / "src" / f"{i}.png", png(np.full((8, 8), 40 * i, np.uint8)))
        items.append(Item(f"{i}.png", str(i), "0"))
    put(tmp_path / "src" / "3.png", b"")
    (tmp_path / "out" / "images").mkdir(parents=True)
    return tmp_path / "src", items, tmp_path / "out"


def test_results_are_in_order_progress_is_told_and_the_journal_kept(download):
    root, items, out = download
    told = []
    done = convert_all(
        items, root, out, Shape(), jobs=1, progress=lambda *numbers: told.append(numbers)
    )
    assert [getattr(result, "source", "-") for result in done] == [
        *("0.png", "1.png", "2.png", "-", "4.png", "5.png")
    ]
    assert isinstance(done[3], LeftOut)
    assert told == [(i + 1, 6) for i in range(6)]
    assert list(read_sources(out / JOURNAL)) == [f"{i}.png" for i in (0, 1, 2, 4, 5)]


def test_a_damaged_journal_costs_time_and_nothing_else(download):
    root, items, out = download
    first = convert_all(items, root, out, Shape(), jobs=1)
    for text in ("nonsense\n", "image,width\n1,2,3\n", ""):
        (out / JOURNAL).write_text(text)
        assert convert_all(items, root, out, Shape(), jobs=1) == first


def _die(job):
    os._exit(9)


def test_a_process_that_dies_is_said_in_a_sentence(download, monkeypatch):
    root, items, out = download
    monkeypatch.setattr(engine, "convert", _die)
    with pytest.raises(WorkError, match="--jobs 1"):
        convert_all(items, root, out, Shape(), jobs=2)


def test_a_folder_that_cannot_be_written_is_named(download, tmp_path):
    root, items, _ = download
    with pytest.raises(InputError, match="cannot write here"):
        convert_all(items, root, tmp_path / "nowhere", Shape(), jobs=1)
