import json
from pathlib import Path

import pytest

from softcam.deploy.export.description import Sizes, read_description
from softcam.errors import ModelFileError
from tests.deploy.export.sample import description

PATH = Path("model.onnx")


def changed(**more):
    return json.dumps(json.loads(description().to_json()) | more)


def test_what_is_written_is_read():
    told = description(source={"file": "model.safetensors", "sha256": "ab"}, loss={"auc": 0.1})
    assert read_description(PATH, told.to_json()) == told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid"),
        ("[]", "not valid"),
        ("{}", "has format None"),
        (changed(format=99), "has format 99, this softcam reads up to 1; upgrade"),
        (changed(outputs=0), "outputs"),
        (changed(in_chans=10**9), "in_chans"),
        (changed(sizes={"trained": [10**7, 8]}), "sizes"),
        (changed(precision="int4"), "precision"),
        (changed(code="import os"), "code"),
        (changed(info={"kind": "black_box"}), "black box"),
    ],
)
def test_what_is_not_valid_is_refused_in_a_sentence(text, reason):
    with pytest.raises(ModelFileError, match=reason) as caught:
        read_description(PATH, text)
    assert str(caught.value).startswith("model.onnx: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "taken", "refused"),
    [
        (Sizes(trained=(30, 40)), [(30, 40)], [(40, 30), (60, 80)]),
        (
            Sizes(trained=(30, 40), fixed=False, smallest=64, multiple=32),
            [(30, 40), (64, 96), (4096, 64)],
            [(32, 64), (64, 65), (4128, 64)],
        ),
        (Sizes(trained=(64, 64), fixed=False, smallest=64), [(65, 77)], [(63, 64), (64, 5000)]),
    ],
)
def test_sizes_are_taken_or_refused_in_words(sizes, taken, refused):
    assert [sizes.refusal(*size) for size in taken] == [None] * len(taken)
    assert all("takes images" in (sizes.refusal(*size) or "") for size in refused)
    assert "30x40" in str(sizes) or "64x64" in str(sizes)
