from __future__ import annotations

import math

import pytest

from softcam.data.labels import (
    Classes,
    canonical,
    collect_classes,
    declared_classes,
    label_text,
    read_flag,
)
from softcam.data.spec import PartialSpec
from softcam.errors import InputError


def test_a_float_columns_integers_lose_their_point() -> None:
    assert [canonical(text) for text in ("1.0", " 2. ", "-3.00", "1.5", "v1.0", "01")] == [
        "1",
        "2",
        "-3",
        "1.5",
        "v1.0",
        "01",
    ]


def test_collected_classes_leave_out_what_is_missing() -> None:
    assert collect_classes(["2", "10", "", "nan", "1.0", "2"]).names == ("1", "2", "10")
    assert collect_classes([]).names == ()


@pytest.mark.parametrize(
    "name", ["normal", "Healthy", "controls", "NEGATIVE", "no finding", "No-DR"]
)
def test_healthy_names_come_first(name: str) -> None:
    assert collect_classes([name, "a", "zoster"]).names[0] == name


def test_names_that_only_begin_alike_are_sorted_as_they_are() -> None:
    assert collect_classes(["normalised", "abnormal", "nodule"]).names == (
        "abnormal",
        "nodule",
        "normalised",
    )


def test_a_class_may_be_called_none_when_it_is_declared() -> None:
    classes = declared_classes(PartialSpec(classes=("none", "mild")))
    assert classes.index("none") == 0
    assert classes.index("1") == 1
    assert "empty" in classes.problem("")


def test_names_that_are_numbers_win_over_indices() -> None:
    classes = declared_classes(PartialSpec(classes=("1", "0", "b")))
    assert [classes.index(text) for text in ("1", "0", "2", "b", "3")] == [0, 1, 2, 2, None]


def test_the_positive_class_goes_last_with_its_values() -> None:
    classes = Classes(("a", "b"), {"7": "a", "8": "b"}, declared=True).positive_last("a")
    assert classes.names == ("b", "a")
    assert classes.index("7") == 1


def test_alike_labels_are_refused() -> None:
    with pytest.raises(InputError, match="upper and lower case"):
        collect_classes(["Ab", "aB", "c"])


def test_flags() -> None:
    assert [read_flag(text) for text in ("0", "1", "1.0", "False", "true")] == [0, 1, 1, 0, 1]
    assert math.isnan(read_flag("") or 0)
    assert math.isnan(read_flag("nan") or 0)
    assert [read_flag(text) for text in ("2", "-1", "0.5", "yes")] == [None] * 4


def test_labels_are_written_by_class_name_and_unknown_ones_are_marked() -> None:
    assert label_text(1, ("a", "b")) == "b"
    assert label_text((1.0, 0.0, math.nan), ("a", "b", "c")) == "a|?c"
    assert label_text(None, ("a", "b")) is None
