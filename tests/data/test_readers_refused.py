"""Damaged, foreign and too large files are refused in one sentence, and never crash."""

from __future__ import annotations

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
    TooManyPixelsError,
    image_size,
    read_bytes,
    read_image,
    read_record,
)
from softcam.data.records import Record
from softcam.errors import InputError
from tests.data import dicoms, files
from tests.data.files import GREY, GREY_ALPHA, RGB, RGBA
from tests.data.samples import samples_of


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
    Image.fromarray(samples_of(1, 8)).save(path, format="GIF")
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
    path.write_bytes(files.png(samples_of(3, 16), RGB, 16)[:-60])
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
    array = samples_of(3, 16)
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
    samples = samples_of({GREY: 1, RGB: 3, GREY_ALPHA: 2, RGBA: 4}[colour], bits)
    data = files.png(samples, colour, bits)
    whole = read_image(data).array
    monkeypatch.setattr("softcam.data.pillow._STRIPE", 30)  # two rows
    np.testing.assert_array_equal(read_image(data).array, whole)


@pytest.mark.parametrize("colour", [GREY, RGB])
def test_a_decoded_image_is_let_go_when_its_array_is_asked_for(
    colour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softcam.data.pillow._STRIPE", 30)
    pixels = read_image(files.png(samples_of(3 if colour == RGB else 1, 8), colour, 8))
    image, size = pixels.image, pixels.size
    assert image is not None
    array = pixels.array
    np.testing.assert_array_equal(array, np.asarray(image))
    assert pixels.image is None
    assert pixels.array is array
    assert (pixels.size, pixels.bit_depth) == (size, 8)


def test_16_bit_colour_counts_twice_against_the_limit() -> None:
    deep, flat = (files.png(samples_of(3, bits, 8, 10), RGB, bits) for bits in (16, 8))
    assert read_image(flat, max_pixels=80).size == (8, 10)
    assert read_image(deep, max_pixels=160).size == (8, 10)
    with pytest.raises(InputError, match="10 x 8 px in 16-bit colour, more than the 79 px"):
        read_image(deep, max_pixels=159)


def test_a_size_told_by_a_damaged_png_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = files.png(samples_of(1, 16), GREY, 16, late_exif=files.exif(6))
    place = whole.index(b"IDAT") + 8
    path.write_bytes(whole[:place] + b"\xff" * 20 + whole[place + 20 :])
    assert image_size(path) == (9, 13)  # the orientation lies behind pixels that are damaged
    with pytest.raises(InputError, match="damaged"):
        read_image(path)
    height = struct.pack(">IIBBBBB", 13, (1 << 31) - 1, 16, 0, 0, 0, 0)
    path.write_bytes(whole[:8] + files.chunk(b"IHDR", height) + whole[33:])
    with pytest.raises(InputError, match="px allowed"):  # before the pixels are decoded
        image_size(path)
