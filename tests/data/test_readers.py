from __future__ import annotations

import io
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.frames import FrameError
from softcam.data.readers import (
    Pixels,
    TooManyPixelsError,
    image_size,
    read_bytes,
    read_image,
    read_record,
)
from softcam.data.records import Record
from softcam.errors import InputError
from tests.data import dicoms, files
from tests.data.files import GREY, GREY_ALPHA, PALETTE, RGB, RGBA

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


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _samples(channels: int, bits: int, height: int = 9, width: int = 13) -> np.ndarray:
    dtype = np.uint16 if bits == 16 else np.uint8
    array = _rng().integers(0, 1 << bits, (height, width, channels), dtype=dtype)
    return array[:, :, 0] if channels == 1 else array


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
    array = _samples(1, bits)
    pixels = read_image(files.png(array, GREY, bits, interlaced=interlaced))
    assert pixels.bit_depth == bits
    assert pixels.size == (9, 13)
    np.testing.assert_array_equal(pixels.array, array)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_an_rgb_png_keeps_every_bit(bits: int, interlaced: bool) -> None:
    array = _samples(3, bits)
    pixels = read_image(files.png(array, RGB, bits, interlaced=interlaced))
    assert pixels.bit_depth == bits
    np.testing.assert_array_equal(pixels.array, array)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_is_composited_over_black(bits: int, interlaced: bool) -> None:
    white = (1 << bits) - 1
    array = _samples(4, bits)
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
    array = _samples(2, bits)
    pixels = read_image(files.png(array, GREY_ALPHA, bits, interlaced=interlaced))
    expected = _over_black(array[:, :, :1], array[:, :, 1], white)[:, :, 0]
    assert pixels.bit_depth == bits
    np.testing.assert_array_equal(pixels.array, expected)


