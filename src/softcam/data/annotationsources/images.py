"""The images that annotations may belong to, by the names that annotation files give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from softcam.data.imagefolder import SUFFIXES, ImageFolder
from softcam.data.readers import image_size
from softcam.data.records import Record
from softcam.errors import InputError


class Images:
    """A table's images, each header read once and only when its size is asked for.

    Args:
        folder: The image folder.
        records: The images of the table.
    """

    def __init__(self, folder: ImageFolder, records: Sequence[Record]) -> None:
        self.folder = folder
        self._records = {record.name: record for record in records}
        self._sizes: dict[str, tuple[int, int]] = {}

    @cached_property
    def _by_key(self) -> dict[str, set[str]]:
        keyed: dict[str, set[str]] = {}
        for name in self._records:
            for key in (name, stem(name)):
                keyed.setdefault(key, set()).add(name)
        return keyed

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def path_of(self, name: str) -> Path:
        """Where an image lies, with its frame."""
        return self._records[name].image

    def size_of(self, name: str) -> tuple[int, int]:
        """(height, width) of an image as displayed."""
        if name not in self._sizes:
            self._sizes[name] = image_size(self._records[name].image)
        return self._sizes[name]

    def called(self, key: str) -> set[str]:
        """The images with this name, or with this name before their suffix."""
        return self._by_key.get(key, set())

    def the_one(self, key: str, example: str) -> str | None:
        """The image that a file named after it belongs to; None if there is none.

        Args:
            key: The file's name without its own suffix.
            example: How a file is named after the image `image.jpg`, for the error.

        Raises:
            InputError: It fits several images.
        """
        names = sorted(self.called(key))
        if len(names) > 1:
            what = "mask" if example.endswith(".png") else "file"
            raise InputError(
                f"it fits {len(names)} images ({', '.join(names[:3])}); name the {what} after one "
                f"of them with its suffix, such as {example}"
            )
        return names[0] if names else None

    def lies_in_folder(self, key: str) -> bool:
        """Whether an image of this name, with or without a suffix, lies in the image folder."""
        return bool(key) and any(self.folder.holds(key + suffix) for suffix in ("", *SUFFIXES))


def stem(name: str) -> str:
    """A file's name without its suffix, in its folder."""
    return str(PurePosixPath(name).with_suffix(""))


def files_in(folder: Path) -> list[Path]:
    """The files below a folder that are not hidden, sorted."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
