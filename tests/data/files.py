"""Writers for the tests: PNG files built by hand from the specification, tables, small images."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _scanlines(array: np.ndarray, bits: int) -> bytes:
    """Rows with filter type 0, samples packed from the high bit on, big-endian."""
    lines = b""
    for row in array:
        samples = row.reshape(-1)
        if bits == 16:
            packed = samples.astype(">u2").tobytes()
        elif bits == 8:
            packed = samples.astype(np.uint8).tobytes()
        else:
            text = "".join(format(int(value), f"0{bits}b") for value in samples)
            text += "0" * (-len(text) % 8)
            packed = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
        lines += b"\0" + packed
    return lines


def png(
    array: np.ndarray,
    colour: int,
    bits: int,
    *,
    interlaced: bool = False,
    palette: bytes | None = None,
    transparency: bytes | None = None,
    exif: bytes | None = None,
    late_exif: bytes | None = None,
) -> bytes:
    """A PNG file; array is (height, width) or (height, width, channels) of raw samples."""
    height, width = array.shape[:2]
    if interlaced:
        raw = b""
        for x, y, step_x, step_y in _ADAM7:
            part = array[y::step_y, x::step_x]
            if part.size:
                raw += _scanlines(part, bits)
    else:
        raw = _scanlines(array, bits)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header)]
    if palette is not None:
        parts.append(chunk(b"PLTE", palette))
    if transparency is not None:
        parts.append(chunk(b"tRNS", transparency))
    if exif is not None:
        parts.append(chunk(b"eXIf", exif))
    parts.append(chunk(b"IDAT", zlib.compress(raw)))
    if late_exif is not None:
        parts.append(chunk(b"eXIf", late_exif))
    return b"".join([*parts, chunk(b"IEND")])


def exif(orientation: int) -> bytes:
    """TIFF header and one directory with the orientation tag."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\0\x2a\0\0\0\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0"


def image(path: Path, height: int = 8, width: int = 10, seed: int = 0) -> Path:
    """Save a small RGB image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def table(folder: Path, text: str, *, yaml: str | None = None, name: str = "table.csv") -> Path:
    """Write a table, every image that it names, and a dataset.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    for line in text.splitlines()[1:]:
        named = line.replace(";", ",").split(",")[0]
        if named.endswith((".png", ".jpg")) and not (folder / "images" / named).exists():
            image(folder / "images" / named)
    if yaml is not None:
        (folder / "dataset.yaml").write_text(yaml, encoding="utf-8")
    return path