def test_opaque_16_bit_alpha_changes_no_value() -> None:
    array = _samples(4, 16)
    array[:, :, 3] = 65535
    np.testing.assert_array_equal(read_image(files.png(array, RGBA, 16)).array, array[:, :, :3])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_grey_levels_are_stretched_to_8_bits(bits: int) -> None:
    array = _samples(1, bits)
    expected = array.astype(int) * 255 // ((1 << bits) - 1)
    np.testing.assert_array_equal(read_image(files.png(array, GREY, bits)).array, expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_is_resolved_to_its_colours(bits: int) -> None:
    indices = _samples(1, bits)
    colours = _rng().integers(0, 256, (1 << bits, 3), dtype=np.uint8)
    pixels = read_image(files.png(indices, PALETTE, bits, palette=colours.tobytes()))
    np.testing.assert_array_equal(pixels.array, colours[indices])


def test_a_palette_with_transparency_is_composited_over_black() -> None:
    indices = _samples(1, 2)
    colours = _rng().integers(0, 256, (4, 3), dtype=np.uint8)
    alpha = np.array([0, 255, 100, 255], np.uint8)
    data = files.png(
        indices, PALETTE, 2, palette=colours.tobytes(), transparency=alpha[:3].tobytes()
    )
    expected = _over_black(colours[indices], alpha[indices], 255)
    np.testing.assert_array_equal(read_image(data).array, expected)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_a_transparent_grey_level_becomes_black(bits: int) -> None:
    array = _samples(1, bits)
    level = int(array[0, 0]) or 1
    array[0, 0] = level
    data = files.png(array, GREY, bits, transparency=struct.pack(">H", level))
    stretch = 255 // ((1 << bits) - 1) if bits < 8 else 1
    expected = np.where(array == level, 0, array.astype(int) * stretch)
    np.testing.assert_array_equal(read_image(data).array, expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_becomes_black(bits: int) -> None:
    array = _samples(3, bits)
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
    array = _samples(3, 16)
    data = files.png(array, RGB, 16, exif=files.exif(orientation))
    expected = _displayed(array, orientation)
    path = tmp_path / "turned.png"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path).array, expected)
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_read_as_displayed(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    stored = np.kron(_samples(1, 8, 3, 5), np.ones((8, 8), np.uint8))
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(stored).save(path, quality=100, exif=tags)
    array = read_image(path).array
    expected = _displayed(stored, orientation)
    assert image_size(path) == array.shape == expected.shape
    assert np.abs(array.astype(int) - expected).max() <= 3


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    array = _samples(1, 8)
    path = tmp_path / "late.png"
    path.write_bytes(files.png(array, GREY, 8, late_exif=files.exif(6)))
    assert image_size(path) == (13, 9)
    np.testing.assert_array_equal(read_image(path).array, _displayed(array, 6))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_exif_data_leaves_the_image_as_stored() -> None:
    array = _samples(1, 8)
    data = files.png(array, GREY, 8, exif=b"MM\0\x2a\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_image(data).array, array)


def test_an_unknown_orientation_leaves_the_image_as_stored() -> None:
    array = _samples(1, 8)
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
    array = _samples(3, 8)
    opened = Image.open(io.BytesIO(files.png(array, RGB, 8, exif=files.exif(8))))
    np.testing.assert_array_equal(read_image(opened).array, _displayed(array, 8))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_a_pil_image_of_any_displayable_mode_is_read(mode: str) -> None:
    image = Image.fromarray(_samples(3, 8)).convert(mode)
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


# --- bad files


def _message(path: Path, **arguments: int) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, **arguments)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in _message(tmp_path / "none.png")


def test_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in _message(tmp_path / "folder.png")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert "0 bytes" in _message(path)
    with pytest.raises(InputError, match="0 bytes"):
        image_size(path)


def test_a_text_file_named_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("patient,label\n1,0\n")
    assert "not a PNG, JPEG, TIFF" in _message(path)


def test_another_image_format_named_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gif.png"
    Image.fromarray(_samples(1, 8)).save(path, format="GIF")
    assert "not a PNG, JPEG, TIFF" in _message(path)


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_file_is_named(suffix: str, part: float, tmp_path: Path) -> None:
    whole = files.image(tmp_path / f"whole.{suffix}", 64, 80).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: int(len(whole) * part)])
    assert "copy the file again" in _message(path)


def test_no_cut_of_a_file_gives_wrong_pixels_or_another_error(tmp_path: Path) -> None:
    for suffix in ("jpg", "png"):
        whole = files.image(tmp_path / f"a.{suffix}", 16, 16).read_bytes()
        expected = read_image(whole).array
        for length in range(1, len(whole), 7):
            try:
                array = read_image(whole[:length]).array
            except InputError:
                continue
            np.testing.assert_array_equal(array, expected)  # only what follows the pixels is cut


def test_a_damaged_16_bit_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(files.png(_samples(3, 16), RGB, 16)[:-60])
    assert "truncated or damaged" in _message(path)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    side = 30_000
    packer = zlib.compressobj(1)
    line = b"\0" * (1 + side // 8)
    data = b"".join(packer.compress(line * 1000) for _ in range(side // 1000)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + files.chunk(b"IHDR", header)
        + files.chunk(b"IDAT", data)
        + files.chunk(b"IEND")
    )
    limit = Image.MAX_IMAGE_PIXELS
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "30000 x 30000 px" in _message(path)
        with pytest.raises(InputError, match="30000 x 30000 px"):
            image_size(path)
    assert time.perf_counter() - start < 1
    assert limit == Image.MAX_IMAGE_PIXELS


def test_bytes_are_read_as_their_file_is_with_a_frame_and_a_limit() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 8, 10), np.uint8)
    data = dicoms.save(dicoms.dataset(frames, frames=3))
    np.testing.assert_array_equal(read_bytes(data, frame=2).array, frames[1])
    with pytest.raises(FrameError) as several:
        read_bytes(data)
    assert (several.value.count, several.value.asked) == (3, None)
    with pytest.raises(FrameError) as beyond:
        read_bytes(data, frame=4)
    assert (beyond.value.count, beyond.value.asked) == (3, 4)
    with pytest.raises(TooManyPixelsError, match="The image has 10 x 8 px"):
        read_bytes(data, frame=1, max_pixels=79)


