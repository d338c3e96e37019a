from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.meaning import settle
from softcam.data.rows import RawRow, RawTable
from softcam.data.spec import PartialSpec
from softcam.errors import InputError
from softcam.evidence.info import Task


def _raw(*labels: str) -> RawTable:
    rows = tuple(RawRow(i, f"{i}.png", label) for i, label in enumerate(labels, 2))
    return RawTable(Path("t.csv"), rows)


def test_two_classes_are_binary_and_more_are_multiclass() -> None:
    assert settle(_raw("0", "1"), PartialSpec(), require_labels=True).task is Task.BINARY
    assert settle(_raw("0", "1", "2"), PartialSpec(), require_labels=True).task is Task.MULTICLASS


def test_two_classes_may_be_called_multiclass_and_then_have_no_positive() -> None:
    meaning = settle(_raw("0", "1"), PartialSpec(task=Task.MULTICLASS), require_labels=True)
    spec, notes = meaning.with_findings(["spot"])
    assert spec.positive is None
    assert spec.findings == {"spot": ""}
    assert "own class" in notes[0]


def test_findings_may_name_a_class_by_name_or_label() -> None:
    partial = PartialSpec(classes=("a", "b"), findings={"x": "b", "y": "0", "z": "organ"})
    spec, notes = settle(_raw("a"), partial, require_labels=True).with_findings(["w", "x"])
    assert spec.findings == {"x": "b", "y": "a", "z": "organ", "w": "b"}
    assert notes == ("findings that dataset.yaml does not explain speak for the class 'b': 'w'",)


def test_a_multilabel_table_has_no_positive_class() -> None:
    raw = RawTable(Path("t.csv"), _raw("").rows, ("x", "y"))
    with pytest.raises(InputError, match="positive"):
        settle(raw, PartialSpec(positive="x"), require_labels=True)
    with pytest.raises(InputError, match="one column per class"):
        settle(raw, PartialSpec(task=Task.BINARY), require_labels=True)


def test_labels_need_not_be_there() -> None:
    meaning = settle(_raw(), PartialSpec(), require_labels=False)
    assert meaning.classes.names == ()
    assert settle(_raw("1"), PartialSpec(), require_labels=False).classes.names == ("1",)
    with pytest.raises(InputError, match="no class"):
        settle(_raw(), PartialSpec(), require_labels=True)
