from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softcam.report.explanations.document import to_text
from tests.report.explanations.sample import FORMULA, make


def refuse(name):
    raise AssertionError(f"{name} is no JSON")


@pytest.fixture(scope="module")
def result():
    return make()


def test_the_document_is_strict_json_and_holds_every_number(result):
    document = json.loads(to_text(result), parse_constant=refuse)
    assert document["conclusions"] == list(result.conclusions)
    assert document["cases"][0]["image"] == FORMULA
    for key, values in result.values.items():
        read = np.array(document["values"][key], dtype=float)
        np.testing.assert_array_equal(read, values)
    for row, wanted in zip(document["methods"], result.rows, strict=True):
        assert row["means"]["pixel_ap"]["value"] == wanted.means["pixel_ap"].value
        assert row["floor"] == wanted.floor
        assert row["text"] == str(wanted.method)
    assert document["methods"][1]["seconds_per_map"] is None
    assert document["methods"][-1]["means"]["gini"]["value"] is None
    assert document["curves"][0]["methods"][3]["mean"][-1] is None
    assert document["gallery"] == [
        {
            "image": FORMULA,
            "class_name": "lesion",
            "probabilities": {"SoftCAM": 0.93, "Twin & co_1": 0.41},
        }
    ]


def test_settings_may_hold_paths_and_numpy_numbers(result):
    settings = {
        "table": Path("a/b.csv"),
        "size": np.int64(3),
        "steps": np.array([0.5, np.nan]),
        "own": {"sets": {1}},
        "dtype": np.float32,
    }
    document = json.loads(to_text(replace(result, settings=settings)), parse_constant=refuse)
    assert document["settings"]["table"] == "a/b.csv"
    assert document["settings"]["size"] == 3
    assert document["settings"]["steps"] == [0.5, None]
    assert document["settings"]["own"] == {"sets": [1]}
    assert "float32" in document["settings"]["dtype"]
