"""A folder of class folders, or of plain images, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from softcam.data.imagefolder import is_image
from softcam.data.rows import RawRow, RawTable
from softcam.errors import InputError

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What a split may be called, in lower case, and what it is called here."""

_NO_CLASSES = {"images", "masks", "labels", "segmentations", "__macosx"}


def scan_folder(folder: Path, *, require_labels: bool) -> RawTable:
    """Read a class-folder layout: `train/NORMAL/*.jpeg`, or `NORMAL/*.jpeg` without splits.

    Class folders may have sub-folders. Files that are no image by name are counted.

    Args:
        folder: The folder.
        require_labels: If not, a folder with images and no class folders is taken too.

    Returns:
        One row per image, sorted by path.

    Raises:
        InputError: The folder holds no such layout.
    """
    subfolders = _subfolders(folder)
    split_folders = [entry for entry in subfolders if entry.name.lower() in SPLITS]
    found: list[tuple[Path, str | None, str]] = []
    left: list[str] = []
    if split_folders:
        for split in split_folders:
            for entry in _subfolders(split):
                found += [(image, entry.name, split.name) for image in _images(entry, left)]
            left += [entry.name for entry in split.iterdir() if entry.is_file()]
        other = [entry for entry in subfolders if entry not in split_folders]
        left += [e.name for o in other if o.name.lower() not in _NO_CLASSES for e in _images(o, [])]
    else:
        for entry in subfolders:
            if entry.name.lower() not in _NO_CLASSES:
                found += [(image, entry.name, "") for image in _images(entry, left)]
    if not found and not require_labels:
        found = [(image, None, "") for image in _images(folder, left)]
    if not found:
        raise InputError(
            f"{folder} holds neither table.csv nor PNG, JPEG, TIFF or DICOM images in class "
            "folders; add a table with the columns image and label, or lay the images out as "
            "train/<class>/<image>."
        )
    rows = tuple(
        RawRow(i, name, label, split=split, named=name)
        for i, (name, label, split) in enumerate(
            ((path.relative_to(folder).as_posix(), label, split) for path, label, split in found), 1
        )
    )
    labelled = found[0][1] is not None
    notes = (
        (f"{len(left)} file(s) in the folder are not used, such as {left[0]!r}",) if left else ()
    )
    return RawTable(folder, rows, (), labelled, notes)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(e for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))


def _images(folder: Path, left: list[str]) -> Iterator[Path]:
    """The images below a folder, sorted; names of other files are added to `left`."""
    for path in sorted(folder.rglob("*")):
        if is_image(path):
            yield path
        elif path.is_file():
            left.append(path.name)
