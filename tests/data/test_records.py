from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.errors import InputError
from softcam.evidence.info import Task


def _table(*labels: object) -> Table:
    records = tuple(
        Record(Path(f"{i}.png"), f"{i}.png", label, "train" if i % 2 else None, f"p{i}", i + 2)  # type: ignore[arg-type]
        for i, label in enumerate(labels)
    )
    return Table(Path("t.csv"), records, DatasetSpec(Task.BINARY, ("a", "b"), "b"))


def test_labels_are_indices_or_flags() -> None:
    assert _table(0, 1, 1).labels().dtype == np.int64
    flags = _table((0.0, 1.0), (float("nan"), 0.0)).labels()
    assert flags.dtype == np.float64
    assert flags.shape == (2, 2)
    with pytest.raises(InputError, match=r"t\.csv, row 3"):
        _table(0, None).labels()


def test_splits_are_counted_and_subset() -> None:
    table = _table(0, 1, 0, 1)
    assert table.splits() == {"train": 2}
    assert len(table) == 4
    assert [record.row for record in table.subset("train").records] == [3, 5]
    with pytest.raises(InputError, match=r"its splits are train \(2\)"):
        table.subset("val")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/images/a/1.png", "a/1.png"),
        ("images/1.png", "1.png"),
        ("1.png", "1.png"),
        ("/data/images/x1.png", "1.png"),  # the name is no whole part of the path
        ("/elsewhere/2.png", "1.png"),
        ("scan.dcm#3", "scan.dcm#3"),
    ],
)
def test_a_record_gives_the_path_that_it_was_given(path: str, name: str) -> None:
    record = Record(Path(path), name, 1, "train", "p", 2)
    for same in (record, pickle.loads(pickle.dumps(record)), replace(record, split="train")):  # noqa: S301
        assert same.image == Path(path)
        assert same == record
        assert hash(same) == hash(record)
    assert replace(record, split="val") != record
    with pytest.raises(FrozenInstanceError):
        record.label = 0  # type: ignore[misc]
