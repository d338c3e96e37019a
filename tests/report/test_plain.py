"""Values for JSON and pages."""

from __future__ import annotations

import base64
import json

from softcam.report.plain import plain, png_uri


def test_nested_values_become_what_json_holds_and_undefined_numbers_none():
    found = plain({1: (1.5, float("nan"), [float("inf"), "a", None, True])})
    assert found == {"1": [1.5, None, [None, "a", None, True]]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_picture_comes_back_from_its_address():
    head, _, data = png_uri(b"\x89PNG").partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG"
