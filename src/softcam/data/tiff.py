"""TIFF as displayed, one page of it, 8 and 16 bits; Pillow decodes."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL.Image import DecompressionBombError
from PIL.TiffImagePlugin import TiffImageFile

from softcam.data import pillow
from softcam.data.frames import choose_frame
from softcam.data.pillow import Array
from softcam.errors import InputError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What a TIFF or BigTIFF file begins with."""

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
_DEEP = ("RGB;16", "RGBA;16", "RGBX;16")
_BROKEN = (
    *pillow.BROKEN,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    ZeroDivisionError,
    OverflowError,
    DecompressionBombError,
)


def open_page(name: str, stream: BinaryIO, frame: int | None) -> TiffImageFile:
    """Read the header of one page.

    Args:
        name: What error messages call the file.
        stream: The open file, at its start.
        frame: Page counted from 1; required where there are several.

    Returns:
        The page, not yet decoded; its size is the displayed one, orientation applied.

    Raises:
        InputError: The header is damaged, or there are several pages and none was named.
    """
    try:
        image = TiffImageFile(stream)
        page = choose_frame(name, frame, None if image.is_animated else 1, "page")
        _seek(name, image, page)
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{name} has a damaged or unsupported TIFF header ({error}); copy the file again, or "
            "save it as PNG."
        ) from error
    return image


def decode(name: str, stream: BinaryIO, image: TiffImageFile, frame: int | None) -> Array:
    """Decode a page to grey or RGB as displayed.

    Args:
        name: What error messages call the file.
        stream: The open file, to decode 16-bit colour twice.
        image: The page, from `open_page`.
        frame: The page as given to `open_page`.

    Returns:
        (height, width) or (height, width, 3) array, uint8 or uint16.

    Raises:
        InputError: The page is truncated or damaged, or has a type without black and white.
    """
    try:
        bits = image.tag_v2.get(_BITS, (1,))
        if is_deep(image):
            return _deep(name, stream, image, frame)
        if max(bits) > 8 and image.mode not in ("I", "I;16", "I;16B", "F"):
            raise InputError(
                f"{name} has {max(bits)} bits per sample in the colours {image.mode}, of which "
                "only 8 would be kept; save it as RGB."
            )
        signed = 2 in image.tag_v2.get(_SAMPLE_FORMAT, ())
        array = pillow.decode(name, image)
        if image.mode == "L" or array.dtype == np.uint8 or signed:
            return array
        return _scale(array, bits[0], inverse=image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{name} is truncated or damaged ({error}); copy the file again."
        ) from error


def is_deep(image: TiffImageFile) -> bool:
    """Whether a page holds 16-bit colour, which is decoded twice."""
    try:
        bits = image.tag_v2.get(_BITS, (1,))
        return _layout(image).startswith(_DEEP) and set(bits) == {16}
    except _BROKEN:
        return False  # `decode` says what is wrong


def _layout(image: TiffImageFile) -> str:
    """Pillow's name for how the samples lie in the file, such as RGB;16L."""
    return str(cast(tuple[Any, ...], image.tile[0].args)[0]) if image.tile else ""


def _seek(name: str, image: TiffImageFile, page: int) -> None:
    if page:
        try:
            image.seek(page)
        except EOFError as error:
            raise InputError(f"{name} has no page {page + 1}; name one that it has.") from error


def _scale(array: Array, bits: int, *, inverse: bool) -> Array:
    """Stretch 9 to 15 bits to 16, and turn over where the largest value is black."""
    if bits not in range(9, 17):
        return array
    largest = (1 << bits) - 1
    levels: npt.NDArray[Any] = np.rint(np.arange(1 << 16) * (65535 / largest)).clip(0, 65535)
    table = (65535 - levels if inverse else levels).astype(np.uint16)
    scaled: Array = table[array]
    return scaled


def _deep(name: str, stream: BinaryIO, image: TiffImageFile, frame: int | None) -> Array:
    """Decode 16-bit colour twice, since Pillow keeps one byte of each sample."""
    halves = []
    for ending in ("B", "L"):
        stream.seek(0)
        again = open_page(name, stream, frame)
        for i, tile in enumerate(again.tile):
            layout, *rest = cast(tuple[Any, ...], tile.args)
            again.tile[i] = tile._replace(args=(layout[:-1] + ending, *rest))
        again.load()
        halves.append(again)
    first, second = halves
    # "B" keeps a sample's first byte and "L" its second; which is high, the samples' order says.
    big = _layout(image).endswith("B")
    high, low = (first, second) if big else (second, first)
    return pillow.join_bytes(high, low, alpha=image.mode != "RGB")
