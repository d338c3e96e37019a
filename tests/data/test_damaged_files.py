"""A few hundred damaged files of every format: each is read or refused by name, quickly."""

from __future__ import annotations

import gzip
import time
from io import BytesIO

import nibabel
import numpy as np
import pytest
from PIL import Image

from softcam.data.readers import read_image
from softcam.errors import InputError
from tests.data import dicoms, files
from tests.data.test_tiff import tiff

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(60),
]


def _whole() -> dict[str, bytes]:
    rng = np.random.default_rng(8)
    grey = rng.integers(0, 4096, (35, 40)).astype(np.uint16)
    colour = np.kron(rng.integers(0, 256, (5, 5, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    made = {
        f"dicom {name}": dicoms.encode(
            dicoms.dataset(grey, bits=12, WindowCenter=9, WindowWidth=99), name
        )
        for name in dicoms.LOSSLESS
    }
    made["dicom jpeg"] = dicoms.lossy_jpeg(colour, "YBR_FULL_422")[0]
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        stream = BytesIO()
        Image.fromarray(colour).save(stream, "TIFF", compression=compression)
        made[f"tiff {compression}"] = stream.getvalue()
    made["tiff deep"] = tiff(rng.integers(0, 65536, (20, 20, 3)).astype(np.uint16))
    made["png deep"] = files.png(grey, files.GREY, 16)
    stream = BytesIO()
    Image.fromarray(colour).save(stream, "PNG")
    made["png"] = stream.getvalue()
    volume = nibabel.Nifti1Image(grey.astype(np.int16), np.eye(4)).to_bytes()
    made["nifti"] = volume
    made["nifti gz"] = gzip.compress(volume)
    return made


WHOLE = _whole()


@pytest.mark.parametrize("name", WHOLE)
def test_damage_is_refused_in_a_sentence_or_seen_through(name: str) -> None:
    whole = WHOLE[name]
    assert read_image(whole).size
    rng = np.random.default_rng(sum(map(ord, name)))
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.random() < 0.3:
            del data[rng.integers(1, len(data)) :]
        start = time.perf_counter()
        try:
            read_image(bytes(data))
        except InputError as error:
            assert "\n" not in str(error)
            assert str(error).startswith("The image")
        assert time.perf_counter() - start < 5
