"""What Pillow needs told so that it decodes safely and exactly: limits, 16 bits, orientation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ImageFile
from PIL.Image import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from softcam.errors import InputError

Array = npt.NDArray[np.unsignedinteger]
"""uint8 or uint16."""

FIRST_TRANSPOSED = 5
"""EXIF orientations from 5 on exchange width and height."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow raises on damaged files."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x0112
_STRIPE = 1 << 20  # pixels converted at once, so that no image is in memory three times
_LATE_METADATA = {b"eXIf", b"iTXt", b"zTXt", b"tEXt"}


def open_header(name: str, stream: BinaryIO, length: int) -> tuple[ImageFile.ImageFile, int]:
    """Read the header of a PNG or JPEG file.

    The format's own reader is called instead of `PIL.Image.open`, whose size limit is a global
    that warns in one range and raises in another; the caller checks the size instead.

    Args:
        name: What error messages call the file.
        stream: The open file, at its start.
        length: Length of the file in bytes.

    Returns:
        The image, not yet decoded, and its bits per sample.

    Raises:
        InputError: The file is empty, or no PNG or JPEG, or its header is damaged.
    """
    if length == 0:
        raise InputError(f"{name} is empty (0 bytes); copy the file again.")
    head = stream.read(26)
    stream.seek(0)
    reader: type[JpegImageFile] | type[PngImageFile]
    if head.startswith(_PNG):
        kind, reader = "PNG", PngImageFile
    elif head.startswith(_JPEG):
        kind, reader = "JPEG", JpegImageFile
    else:
        raise InputError(
            f"{name} is not a PNG, JPEG, TIFF, DICOM or NIfTI image, whatever its name says; "
            "convert it to PNG."
        )
    try:
        image = reader(stream)
    except BROKEN as error:
        raise InputError(
            f"{name} has a damaged or unsupported {kind} header ({error}); copy the file again, "
            "or save it as PNG."
        ) from error
    return image, head[24] if kind == "PNG" else 8


def orientation(image: Image, stream: BinaryIO | None = None) -> int:
    """Read the EXIF orientation, 1 (upright) to 8.

    Args:
        image: The image; a PNG file need not be decoded yet if `stream` is given.
        stream: The open file, to look for metadata that follows a PNG's pixels.
    """
    try:
        if isinstance(image, PngImageFile) and stream is not None and _has_late_metadata(stream):
            image.load()
        # Not PngImageFile's own method, which would decode the whole image for a missing tag.
        exif = Image.getexif(image)
        value = exif.get(_ORIENTATION, 1)
    except (*BROKEN, MemoryError):
        return 1  # viewers show an image with unreadable EXIF data as it is stored
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def decode(
    name: str, image: Image, bits: int | None = None, stream: BinaryIO | None = None
) -> Array:
    """Decode an image to grey or RGB as displayed.

    Args:
        name: What error messages call the file.
        image: A header from `open_header`, or any PIL image.
        bits: Bits per sample of the file; None for a PIL image.
        stream: The open file, to decode 16-bit colour twice.

    Returns:
        (height, width) or (height, width, 3) array, uint8 or uint16.

    Raises:
        InputError: The file is truncated or damaged, or the mode has no fixed black and white.
    """
    decoded = decode_in_place(name, image, bits, stream)
    return to_array(decoded) if isinstance(decoded, Image) else decoded


def decode_in_place(
    name: str, image: Image, bits: int | None = None, stream: BinaryIO | None = None
) -> Array | Image:
    """Decode as `decode` does, but give the image itself where it is what is displayed.

    Args:
        name: As `decode`.
        image: As `decode`.
        bits: As `decode`.
        stream: As `decode`.

    Returns:
        As `decode`, or the image, of mode L or RGB.

    Raises:
        InputError: As `decode`.
    """
    try:
        if isinstance(image, PngImageFile) and bits == 16 and stream is not None:
            array = _deep(image, stream)
        elif _is_plain(image):
            return image
        else:
            array = _shallow(name, image, bits)
    except InputError:
        raise
    except (*BROKEN, MemoryError) as error:
        raise InputError(
            f"{name} is truncated or damaged ({error}); copy the file again."
        ) from error
    return _upright(array, orientation(image))


