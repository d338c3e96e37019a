from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.readers import (
    Pixels,
    image_size,
    read_image,
)
from softcam.errors import InputError
from tests.data import files
from tests.data.files import GREY, GREY_ALPHA, PALETTE, RGB, RGBA
from tests.data.samples import rng, samples_of

# What the EXIF standard says of each orientation: the displayed side of row 0 and of column 0.
_SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def _displayed(stored: np.ndarray, orientation: int) -> np.ndarray:
    """The displayed image, pixel by pixel from the standard's words."""
    rows, columns = stored.shape[:2]
    row_side, column_side = _SIDES[orientation]
    swapped = row_side in ("left", "right")
    height, width = (columns, rows) if swapped else (rows, columns)
    out = np.zeros((height, width, *stored.shape[2:]), stored.dtype)
    for r in range(rows):
        for c in range(columns):
            at = {}
            for side, distance in ((row_side, r), (column_side, c)):
                if side in ("top", "bottom"):
                    at["y"] = distance if side == "top" else height - 1 - distance
                else:
                    at["x"] = distance if side == "left" else width - 1 - distance
            out[at["y"], at["x"]] = stored[r, c]
    return out


def _over_black(colour: np.ndarray, alpha: np.ndarray, white: int) -> np.ndarray:
    product = colour.astype(np.float64) * alpha.astype(np.float64)[..., None] / white
    return np.floor(product + 0.5)


# --- what is read


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_png_keeps_every_bit(bits: int, interlaced: bool) -> None:
    array = samples_of(1, bits)
    pixels = read_image(files.png(array, GREY, bits, interlaced=interlaced))
    assert pixels.bit_depth == bits
    assert pixels.size == (9, 13)
    np.testing.assert_array_equal(pixels.array, array)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_an_rgb_png_keeps_every_bit(bits: int, interlaced: bool) -> None:
    array = samples_of(3, bits)
    pixels = read_image(files.png(array, RGB, bits, interlaced=interlaced))
    assert pixels.bit_depth == bits
    np.testing.assert_array_equal(pixels.array, array)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_is_composited_over_black(bits: int, interlaced: bool) -> None:
    white = (1 << bits) - 1
    array = samples_of(4, bits)
    array[0, :, 3] = white
    array[1, :, 3] = 0
    pixels = read_image(files.png(array, RGBA, bits, interlaced=interlaced))
    expected = _over_black(array[:, :, :3], array[:, :, 3], white)
    np.testing.assert_array_equal(pixels.array, expected)
    np.testing.assert_array_equal(pixels.array[0], array[0, :, :3])
    assert not pixels.array[1].any()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_alpha_stays_grey(bits: int, interlaced: bool) -> None:
    white = (1 << bits) - 1
    array = samples_of(2, bits)
    pixels = read_image(files.png(array, GREY_ALPHA, bits, interlaced=interlaced))
    expected = _over_black(array[:, :, :1], array[:, :, 1], white)[:, :, 0]
    assert pixels.bit_depth == bits
    np.testing.assert_array_equal(pixels.array, expected)


