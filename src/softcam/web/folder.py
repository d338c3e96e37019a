"""A folder of images that is served read-only: listed by name, opened by an id and nothing else."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from softcam.data.imagefolder import SUFFIXES
from softcam.web.refusals import Refusal

_MOST = 20_000
_FRESH_SECONDS = 5.0


@dataclass(frozen=True)
class Entry:
    """An image of the folder.

    Attributes:
        id: What requests call it; derived from its name.
        name: Its path below the folder, with forward slashes.
        bytes: Its size.
        path: Where it is.
    """

    id: str
    name: str
    bytes: int
    path: Path


class Folder:
    """Finds images in a folder and its sub-folders; links are not followed.

    Args:
        root: The folder.
        largest: Bytes of the largest file that is read.
    """

    def __init__(self, root: Path, largest: int) -> None:
        self._root = root
        self._largest = largest
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._scanned = float("-inf")

    def entries(self) -> list[Entry]:
        """List the images by name, as they were at most some seconds ago."""
        with self._lock:
            if time.monotonic() - self._scanned > _FRESH_SECONDS:
                self._entries = {entry.id: entry for entry in self._scan()}
                self._scanned = time.monotonic()
            return list(self._entries.values())

    def entry(self, id_: str) -> Entry:
        """Give an image by its id.

        Raises:
            Refusal: 404.
        """
        self.entries()
        found = self._entries.get(id_)
        if found is None:
            raise Refusal(404, "no_such_image", "The folder has no such image; see /v1/folder.")
        return found

    def read(self, id_: str) -> bytes:
        """Read an image's file.

        Raises:
            Refusal: 404 if it is not there any more, 413 if it is too large.
        """
        entry = self.entry(id_)
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            with os.fdopen(os.open(entry.path, flags), "rb") as stream:
                data = stream.read(self._largest + 1)
        except OSError:
            raise Refusal(
                404, "no_such_image", "The image cannot be read any more; list the folder again."
            ) from None
        if len(data) > self._largest:
            raise Refusal(
                413, "too_large", f"The file is larger than the {self._largest} bytes allowed."
            )
        return data

    def _scan(self) -> list[Entry]:
        found: list[Entry] = []
        for folder, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder, name)
                if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                    continue
                try:
                    state = path.lstat()
                except OSError:
                    continue
                if not path.is_symlink() and path.is_file():
                    found.append(_entry(path, self._root, state.st_size))
                if len(found) >= _MOST:
                    return found
        return found


def _entry(path: Path, root: Path, size: int) -> Entry:
    raw = os.fsencode(path.relative_to(root).as_posix())
    name = raw.decode("utf-8", "replace")
    return Entry(hashlib.sha256(raw).hexdigest()[:20], name, size, path)
