from __future__ import annotations

import pytest

from softcam.deploy.dicom.codes import answer_code, region_code
from softcam.deploy.dicom.text import shortened


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("short", "short"),
        ("a\\b\n c", "a/b c"),
        ("", "unnamed"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 61 + "..."),
        ("ö" * 32, "ö" * 32),
        ("ö" * 33, "ö" * 30 + "..."),
    ],
)
def test_a_text_fits_into_its_value(given, expected):
    assert shortened(given) == expected
    assert len(shortened(given).encode()) <= 64


def test_a_text_fits_into_a_short_value():
    assert shortened("糖尿病網膜症", 16) == "糖尿病網..."


@pytest.mark.parametrize("name", ["healthy", "糖尿病網膜症" * 9, "a\\b"])
def test_codes_of_a_class_are_its_own_and_fit(name):
    codes = [answer_code(name), region_code(name), answer_code(name + " "), answer_code("other")]
    assert len({code.value for code in codes}) == 4
    assert all(len(code.value) <= 16 and len(code.meaning.encode()) <= 64 for code in codes)
    assert all(code.scheme_designator == "99SOFTCAM" for code in codes)
    assert answer_code(name) == answer_code(name)
