"""What no reader can show, or should not try to, is refused in a sentence."""

from __future__ import annotations

import time
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid

from softcam.data import dicomframe
from softcam.data.dicom import read_dicom
from softcam.errors import MissingExtraError
from tests.data import dicoms
from tests.data.dicomvalues import refusal, values_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BitsAllocated": 32}, "8 to 16 bits"),
        ({"BitsStored": 0}, "8 to 16 bits"),
        ({"BitsStored": 12, "HighBit": 15}, "HighBit 15"),
        ({"PhotometricInterpretation": "HSV"}, "'HSV'"),
        ({"SamplesPerPixel": 3}, "3 sample"),
        ({"Rows": 0}, "which is no image"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000 px"),
        ({"Rows": 5000}, "truncated"),
        ({"Rows": None}, "no usable Rows"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": 1, "WindowWidth": 9}, "CUBIC"),
    ],
)
def test_what_cannot_be_shown_is_refused(changes: dict[str, Any], words: str) -> None:
    made = dicoms.dataset(values_of(16, np.uint16))
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    assert words in refusal(dicoms.save(made))


def test_floating_point_pixels_are_refused() -> None:
    made = dicoms.dataset(values_of(8, np.uint8))
    del made.PixelData
    assert "without pixels" in refusal(dicoms.save(made))
    made.FloatPixelData = np.zeros((35, 40), np.float32).tobytes()
    assert "floating-point" in refusal(dicoms.save(made))


def test_a_codestream_larger_than_the_header_says_is_refused_before_it_is_decoded() -> None:
    for syntax in ("jpeg-ls", "jpeg-2000", "jpeg-lossless"):
        data = dicoms.encode(dicoms.dataset(values_of(8, np.uint8, (40, 36))), syntax)
        small = pydicom.dcmread(BytesIO(data))
        small.Rows = 20
        assert "compressed pixels have 1 of 36 x 40" in refusal(dicoms.save(small))


def test_a_bomb_of_rle_runs_is_refused() -> None:
    made = dicoms.dataset(values_of(8, np.uint8))
    data = dicoms.encode(made, "rle")
    bomb = pydicom.dcmread(BytesIO(data))
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    bomb.PixelData = pydicom.encaps.encapsulate([header.tobytes() + b"\x81\0" * 1_000_000])
    start = time.perf_counter()
    assert "RLE" in refusal(dicoms.save(bomb))
    assert time.perf_counter() - start < 1


def test_a_deflated_bomb_is_refused() -> None:
    data = dicoms.encode(dicoms.dataset(values_of(8, np.uint8)), "deflated")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    zeros = b"\0" * (1 << 20)
    body = b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()
    head = data[: 144 + int.from_bytes(data[140:144], "little")]
    start = time.perf_counter()
    assert "inflates to more than 256 MiB" in refusal(head + body)
    assert time.perf_counter() - start < 5


def test_an_unknown_transfer_syntax_is_named() -> None:
    made = dicoms.dataset(values_of(8, np.uint8))
    made.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    made.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    assert "MPEG2" in refusal(dicoms.save(made))


def test_a_missing_decoder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicoms.encode(dicoms.dataset(values_of(8, np.uint8)), "jpeg-lossless")
    monkeypatch.setitem(dicomframe._DECODERS, uid.JPEGLossless, "absent")
    with pytest.raises(MissingExtraError, match=r"absent.*pip install softcam\[dicom\]"):
        read_dicom(data)
