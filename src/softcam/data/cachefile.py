"""The files of a prepared cache: pixels, and small tables that say where they lie.

A part is what one process wrote: `NAME.pixels` with the images one after another, `NAME.index`
that says where each lies, and `NAME.stamps` that remembers which content a file had. Nobody writes
to another's part, so that no locks are needed; names begin with the time, and later parts win. A
row is written after its pixels and bears a checksum, as do the pixels: what a killed process or a
bad disk left is seen, and nothing in the files is trusted.
"""

from __future__ import annotations

import mmap
import os
import secrets
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]
Key = tuple[int, int]
"""128 bits of a hash."""

INDEX = np.dtype(
    [
        ("key", "<u8", (2,)),
        ("offset", "<u8"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("bytes", "<u4"),  # of a sample: 1 or 2
        ("pixels", "<u4"),
        ("check", "<u4"),
    ]
)
"""Where the image with a key lies, its size as displayed in the file, and its checksum."""

STAMPS = np.dtype([("key", "<u8", (2,)), ("content", "<u8", (2,)), ("check", "<u4")])
"""Which content a file of some path, length and times had."""

_MAX_NEW = 4096
_MAGIC = {".index": b"softcam index 1\n", ".stamps": b"softcam stamps1\n"}
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)  # Linux: all pages at once instead of fault by fault


def read_rows(path: Path, kind: np.dtype[Any]) -> tuple[Rows, int]:
    """Read the table of a part as far as it is good.

    Args:
        path: A file `NAME.index` or `NAME.stamps`.
        kind: `INDEX` or `STAMPS`.

    Returns:
        The good rows, and the number of bad ones.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return np.zeros(0, kind), 1
    magic = _MAGIC[path.suffix]
    if not data.startswith(magic):
        return np.zeros(0, kind), int(bool(data))
    body = memoryview(data)[len(magic) :]
    count, rest = divmod(len(body), kind.itemsize)
    rows = np.frombuffer(body[: len(body) - rest], kind)
    size = kind.itemsize
    checks = (zlib.crc32(body[i : i + size - 4]) for i in range(0, count * size, size))
    good = rows["check"] == np.fromiter(checks, np.uint32, count)
    # A row that was not finished is what a killed process leaves: no damage.
    return rows[good], int(count - good.sum())


def read_pixels(stream: BinaryIO, row: np.void, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    """Map an image into memory, and check it.

    Args:
        stream: The file of pixels.
        row: Its row of `INDEX`.
        shape: (H, W, C).

    Returns:
        A read-only array, whose memory is the file's; None if the file does not hold the image.
    """
    dtype = np.dtype(np.uint8 if row["bytes"] == 1 else np.uint16).newbyteorder("<")
    offset = int(row["offset"])
    before = offset % mmap.ALLOCATIONGRANULARITY
    length = before + int(np.prod(shape)) * dtype.itemsize
    try:
        mapped = _map(stream.fileno(), length, offset - before)
    except (ValueError, OSError, OverflowError):  # the file is shorter, or gone
        return None
    array = np.frombuffer(mapped, dtype, int(np.prod(shape)), before).reshape(shape)
    if zlib.crc32(array.data) != row["pixels"]:
        return None
    return array.astype(dtype.newbyteorder("="), copy=False)


def _map(descriptor: int, length: int, offset: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(descriptor, length, access=mmap.ACCESS_READ, offset=offset)
    flags = mmap.MAP_SHARED | _POPULATE
    return mmap.mmap(descriptor, length, flags, mmap.PROT_READ, offset=offset)


@dataclass
class Writer:
    """Writes a new part.

    Attributes:
        name: Of the part, which is later than every part that is there.
        owner: The process that may write.
    """

    name: str
    owner: int
    _pixels: BinaryIO
    _index: BinaryIO
    _stamps: BinaryIO

    @classmethod
    def start(cls, folder: Path) -> Writer:
        """Begin a part in a folder that exists."""
        there = (path.name[:20] for path in folder.glob("*.pixels"))
        last = max((int(digits) for digits in there if digits.isdecimal()), default=0)
        # Clocks are set back at times, and a part that mends another must be the later one.
        name = f"{max(time.time_ns(), last + 1):020d}-{secrets.token_hex(4)}"
        pixels, index, stamps = (
            (folder / (name + suffix)).open("xb") for suffix in (".pixels", ".index", ".stamps")
        )
        for stream, suffix in ((index, ".index"), (stamps, ".stamps")):
            stream.write(_MAGIC[suffix])
            stream.flush()
        return cls(name, os.getpid(), pixels, index, stamps)

    def add(self, key: Key, array: npt.NDArray[Any], size: tuple[int, int]) -> np.void:
        """Append an image.

        Args:
            key: Under which it will be found.
            array: (H, W, C), uint8 or uint16.
            size: (height, width) of the file as displayed.

        Returns:
            Its row of `INDEX`.
        """
        stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        offset = self._pixels.tell()
        try:
            self._pixels.write(stored.data)
            self._pixels.flush()
        except OSError:
            self._pixels.close()  # what was written of the image is behind the last row's
            raise
        row = np.zeros(1, INDEX)
        values = (key, offset, *size, stored.dtype.itemsize, zlib.crc32(stored.data), 0)
        row[0] = values
        _append(self._index, row)
        written: np.void = row[0]
        return written

    def stamp(self, key: Key, content: Key) -> None:
        """Remember which content a file had."""
        row = np.zeros(1, STAMPS)
        row[0] = (key, content, 0)
        _append(self._stamps, row)

    def close(self) -> None:
        """Close the files."""
        for stream in (self._pixels, self._index, self._stamps):
            stream.close()


def _append(stream: BinaryIO, row: Rows) -> None:
    row["check"] = zlib.crc32(row.tobytes()[:-4])
    stream.write(row.tobytes())
    stream.flush()


class Lookup:
    """Rows by their key; the last row of a key is found.

    Args:
        rows: Rows with a field "key", in order.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._count = len(rows)
        self._sort()

    def _sort(self) -> None:
        """Take all rows into sorted arrays, which need a tenth of a dict's memory."""
        keys = self.rows["key"][: self._count, 0]
        self._order = np.argsort(keys, kind="stable").astype(np.int32)
        self._sorted = keys[self._order]
        self._new: dict[Key, int] = {}

    def __len__(self) -> int:
        return self._count

    def find(self, key: Key) -> int | None:
        """Give the number of a key's last row."""
        if key in self._new:
            return self._new[key]
        place = int(np.searchsorted(self._sorted, np.uint64(key[0]), side="right")) - 1
        while place >= 0 and int(self._sorted[place]) == key[0]:
            number = int(self._order[place])
            if int(self.rows[number]["key"][1]) == key[1]:
                return number
            place -= 1
        return None

    def add(self, row: np.void) -> int:
        """Append a row and give its number."""
        if self._count == len(self.rows):
            self.rows = np.resize(self.rows, max(64, self._count * 3 // 2))
        number = self._count
        self.rows[number] = row
        self._count += 1
        self._new[int(row["key"][0]), int(row["key"][1])] = number
        if len(self._new) >= _MAX_NEW:
            self._sort()
        return number
