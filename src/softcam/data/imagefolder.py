"""The folder that a data set's images lie in, and nothing outside of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from softcam.data.frames import split_frame
from softcam.data.wording import quoted
from softcam.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom")
"""Suffixes of the files that count as images in a folder.

NIfTI is not among them: a volume is no image until a table or a command names a slice.
"""


@dataclass(frozen=True)
class ImageFolder:
    """An image folder.

    Attributes:
        root: The folder, as the user named it.
    """

    root: Path

    @cached_property
    def _real(self) -> str:
        return os.path.realpath(self.root)

    @cached_property
    def _resolved(self) -> dict[str, str]:
        return {}

    def locate(self, written: str) -> tuple[str, Path]:
        """Find an image, checking that it is there, without opening it.

        Args:
            written: Its path as a table has it, relative to the folder; one frame of a file with
                several as `scan.dcm#3`.

        Returns:
            Its name (relative to the folder, with forward slashes) and its path.

        Raises:
            InputError: There is no such image in the folder; the message is the part of a sentence
                that follows a row number.
        """
        name, path, _ = self.find(written)
        return name, path

    def find(self, written: str) -> tuple[str, Path, str]:
        """Find an image as `locate` does, and tell two names of one file from two files.

        Args:
            written: As `locate`.

        Returns:
            Its name, its path, and the real file (and frame) behind it, relative to the real
            folder: alike for two names of one.

        Raises:
            InputError: As `locate`.
        """
        if not written:
            raise InputError("the image cell is empty; name an image or remove the row")
        if "\0" in written:
            raise InputError(
                f"the image {quoted(written)} has a NUL character in its name; correct it"
            )
        joined = os.path.join(self.root, written)  # noqa: PTH118  (os.path is several times faster)
        file, frame = split_frame(joined) if "#" in joined else (joined, None)
        real = self._resolve(os.fspath(file))
        inside = self._inside(real)
        if inside == os.pardir or inside.startswith(os.pardir + os.sep) or os.path.isabs(inside):  # noqa: PTH117
            raise InputError(
                f"the image {quoted(written)} leads outside the image folder {self.root}; keep "
                "images inside it"
            )
        try:
            found = os.stat(real)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"the image {quoted(written)} does not exist in {self.root}; correct the name or "
                "add the file"
            ) from error
        except OSError as error:
            raise InputError(
                f"the image {quoted(written)} cannot be opened ({error.strerror}); check its name "
                "and rights"
            ) from error
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"the image {quoted(written)} is not a file; name an image file")
        if found.st_size == 0:
            raise InputError(
                f"the image {quoted(written)} is an empty file (0 bytes); copy it again or "
                "remove the row"
            )
        name = os.path.normpath(written)
        if os.path.isabs(name) or name.startswith(os.pardir):  # noqa: PTH117
            name = inside if frame is None else f"{inside}#{frame}"
        name = name.replace(os.sep, "/")
        path = self.root / name
        if name != written:  # a folder "a/.." may be another one than its name says
            return name, path, self._inside(self.resolve(path))
        # One string for both: a table of many images is mostly names.
        key = inside if frame is None else f"{inside}#{frame}"
        return written, path, written if key == written else key

    def resolve(self, path: Path) -> str:
        """The file behind a path, links followed, and its frame; alike for two names of one."""
        file, frame = split_frame(path)
        real = self._resolve(str(file))
        return real if frame is None else f"{real}#{frame}"

    def holds(self, written: str) -> bool:
        """Whether an image of that name lies in the folder."""
        try:
            self.locate(written)
        except InputError:
            return False
        return True

    def _inside(self, real: str) -> str:
        """A real path relative to the real folder."""
        front = self._real.rstrip(os.sep) + os.sep
        if real.startswith(front):  # os.path.relpath takes longer than looking at the file
            return real[len(front) :]
        return os.path.relpath(real, self._real)

    def _resolve(self, joined: str) -> str:
        """`os.path.realpath`, which resolves a folder that many images share only once."""
        folder, base = os.path.split(joined)
        if base in ("", os.curdir, os.pardir):
            return os.path.realpath(joined)
        if folder not in self._resolved:
            self._resolved[folder] = os.path.realpath(folder)
        path = os.path.join(self._resolved[folder], base)  # noqa: PTH118
        return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image that the readers take."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
