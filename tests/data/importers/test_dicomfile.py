from __future__ import annotations

import sys

import numpy as np
import pytest

from softcam.data.importers.dicomfile import is_dicom, read_dicom
from softcam.errors import InputError, MissingExtraError
from tests.data.importers.replicas import dicom, jpeg

ARRAY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def test_uncompressed_pixels_come_back_exactly():
    data = dicom(ARRAY, compressed=False)
    assert is_dicom(data) and not is_dicom(jpeg(ARRAY))
    np.testing.assert_array_equal(read_dicom(data).array, ARRAY)


def test_white_is_made_white():
    data = dicom(ARRAY, compressed=False, kind="MONOCHROME1")
    np.testing.assert_array_equal(read_dicom(data).array, 255 - ARRAY)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"BitsAllocated": 16}, "16 bits"),
        ({"NumberOfFrames": 2}, "2 frame"),
        ({"PhotometricInterpretation": "RGB"}, "RGB"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000"),
        ({"Rows": 7}, "too few pixels"),
    ],
)
def test_what_is_not_read_here_is_said(tags, words):
    with pytest.raises(InputError, match=words):
        read_dicom(dicom(ARRAY, compressed=False, **tags))


def test_a_size_that_the_jpeg_has_not_is_refused():
    with pytest.raises(InputError, match="size"):
        read_dicom(dicom(ARRAY, Rows=7))


@pytest.mark.parametrize("length", [132, 200, 400, -30])
def test_a_file_that_was_cut_off_is_refused(length):
    with pytest.raises(InputError):
        read_dicom(dicom(ARRAY)[:length])


def test_pydicom_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"softcam\[dicom\]"):
        read_dicom(dicom_bytes := b"\0" * 128 + b"DICM")
    assert is_dicom(dicom_bytes)
