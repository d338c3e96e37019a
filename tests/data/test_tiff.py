from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.readers import image_size, read_image
from softcam.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]


def _values(dtype: type, shape: tuple[int, ...] = (9, 14)) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(4).integers(0, info.max, shape, dtype, endpoint=True)


def _saved(image: Image.Image, **settings: object) -> bytes:
    stream = BytesIO()
    image.save(stream, "TIFF", **settings)
    return stream.getvalue()


def tiff(array: np.ndarray, order: str = "<", **tags: int) -> bytes:
    """An uncompressed TIFF of one strip, written from the specification."""
    samples = array.shape[2] if array.ndim == 3 else 1
    bits = 8 * array.dtype.itemsize
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    head = 8 + 2 + 12 * 11 + 4
    values = {
        256: (4, array.shape[1]),
        257: (4, array.shape[0]),
        258: (3, bits),
        259: (3, 1),
        262: (3, tags.get("photometric", 2 if samples >= 3 else 1)),
        273: (4, head + 2 * samples),
        274: (3, tags.get("orientation", 1)),
        277: (3, samples),
        278: (4, array.shape[0]),
        279: (4, len(data)),
        339: (3, tags.get("sample_format", 1)),
    }
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 11)
    for tag, (kind, value) in values.items():
        if tag == 258 and samples > 2:
            out += struct.pack(order + "HHII", tag, kind, samples, head)
        else:
            number = struct.pack(order + ("I" if kind == 4 else "H2x"), value)
            out += struct.pack(order + "HHI", tag, kind, 1) + number
    return out + struct.pack(order + "I", 0) + struct.pack(order + "H", bits) * samples + data


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_grey_and_colour_are_exact(mode: str, compression: str | None, tmp_path: Path) -> None:
    array = _values(
        np.uint16 if mode == "I;16" else np.uint8, (9, 14, 3)[: 3 if mode == "RGB" else 2]
    )
    data = _saved(Image.fromarray(array), compression=compression)
    np.testing.assert_array_equal(read_image(data).array, array)
    path = tmp_path / "scan"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path).array, array)
    assert image_size(path) == (9, 14)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 14), (9, 14, 3)])
def test_both_byte_orders_keep_every_bit(shape: tuple[int, ...], dtype: type, order: str) -> None:
    array = _values(dtype, shape)
    found = read_image(tiff(array, order)).array
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_turned_over(dtype: type) -> None:
    array = _values(dtype)
    found = read_image(tiff(array, photometric=0)).array
    np.testing.assert_array_equal(found, np.iinfo(dtype).max - array)


def test_a_palette_is_resolved_to_its_colours() -> None:
    indices = _values(np.uint8)
    image = Image.fromarray(indices).convert("L")
    image = Image.frombytes("P", image.size, indices.tobytes())
    colours = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)
    image.putpalette(colours.tobytes())
    np.testing.assert_array_equal(read_image(_saved(image)).array, colours[indices])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(9, 14), (9, 14, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_orientation_is_read_as_displayed(
    dtype: type, shape: tuple[int, ...], orientation: int, tmp_path: Path
) -> None:
    array = _values(dtype, shape)
    expected = array.swapaxes(0, 1) if orientation > 4 else array
    expected = expected[::-1] if orientation in (3, 4, 7, 8) else expected
    expected = expected[:, ::-1] if orientation in (2, 3, 6, 7) else expected
    path = tmp_path / "turned.tif"
    path.write_bytes(tiff(array, orientation=orientation))
    np.testing.assert_array_equal(read_image(path).array, expected)
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_each_page_is_found_and_none_is_chosen(compression: str | None, tmp_path: Path) -> None:
    pages = [_values(np.uint8, (9 + i, 14)) for i in range(3)]
    images = [Image.fromarray(page) for page in pages]
    path = tmp_path / "stack.tif"
    path.write_bytes(
        _saved(images[0], save_all=True, append_images=images[1:], compression=compression)
    )
    for i, page in enumerate(pages):
        np.testing.assert_array_equal(read_image(f"{path}#{i + 1}").array, page)
        assert image_size(f"{path}#{i + 1}") == page.shape
    for name, words in ((str(path), "several pages; name one"), (f"{path}#4", "no page 4")):
        for call in (read_image, image_size):
            with pytest.raises(InputError, match=words):
                call(name)


def test_signed_and_floating_point_values_are_refused() -> None:
    with pytest.raises(InputError, match="scale them"):
        read_image(tiff(np.full((3, 4), -5, np.int16), sample_format=2))
    with pytest.raises(InputError, match="floating-point"):
        read_image(_saved(Image.fromarray(np.ones((3, 4), np.float32))))


def test_a_large_page_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(InputError, match="14 x 9 px"):
        read_image(tiff(_values(np.uint8)), max_pixels=100)


def test_a_cut_file_is_refused() -> None:
    data = tiff(_values(np.uint16, (9, 14, 3)))
    for length in (9, 60, 200, len(data) - 1):
        with pytest.raises(InputError):
            read_image(data[:length])


def test_a_png_has_no_second_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(_values(np.uint8)).save(path)
    assert read_image(f"{path}#1").size == (9, 14)
    with pytest.raises(InputError, match="no frame 2; it holds 1"):
        read_image(f"{path}#2")
    literal = tmp_path / "b.png#2"
    literal.write_bytes(path.read_bytes())
    assert read_image(literal).size == (9, 14)