def over_black(colour: Array, alpha: Array) -> Array:
    """Composite over black, rounding to the nearest value.

    Args:
        colour: (height, width) or (height, width, 3) array.
        alpha: (height, width) array of the same type; its largest value is opaque.

    Returns:
        Array of colour's shape and type.
    """
    white = int(np.iinfo(colour.dtype).max)
    if bool((alpha == white).all()):
        return colour
    # The product of two 16-bit numbers, plus half, still fits into 32 bits.
    weight = alpha.astype(np.uint32)
    weight = weight[:, :, None] if colour.ndim == 3 else weight
    blended: Array = ((colour * weight + white // 2) // white).astype(colour.dtype)
    return blended


def to_array(image: Image) -> Array:
    """Copy a decoded image of mode L or RGB to an array that can be written to.

    Numpy's own way would hold a large image three times.
    """
    array = np.empty((*image.size[::-1], 3)[: 3 if image.mode == "RGB" else 2], np.uint8)
    for rows, part in stripes(image):
        array[rows] = np.asarray(part)
    return array


def _is_plain(image: Image) -> bool:
    """Decode an image, and say whether it is grey or RGB of 8 bits, opaque and upright."""
    image.load()
    if image.mode not in ("L", "RGB") or image.info.get("transparency") is not None:
        return False
    return orientation(image) == 1


def _shallow(name: str, image: Image, bits: int | None) -> Array:
    """Decode 1 to 8 bits a sample, and the 16-bit grey modes that Pillow has."""
    image.load()
    mode = image.mode
    if mode in ("I", "I;16", "I;16L", "I;16B", "I;16N"):
        return _wide(name, image)
    if mode == "F":
        raise InputError(
            f"{name} holds floating-point values; scale them to uint8 or uint16, so that black "
            "and white are known."
        )
    transparency = image.info.get("transparency")
    if mode in ("1", "L"):
        grey = np.empty(image.size[::-1], np.uint8)
        # Pillow stretches few grey levels to 0..255 but leaves the transparent one as stored.
        white = (1 << (bits or 8)) - 1
        level = transparency * 255 // white if isinstance(transparency, int) else -1
        for rows, part in stripes(image):
            shades = np.asarray(part.convert("L"))
            grey[rows] = np.where(shades == level, 0, shades)
        return grey
    if mode in ("LA", "La"):
        mixed = np.empty(image.size[::-1], np.uint8)
        for rows, part in stripes(image):
            both = np.asarray(part.convert("LA"))
            mixed[rows] = over_black(both[:, :, 0], both[:, :, 1])
        return mixed
    see_through = mode in ("RGBA", "RGBa", "PA") or (
        mode in ("P", "RGB") and transparency is not None
    )
    colour = np.empty((*image.size[::-1], 3), np.uint8)
    for rows, part in stripes(image):
        if see_through:
            four = np.asarray(part.convert("RGBA"))
            colour[rows] = over_black(four[:, :, :3], four[:, :, 3])
        else:
            colour[rows] = np.asarray(part.convert("RGB"))
    return colour


def _wide(name: str, image: Image) -> Array:
    """Take over 16-bit grey, of which Pillow keeps some in 32 bits."""
    wide = np.empty(image.size[::-1], np.uint16)
    ends: list[int] = []
    for rows, part in stripes(image):
        values = np.asarray(part)
        ends += [int(values.min()), int(values.max())]
        wide[rows] = values & 0xFFFF
    low, high = min(ends, default=0), max(ends, default=0)
    if low < 0 or high > 65535:
        raise InputError(f"{name} holds values from {low} to {high}; scale them to 0..65535.")
    return wide


def stripes(image: Image) -> Iterator[tuple[slice, Image]]:
    """Cut a decoded image into pieces of some rows.

    Yields:
        The rows, and the piece, which has the image's palette and transparency.
    """
    width, height = image.size
    rows = max(1, _STRIPE // max(1, width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def _deep(image: PngImageFile, stream: BinaryIO) -> Array:
    """Decode a PNG of 16 bits a sample, of which Pillow would keep 8 when there is colour.

    The decoder is asked for the samples' bytes: once as they are for grey with alpha, which has
    four bytes a pixel like RGBA; twice, high and low, for colour.
    """
    transparency = image.info.get("transparency")
    layout = image.tile[0].args
    if layout == "LA;16B":
        grey = np.empty(image.size[::-1], np.uint16)
        for rows, part in stripes(_decoded_as(image, "RGBA")):
            raw = np.asarray(part)
            grey[rows] = over_black(
                _join(raw[:, :, 0], raw[:, :, 1]), _join(raw[:, :, 2], raw[:, :, 3])
            )
        return grey
    if layout in ("RGB;16B", "RGBA;16B"):
        high = _decoded_as(image, layout)
        stream.seek(0)
        # The high byte of a little-endian sample is the low byte of the big-endian one.
        low = _decoded_as(PngImageFile(stream), layout[:-1] + "L")
        key = np.array(-1 if transparency is None else transparency)
        return join_bytes(high, low, key=key)
    image.load()
    grey = np.asarray(image).astype(np.uint16)
    if transparency is not None:
        grey[grey == transparency] = 0
    return grey


def join_bytes(
    high: Image, low: Image, *, key: npt.NDArray[Any] | None = None, alpha: bool = True
) -> Array:
    """Join 16-bit colour that was decoded twice, and composite it over black.

    Args:
        high: The high bytes, RGB or RGBA.
        low: The low bytes, alike.
        key: The colour that is transparent, if there is one.
        alpha: Whether a fourth channel is transparency; else it is left out.

    Returns:
        (height, width, 3) array, uint16.
    """
    out = np.empty((*high.size[::-1], 3), np.uint16)
    for (rows, first), (_, second) in zip(stripes(high), stripes(low), strict=True):
        colour = _join(np.asarray(first), np.asarray(second))
        if colour.shape[2] == 4 and alpha:
            colour = over_black(colour[:, :, :3], colour[:, :, 3])
        elif key is not None:
            colour[(colour[:, :, :3] == key).all(axis=2)] = 0
        out[rows] = colour[:, :, :3]
    return out


def _decoded_as(image: PngImageFile, layout: str) -> PngImageFile:
    image.tile = [image.tile[0]._replace(args=layout)]
    image.load()
    return image


def _join(high: npt.NDArray[Any], low: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    joined: npt.NDArray[np.uint16] = (high.astype(np.uint16) << np.uint16(8)) | low
    return joined


def _upright(array: Array, turn: int) -> Array:
    """Undo the EXIF orientation: 2 to 4 mirror and turn, 5 to 8 exchange rows and columns."""
    if turn >= FIRST_TRANSPOSED:
        array = array.swapaxes(0, 1)
    # Where the stored first row and first column are displayed decides what to mirror.
    if turn in (3, 4, 7, 8):
        array = array[::-1]
    if turn in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _has_late_metadata(stream: BinaryIO) -> bool:
    """Whether a PNG keeps text or EXIF chunks behind its pixels, where a header read misses them.

    Leaves the stream where it was.
    """
    place = stream.tell()
    stream.seek(len(_PNG))
    seen_pixels = found = False
    while not found and len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        seen_pixels = seen_pixels or kind == b"IDAT"
        found = seen_pixels and kind in _LATE_METADATA
        stream.seek(length + 4, 1)
    stream.seek(place)
    return found
