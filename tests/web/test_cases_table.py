from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from softcam.web.cases_schemas import CaseOut
from softcam.web.cases_table import class_names, to_csv


def saved(**changes: object) -> CaseOut:
    values = {
        "id": "1234",
        "revision": 2,
        "created": "2026-01-31T12:00:00Z",
        "updated": "2026-01-31T13:00:00Z",
        "has_image": False,
        "verdict": "corrected",
        "correct": ["drusen"],
        "comment": "",
        "sha256": "a" * 64,
        "width": 100,
        "height": 60,
        "model": "fundus",
        "called": ["lesion", "haze"],
        "probabilities": {"healthy": 0.25, "lesion": 0.75},
    }
    return CaseOut.model_validate({**values, **changes})


def text_of(cases: list[CaseOut]) -> str:
    return "".join(to_csv([cases], class_names([cases])))


def rows(cases: list[CaseOut]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(cases), newline="")))


def test_each_case_is_a_row_with_its_probabilities():
    table = rows([saved(), saved(model="other", probabilities={"ill": 1e-9}, frame=4)])
    assert [row["probability: lesion"] for row in table] == ["0.75", ""]
    assert [row["probability: ill"] for row in table] == ["", "1e-09"]
    assert [row["frame"] for row in table] == ["", "4"]
    assert (table[0]["called"], table[0]["correct"]) == ("lesion; haze", "drusen")
    assert (table[0]["verdict"], table[0]["revision"], table[0]["has_image"]) == (
        "corrected",
        "2",
        "no",
    )


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "\n=1", "=cmd|' /C calc'!A0"],
)
@pytest.mark.parametrize("field", ["comment", "reader", "label", "model", "called"])
def test_no_cell_is_a_formula(field, text):
    value = [text] if field == "called" else text
    (row,) = rows([saved(**{field: value})])
    assert row[field] == "'" + text


def test_other_texts_stay_as_they_are():
    text = 'He said "none", twice; 3 - 2 = 1\nand so on, Müller 中'
    (row,) = rows([saved(comment=text)])
    assert row["comment"] == text


def test_class_names_head_no_column_as_a_formula():
    heads = next(csv.reader(io.StringIO(text_of([saved(probabilities={"=1+1": 0.5})]))))
    assert "probability: =1+1" in heads
    assert not any(head.startswith(("=", "+", "-", "@")) for head in heads)


def test_pandas_reads_it():
    frame = pd.read_csv(io.BytesIO(text_of([saved(), saved()]).encode("utf-8-sig")))
    assert list(frame["probability: lesion"]) == [0.75, 0.75]
    assert frame.columns[0] == "id"


def test_without_cases_there_are_heads_alone():
    assert len(text_of([]).splitlines()) == 1


def test_it_comes_in_parts_that_are_the_whole():
    cases = [saved(id=str(number), comment="a, b\r\nc") for number in range(5)]
    names = class_names([cases])
    parts = list(to_csv([cases[:2], cases[2:]], names))
    assert len(parts) == 3
    assert "".join(parts) == text_of(cases)


def test_classes_without_end_do_not_lengthen_every_row():
    names = [f"class {number}" for number in range(1500)]
    cases = [
        saved(probabilities=dict.fromkeys(names[:800], 0.5)),
        saved(probabilities=dict.fromkeys(names[800:], 0.25)),
        saved(probabilities={"=late": 0.125}),
    ]
    assert class_names([cases[:1], cases[1:]]) == names[:1000]
    first, second, third = rows(cases)
    assert first["probability: class 799"] == "0.5"
    assert (second["probability: class 999"], first["other probabilities"]) == ("0.25", "")
    assert second["other probabilities"].split("; ") == [f"{name}: 0.25" for name in names[1000:]]
    assert third["other probabilities"] == "'=late: 0.125"
