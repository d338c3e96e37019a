"""One image of a download to one image of the data set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from softcam.data.importers.plan import LeftOut, Shape
from softcam.data.importers.sources import Source
from softcam.data.readers import MAX_PIXELS, Pixels, check_size, read_image
from softcam.data.retina import find_field
from softcam.errors import InputError
from softcam.files import write_atomically

MAX_BYTES = 512 << 20
"""Larger files are refused before they are read: they would fill the memory."""

NO_CIRCLE = "no circle found: cropped to the bright part"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Job:
    """One image to convert.

    Attributes:
        root: The download.
        images: The image folder to write to.
        source: The file relative to the download.
        name: The image to write, without a suffix.
        shape: How to bring it to size.
        known: What an earlier, interrupted import says about it.
    """

    root: Path
    images: Path
    source: str
    name: str
    shape: Shape
    known: Source | None = None


def convert(job: Job) -> Source | LeftOut:
    """Convert one image, unless an interrupted import did so already.

    A file that needs no change is copied byte for byte; everything else becomes a PNG, which loses
    nothing but what the resizing loses.

    Args:
        job: What to do.

    Returns:
        Where the image came from, or why it is left out.

    Raises:
        InputError: The image folder cannot be written.
    """
    try:
        data = _read_bytes(job.root / job.source)
        digest = hashlib.sha256(data).hexdigest()
        if job.known is not None and _still_there(job, job.known, digest):
            return job.known
        pixels = read_image(data)
        written, suffix, size, crop, note = _shaped(pixels, data, job.shape)
    except InputError as error:
        return LeftOut(job.source, "the image cannot be read", str(error).rstrip("."))
    image = job.name + suffix
    target = job.images / image
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target}: cannot write here ({error.strerror}).") from error
    write_atomically(target, written)
    return Source(
        image,
        *size,
        hashlib.sha256(written).hexdigest(),
        job.source,
        pixels.size[1],
        pixels.size[0],
        digest,
        *crop,
        note,
    )


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"it has more than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"it cannot be opened ({error.strerror})") from error


def _still_there(job: Job, known: Source, digest: str) -> bool:
    """Whether the source is the same and the image written from it is whole."""
    if known.source != job.source or known.source_sha256 != digest:
        return False
    if str(PurePosixPath(known.image).with_suffix("")) != job.name:
        return False
    try:
        written = (job.images / known.image).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(written).hexdigest() == known.sha256


def _shaped(
    pixels: Pixels, data: bytes, shape: Shape
) -> tuple[bytes, str, tuple[int, int], tuple[int, int, int, int], str]:
    """The file to write, its suffix, its (width, height), the rectangle it shows, and a note."""
    height, width = pixels.size
    tall, wide = pixels.true_size  # a PNG cannot say that its pixels are not square
    check_size("it", (tall, wide), MAX_PIXELS)
    if shape.rule == "retina":
        field = find_field(_resized(pixels.array, wide, tall))
        to = shape.size or field.square()[2]
        x0, y0, x1, y1 = region = field.region(width / wide, height / tall)
        content = _png(_resized(_cropped(pixels.array, region), to, to))
        crop = (x0, y0, x1 - x0, y1 - y0)
        return content, ".png", (to, to), crop, "" if field.circle else NO_CIRCLE
    side = max(wide, tall) if shape.rule == "longer" else min(wide, tall)
    whole = (0, 0, width, height)
    small = shape.size is None or side <= shape.size
    if small and (wide, tall) == (width, height):
        if data.startswith(_JPEG):
            return data, ".jpg", (width, height), whole, ""
        content = data if data.startswith(_PNG) else _png(pixels.array)
        return content, ".png", (width, height), whole, ""
    to = side if small or shape.size is None else shape.size
    to_width, to_height = max(1, round(wide * to / side)), max(1, round(tall * to / side))
    content = _png(_resized(pixels.array, to_width, to_height))
    return content, ".png", (to_width, to_height), whole, ""


def _cropped(array: npt.NDArray[Any], box: tuple[int, int, int, int]) -> npt.NDArray[Any]:
    """Cut out (x0, y0, x1, y1), black where it reaches over the border."""
    x0, y0, x1, y1 = box
    cut = np.zeros((y1 - y0, x1 - x0, *array.shape[2:]), array.dtype)
    inner = array[max(y0, 0) : y1, max(x0, 0) : x1]
    top, left = max(-y0, 0), max(-x0, 0)
    cut[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return cut


def _resized(array: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[Any]:
    """Resize with Lanczos' filter over all source pixels that a reduced pixel covers."""
    if array.shape[:2] == (height, width):
        return array
    if array.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(array))
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    if array.ndim == 3:
        raise InputError("it has 16 bits a colour, which cannot be resized here; save it as 8 bits")
    # float32 holds every 16-bit value.
    image = Image.fromarray(np.ascontiguousarray(array, dtype=np.float32))
    resized = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return np.asarray(np.rint(resized).clip(0, 65535), dtype=np.uint16)


def _png(array: npt.NDArray[Any]) -> bytes:
    if array.dtype == np.uint16 and array.ndim == 3:
        raise InputError("it has 16 bits a colour, which cannot be cropped here; save it as 8 bits")
    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(stream, format="PNG")
    return stream.getvalue()
