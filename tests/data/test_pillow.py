from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from softcam.data.pillow import decode, open_header, orientation, over_black
from softcam.errors import InputError
from tests.data import files


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
def test_compositing_rounds_to_the_nearest_value(dtype: type, colour: bool) -> None:
    white = int(np.iinfo(dtype).max)
    rng = np.random.default_rng(0)
    shape = (50, 60, 3) if colour else (50, 60)
    values = rng.integers(0, white + 1, shape, dtype=dtype)
    values[0] = white
    alpha = rng.integers(0, white + 1, (50, 60), dtype=dtype)
    alpha[0, :30] = white
    weight = alpha[:, :, None] if colour else alpha
    exact = values.astype(np.float64) * weight / white
    result = over_black(values, alpha)
    assert result.dtype == dtype
    assert np.abs(result - exact).max() <= 0.5
    assert (result[0, :30] == white).all()


def test_the_header_tells_the_bits_and_leaves_the_pixels_alone() -> None:
    data = files.png(np.zeros((4, 6), np.uint16), files.GREY, 16)
    stream = BytesIO(data[: data.index(b"IDAT") + 4])  # nothing to decode yet
    image, bits = open_header("a.png", stream, len(data))
    assert image.size == (6, 4)
    assert bits == 16


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM1234", b"\x89"]
)
def test_a_header_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^x\.png "):
        open_header("x.png", BytesIO(data), len(data))


def test_looking_for_the_orientation_does_not_decode_a_png() -> None:
    data = files.png(np.zeros((4, 6), np.uint8), files.GREY, 8, exif=files.exif(8))
    cut = data[: data.index(b"IDAT") + 6]
    stream = BytesIO(cut)
    image, _ = open_header("a.png", stream, len(cut))
    assert orientation(image, stream) == 8


def test_a_jpeg_of_12_bits_is_refused_with_a_way_out() -> None:
    buffer = BytesIO()
    Image.new("L", (16, 16)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    data[data.index(b"\xff\xc0") + 4] = 12  # the sample precision of the frame header
    with pytest.raises(InputError, match="save it as PNG"):
        open_header("deep.jpg", BytesIO(bytes(data)), len(data))


def test_an_open_pil_image_is_left_usable() -> None:
    image = Image.new("RGBA", (3, 2), (10, 20, 30, 255))
    decode("The image", image)
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0)) == (10, 20, 30, 255)