def test_the_pixel_limit_can_be_lowered_and_counts_for_arrays_too(tmp_path: Path) -> None:
    path = files.image(tmp_path / "a.png", 8, 10)
    assert "10 x 8 px" in _message(path, max_pixels=79)
    assert read_image(path, max_pixels=80).size == (8, 10)
    with pytest.raises(InputError, match="10 x 8 px"):
        read_image(np.zeros((8, 10), np.uint8), max_pixels=79)
    with pytest.raises(InputError, match="10 x 8 px"):
        read_image(Image.new("L", (10, 8)), max_pixels=79)


def test_an_image_above_pillows_own_limit_but_below_ours_is_read_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    array = _samples(3, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(files.png(array, RGB, 16)).array, array)


def test_a_records_error_names_its_row(tmp_path: Path) -> None:
    record = Record(tmp_path / "none.png", "none.png", 0, None, "p", 17)
    with pytest.raises(InputError, match=r"Row 17 .*none\.png"):
        read_record(record)
    path = files.image(tmp_path / "a.png")
    assert read_record(Record(path, "a.png", 0, None, "p", 2)).size == (8, 10)


@pytest.mark.parametrize("colour", [GREY, RGB, GREY_ALPHA, RGBA])
@pytest.mark.parametrize("bits", [8, 16])
def test_an_image_converted_in_stripes_is_the_one_converted_at_once(
    bits: int, colour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = _samples({GREY: 1, RGB: 3, GREY_ALPHA: 2, RGBA: 4}[colour], bits)
    data = files.png(samples, colour, bits)
    whole = read_image(data).array
    monkeypatch.setattr("softcam.data.pillow._STRIPE", 30)  # two rows
    np.testing.assert_array_equal(read_image(data).array, whole)


@pytest.mark.parametrize("colour", [GREY, RGB])
def test_a_decoded_image_is_let_go_when_its_array_is_asked_for(
    colour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softcam.data.pillow._STRIPE", 30)
    pixels = read_image(files.png(_samples(3 if colour == RGB else 1, 8), colour, 8))
    image, size = pixels.image, pixels.size
    assert image is not None
    array = pixels.array
    np.testing.assert_array_equal(array, np.asarray(image))
    assert pixels.image is None
    assert pixels.array is array
    assert (pixels.size, pixels.bit_depth) == (size, 8)


def test_16_bit_colour_counts_twice_against_the_limit() -> None:
    deep, flat = (files.png(_samples(3, bits, 8, 10), RGB, bits) for bits in (16, 8))
    assert read_image(flat, max_pixels=80).size == (8, 10)
    assert read_image(deep, max_pixels=160).size == (8, 10)
    with pytest.raises(InputError, match="10 x 8 px in 16-bit colour, more than the 79 px"):
        read_image(deep, max_pixels=159)


def test_a_size_told_by_a_damaged_png_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = files.png(_samples(1, 16), GREY, 16, late_exif=files.exif(6))
    place = whole.index(b"IDAT") + 8
    path.write_bytes(whole[:place] + b"\xff" * 20 + whole[place + 20 :])
    assert image_size(path) == (9, 13)  # the orientation lies behind pixels that are damaged
    with pytest.raises(InputError, match="damaged"):
        read_image(path)
    height = struct.pack(">IIBBBBB", 13, (1 << 31) - 1, 16, 0, 0, 0, 0)
    path.write_bytes(whole[:8] + files.chunk(b"IHDR", height) + whole[33:])
    with pytest.raises(InputError, match="px allowed"):  # before the pixels are decoded
        image_size(path)
