"""A folder of prepared images: decoded and resized once, then mapped into memory.

The folder may be deleted at any time. An image is kept under a hash of its file's bytes and of
everything else that decides its pixels: the preprocessing (but mean and standard deviation, which
come after), the reader, and the versions of the libraries that decode. So a changed file or setting
finds nothing old, and a moved or renamed file finds its image again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import features

from softcam.data.cachefile import INDEX, STAMPS, Key, Lookup, Rows, Writer, read_pixels, read_rows
from softcam.data.frames import split_frame
from softcam.data.preprocessing import Prepared, Preprocessing
from softcam.data.readers import open_file, read_record
from softcam.data.records import Record
from softcam.errors import InputError
from softcam.files import write_atomically

_LOG = logging.getLogger("softcam")

READER = 1
"""To be raised whenever the same file and settings give other pixels than before."""

_LIBRARIES = (
    *("pillow", "numpy", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pyjpegls"),
    *("python-gdcm", "nibabel", "scipy"),
)
# A file changed twice within one tick of its clock has one time; FAT's tick of 2 s is the longest.
_TICK_NS = 2_000_000_000
_GIB = 2**30


@dataclass(frozen=True)
class Looked:
    """What was found of a record.

    Attributes:
        content: Hash of the file's bytes and the frame.
        stamp: Hash of its path, length and times; None if these do not vouch for the content.
        number: Of the image in the cache; None if it is not there.
        fresh: The image as prepared just now, if it is not.
        size: (height, width) as displayed, if prepared just now.
    """

    content: Key
    stamp: Key | None
    number: int | None
    fresh: Prepared | None = None
    size: tuple[int, int] = (0, 0)


class PreparedCache:
    """Prepared images in a folder, for one preprocessing; several processes may share the folder.

    Args:
        folder: The cache folder; made if it is not there.
        preprocessing: How pixels become input; mean and std do not matter.

    Raises:
        InputError: The folder cannot be made or read.
    """

    def __init__(self, folder: Path | str, preprocessing: Preprocessing) -> None:
        self.root = Path(folder)
        self.preprocessing = preprocessing
        self.settings = _settings(preprocessing)
        text = json.dumps(self.settings, indent=2, sort_keys=True) + "\n"
        height, width = preprocessing.size
        key = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        self.folder = self.root / f"{height}x{width}-{preprocessing.channels}-{key}"
        self.shape = (height, width, len(preprocessing.mean))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "settings.json").is_file():
                write_atomically(self.folder / "settings.json", text)
            self._load()
        except OSError as error:
            raise InputError(
                f"{self.root}: cannot be used as a cache ({error.strerror}); name another folder "
                "with --cache, or leave it out."
            ) from error
        self._start()

    def _load(self) -> None:
        """Read the tables of all parts; what they say is believed only within bounds."""
        self._parts = sorted(path.stem for path in self.folder.glob("*.index"))
        tables: list[Rows] = []
        owners: list[npt.NDArray[np.int32]] = []
        damaged = 0
        for part, name in enumerate(self._parts):
            rows, bad = read_rows(self.folder / f"{name}.index", INDEX)
            pixels = self.folder / f"{name}.pixels"
            length = pixels.stat().st_size if pixels.is_file() else 0
            widths = np.where(np.isin(rows["bytes"], (1, 2)), rows["bytes"], 0).astype(np.uint64)
            need = widths * np.uint64(np.prod(self.shape))
            fits = (widths > 0) & (need <= length)
            fits &= rows["offset"] <= np.where(fits, np.uint64(length) - need, np.uint64(0))
            tables.append(rows[fits])
            owners.append(np.full(int(fits.sum()), part, np.int32))
            damaged += bad + int(len(rows) - fits.sum())
        self._index = Lookup(np.concatenate([*tables, np.zeros(0, INDEX)]))
        self._owners = np.concatenate([*owners, np.zeros(0, np.int32)]).tolist()
        stamps = [read_rows(path, STAMPS)[0] for path in sorted(self.folder.glob("*.stamps"))]
        self._stamps = Lookup(np.concatenate([*stamps, np.zeros(0, STAMPS)]))
        if damaged:
            _LOG.warning(
                "%s: %d image(s) of the cache are damaged and will be prepared again",
                self.folder,
                damaged,
            )

    def _start(self) -> None:
        self._lock = threading.RLock()
        self._writer: Writer | None = None
        self._streams: dict[int, BinaryIO] = {}
        self._hashes: dict[str, tuple[Key | None, bytes]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process: open files."""
        own = ("_lock", "_writer", "_streams", "_hashes")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __len__(self) -> int:
        return len(self._index)

    def check_room(self, records: Iterable[Record]) -> None:
        """See that the disk has room for the images that are not in the cache.

        Args:
            records: The images.

        Raises:
            InputError: It has not; the message says how much is needed.
        """
        missing = found = 0
        for record in records:
            stamp = _stamp(record)
            known = stamp is not None and self._stamps.find(stamp) is not None
            found, missing = found + known, missing + (not known)
        # A file that was moved or touched is not known by its stamp, but its image is there.
        missing -= max(0, len(self) - found)
        need = missing * int(np.prod(self.shape))
        free = shutil.disk_usage(self.folder).free
        if need > free:
            raise InputError(
                f"{self.root}: the cache needs {need / _GIB:.1f} GiB for {missing} images and the "
                f"disk has {free / _GIB:.1f} GiB free; make room, name a folder on another disk "
                "with --cache, or leave it out."
            )

    def look(self, record: Record) -> Looked:
        """Find an image in the cache, or prepare it without keeping it yet.

        May be called from several threads at once.

        Args:
            record: Record of a table.

        Returns:
            What was found, for `keep`.

        Raises:
            InputError: The image cannot be read.
        """
        stamp = _stamp(record)
        if stamp is not None:
            place = self._stamps.find(stamp)
            if place is not None:
                first, second = self._stamps.rows[place]["content"]
                content = int(first), int(second)
                number = self._index.find(content)
                if number is not None:
                    return Looked(content, None, number)
        content = self._hash(record, stamp)
        number = self._index.find(content)
        if number is not None:
            return Looked(content, stamp, number)
        pixels = read_record(record)
        fresh, _ = self.preprocessing.prepare(pixels)
        unchanged = stamp is not None and stamp == _stamp(record)
        if not unchanged and content != self._hash(record, None):
            raise InputError(
                f"Row {record.row} of the table: {record.image} changed while it was read; wait "
                "until it is written."
            )
        return Looked(content, stamp, None, fresh, pixels.size)

    def keep(self, looked: Looked) -> int:
        """Write what was prepared just now.

        Args:
            looked: What `look` gave.

        Returns:
            The number of the image in the cache, for `read`; good in this process only.

        Raises:
            InputError: The disk is full, or the folder cannot be written any more.
        """
        with self._lock:
            number = looked.number
            if number is None:
                number = self._index.find(looked.content)  # another row of the same content
            try:
                if number is None and looked.fresh is not None:
                    number = self._write(looked.content, looked.fresh, looked.size)
                if looked.stamp is not None:
                    self._writing().stamp(looked.stamp, looked.content)
            except OSError as error:
                raise InputError(
                    f"{self.root}: the cache cannot be written ({error.strerror}); an image takes "
                    f"{np.prod(self.shape) / 2**20:.2f} MiB or, of 16 bits, twice that: make room, "
                    "name a folder on another disk with --cache, or leave it out."
                ) from error
        if number is None:
            raise ValueError("there is neither an image in the cache nor a fresh one")
        return number

    def get(self, number: int, record: Record) -> tuple[Prepared, int]:
        """Map an image into memory, or prepare it again if it is lost or damaged.

        Args:
            number: What `keep` gave.
            record: The image's record.

        Returns:
            (H, W, C) read-only array, and the image's number from now on.

        Raises:
            InputError: The image is lost, and its file cannot be read.
        """
        prepared = self.read(number)
        if prepared is not None:
            return prepared, number
        _LOG.warning("%s: %s is damaged or gone and prepared again", self.folder, record.name)
        content = self._hash(record, None)
        pixels = read_record(record)
        fresh, _ = self.preprocessing.prepare(pixels)
        try:
            with self._lock:
                number = self._write(content, fresh, pixels.size)
        except OSError as error:  # the run does not need the cache
            _LOG.warning("%s: cannot be written (%s)", self.folder, error.strerror)
        return fresh, number

    def read(self, number: int) -> Prepared | None:
        """Map an image into memory.

        Args:
            number: What `keep` gave.

        Returns:
            (H, W, C) read-only array, whose pages the system may drop at any time; None if the
            folder was deleted or the image is damaged.
        """
        stream = self._stream(self._owners[number])
        if stream is None:
            return None
        prepared: Prepared | None = read_pixels(stream, self._index.rows[number], self.shape)
        return prepared

    def size(self, number: int) -> tuple[int, int]:
        """Give (height, width) of an image's file as displayed."""
        row = self._index.rows[number]
        return int(row["height"]), int(row["width"])

    def _write(self, content: Key, fresh: Prepared, size: tuple[int, int]) -> int:
        row = self._writing().add(content, fresh, size)
        self._owners.append(len(self._parts) - 1)
        return self._index.add(row)

    def _writing(self) -> Writer:
        """This process's own part: a forked worker starts another, and so does a deleted folder."""
        writer = self._writer
        if writer is not None and writer.owner == os.getpid():
            if (self.folder / f"{writer.name}.pixels").exists():
                return writer
            writer.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = Writer.start(self.folder)
        self._parts.append(self._writer.name)
        return self._writer

    def _hash(self, record: Record, stamp: Key | None) -> Key:
        """Hash a file's bytes and the frame; a file of many frames once while it is unchanged."""
        file, frame = split_frame(record.image)
        known = self._hashes.get(str(file)) if frame is not None else None
        if known is not None and stamp is not None and known[0] == _stamp(record, file):
            digest = known[1]
        else:
            try:
                with open_file(file) as stream:
                    digest = _digest(stream)
            except InputError as error:
                raise InputError(f"Row {record.row} of the table: {error}") from error
            if frame is not None:
                self._hashes[str(file)] = (_stamp(record, file), digest)
        return _key(digest, frame)

    def _stream(self, part: int) -> BinaryIO | None:
        stream = self._streams.get(part)
        if stream is None:
            try:
                stream = (self.folder / f"{self._parts[part]}.pixels").open("rb")
            except OSError:
                return None
            self._streams[part] = stream
        return stream


def _settings(preprocessing: Preprocessing) -> dict[str, Any]:
    """Everything but the file that decides the pixels."""
    decided = preprocessing.to_dict()
    del decided["mean"], decided["std"]
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "what": "prepared images of softcam; may be deleted at any time",
        "reader": READER,
        "preprocessing": decided,
        "libraries": versions,
        "jpeg": features.version("jpg"),
        "turbo": features.version("libjpeg_turbo"),
    }


def _digest(stream: BinaryIO) -> bytes:
    state = hashlib.blake2b()
    while block := stream.read(1 << 20):
        state.update(block)
    return state.digest()


def _key(*parts: object) -> Key:
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
    first, second = struct.unpack("<QQ", digest)
    return first, second


def _stamp(record: Record, file: Path | None = None) -> Key | None:
    """Hash what changes with a file's content; None if a change might not show in it."""
    path = file or split_frame(record.image)[0]
    try:
        found = path.stat()
    except OSError:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    if time.time_ns() - max(times) < _TICK_NS:
        return None
    whole = os.path.abspath(path if file else record.image)  # noqa: PTH100 - faster
    return _key(whole, found.st_size, found.st_ino, *times)