def test_opaque_16_bit_alpha_changes_no_value() -> None:
    array = samples_of(4, 16)
    array[:, :, 3] = 65535
    np.testing.assert_array_equal(read_image(files.png(array, RGBA, 16)).array, array[:, :, :3])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_grey_levels_are_stretched_to_8_bits(bits: int) -> None:
    array = samples_of(1, bits)
    expected = array.astype(int) * 255 // ((1 << bits) - 1)
    np.testing.assert_array_equal(read_image(files.png(array, GREY, bits)).array, expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_is_resolved_to_its_colours(bits: int) -> None:
    indices = samples_of(1, bits)
    colours = rng().integers(0, 256, (1 << bits, 3), dtype=np.uint8)
    pixels = read_image(files.png(indices, PALETTE, bits, palette=colours.tobytes()))
    np.testing.assert_array_equal(pixels.array, colours[indices])


def test_a_palette_with_transparency_is_composited_over_black() -> None:
    indices = samples_of(1, 2)
    colours = rng().integers(0, 256, (4, 3), dtype=np.uint8)
    alpha = np.array([0, 255, 100, 255], np.uint8)
    data = files.png(
        indices, PALETTE, 2, palette=colours.tobytes(), transparency=alpha[:3].tobytes()
    )
    expected = _over_black(colours[indices], alpha[indices], 255)
    np.testing.assert_array_equal(read_image(data).array, expected)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_a_transparent_grey_level_becomes_black(bits: int) -> None:
    array = samples_of(1, bits)
    level = int(array[0, 0]) or 1
    array[0, 0] = level
    data = files.png(array, GREY, bits, transparency=struct.pack(">H", level))
    stretch = 255 // ((1 << bits) - 1) if bits < 8 else 1
    expected = np.where(array == level, 0, array.astype(int) * stretch)
    np.testing.assert_array_equal(read_image(data).array, expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_becomes_black(bits: int) -> None:
    array = samples_of(3, bits)
    key = [int(value) for value in array[2, 3]]
    data = files.png(array, RGB, bits, transparency=struct.pack(">HHH", *key))
    expected = array.copy()
    expected[2, 3] = 0
    np.testing.assert_array_equal(read_image(data).array, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_is_read_in_its_colours(mode: str, tmp_path: Path) -> None:
    smooth = np.linspace(30, 220, 32 * 48).reshape(32, 48).astype(np.uint8)
    colour = np.stack([smooth, 255 - smooth, np.full_like(smooth, 90)], axis=2)
    path = tmp_path / "a.jpeg"
    source = Image.fromarray(smooth if mode == "L" else colour).convert(mode)
    source.save(path, quality=98)
    array = read_image(path).array
    expected = smooth if mode == "L" else colour
    assert array.shape == expected.shape
    assert np.abs(array.astype(int) - expected).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_read_as_displayed(orientation: int, tmp_path: Path) -> None:
    array = samples_of(3, 16)
    data = files.png(array, RGB, 16, exif=files.exif(orientation))
    expected = _displayed(array, orientation)
    path = tmp_path / "turned.png"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path).array, expected)
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_read_as_displayed(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    stored = np.kron(samples_of(1, 8, 3, 5), np.ones((8, 8), np.uint8))
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(stored).save(path, quality=100, exif=tags)
    array = read_image(path).array
    expected = _displayed(stored, orientation)
    assert image_size(path) == array.shape == expected.shape
    assert np.abs(array.astype(int) - expected).max() <= 3


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    array = samples_of(1, 8)
    path = tmp_path / "late.png"
    path.write_bytes(files.png(array, GREY, 8, late_exif=files.exif(6)))
    assert image_size(path) == (13, 9)
    np.testing.assert_array_equal(read_image(path).array, _displayed(array, 6))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_exif_data_leaves_the_image_as_stored() -> None:
    array = samples_of(1, 8)
    data = files.png(array, GREY, 8, exif=b"MM\0\x2a\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_image(data).array, array)


def test_an_unknown_orientation_leaves_the_image_as_stored() -> None:
    array = samples_of(1, 8)
    data = files.png(array, GREY, 8, exif=files.exif(9))
    np.testing.assert_array_equal(read_image(data).array, array)


# --- arrays and PIL images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_an_array_passes_through(dtype: type, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    np.testing.assert_array_equal(read_image(array).array, array)


def test_an_array_with_one_channel_is_grey_and_with_four_is_composited() -> None:
    assert read_image(np.ones((4, 5, 1), np.uint8)).array.shape == (4, 5)
    four = np.full((4, 5, 4), 200, np.uint8)
    expected = round(200 * 200 / 255)
    assert (read_image(four).array == expected).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5)), "float64"),
        (np.zeros((4, 5), bool), "bool"),
        (np.zeros((3, 40, 50), np.uint8), "channels last"),
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((0, 5), np.uint8), "shape"),
        (np.zeros((4, 5, 2), np.uint8), "shape"),
    ],
)
def test_an_array_that_is_no_image_is_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_image(array)


def test_a_pil_image_is_turned_as_its_exif_says() -> None:
    array = samples_of(3, 8)
    opened = Image.open(io.BytesIO(files.png(array, RGB, 8, exif=files.exif(8))))
    np.testing.assert_array_equal(read_image(opened).array, _displayed(array, 8))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_a_pil_image_of_any_displayable_mode_is_read(mode: str) -> None:
    image = Image.fromarray(samples_of(3, 8)).convert(mode)
    array = read_image(image).array
    assert array.dtype == np.uint8
    assert array.ndim == (2 if mode in ("1", "L", "LA") else 3)


def test_a_pil_image_of_32_bits_is_read_when_its_values_fit_16() -> None:
    values = np.array([[0, 65535], [7, 300]], np.int32)
    pixels = read_image(Image.fromarray(values))
    assert pixels.bit_depth == 16
    np.testing.assert_array_equal(pixels.array, values)
    with pytest.raises(InputError, match="65536"):
        read_image(Image.fromarray(values + 1))
    with pytest.raises(InputError, match="floating"):
        read_image(Image.fromarray(values.astype(np.float32)))


def test_pixels_refuse_other_types_and_shapes() -> None:
    with pytest.raises(InputError, match="float32"):
        Pixels(np.zeros((2, 2), np.float32))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="shape"):
        Pixels(np.zeros((2, 2, 4), np.uint8))
