"""Whom images show, by their DICOM headers, where a table does not say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from softcam.data.frames import split_frame
from softcam.data.readers import file_format, open_file
from softcam.errors import InputError

_OTHERS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".gz")
"""Names that are believed: opening each of many thousand files only to look takes long."""

_THREADS = 4  # for folders on a network, where opening a file is waiting


class HeaderPatients(NamedTuple):
    """Whom the images of a table show.

    Attributes:
        patients: One for each image; empty where no header names any.
        notes: What was found, one sentence each; none without a DICOM file.
    """

    patients: list[str]
    notes: list[str]


def patients_of(images: Iterable[Path]) -> HeaderPatients:
    """Read the Patient IDs of those images that are DICOM files.

    A damaged file counts as one without an ID; whoever reads its pixels says what is wrong.

    Args:
        images: Paths, with or without a frame.

    Returns:
        Patients and notes.

    Raises:
        MissingExtraError: There is a DICOM file and pydicom is not installed.
    """
    files = [_candidate(path) for path in images]
    distinct = sorted({file for file in files if file is not None})
    with ThreadPoolExecutor(_THREADS) as pool:
        known = dict(zip(distinct, pool.map(_read, distinct), strict=True))
    found = [None if file is None else known[file] for file in files]
    dicoms = [item for item in found if item is not None]
    return HeaderPatients([item or "" for item in found], _notes(dicoms, len(found)))


def _candidate(path: Path) -> Path | None:
    """The file, if it may be a DICOM file."""
    file = split_frame(path)[0]
    return None if file.suffix.lower() in _OTHERS else file


def _read(path: Path) -> str | None:
    """The Patient ID, which may be empty; None for what is no DICOM file."""
    try:
        with open_file(path) as stream:
            if file_format(stream) != "DICOM":
                return None
            from softcam.data.dicom import read_patient

            return read_patient(str(path), stream)
    except InputError:
        return ""


def _notes(dicoms: Sequence[str], images: int) -> list[str]:
    """Say what was found; `dicoms` are the IDs of the DICOM files, empty ones too."""
    if not dicoms:
        return []
    ids = {name for name in dicoms if name}
    notes = []
    if ids:
        notes.append(
            f"patients are the Patient IDs of {sum(map(bool, dicoms))} DICOM header(s): {len(ids)} "
            "patient(s)"
        )
    without = images - sum(map(bool, dicoms))
    if without:
        notes.append(
            f"{without} image(s) have no Patient ID: each file counts as a patient of its own"
        )
    if len(ids) == 1 and len(dicoms) > 1 and not without:
        notes.append(
            f"every image has the Patient ID {min(ids)!r}: they count as one patient; if it stands "
            "for many, name the patients in a column 'patient'"
        )
    return notes
