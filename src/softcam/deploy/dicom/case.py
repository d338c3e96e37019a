"""All objects of one image, written together or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softcam.errors import InputError, MissingExtraError

try:
    import highdicom  # noqa: F401
    import pydicom
except ImportError as error:
    raise MissingExtraError(
        "Writing DICOM objects needs pydicom and highdicom, which are not installed; run: pip "
        "install softcam[dicom]"
    ) from error

from pydicom.dataset import Dataset

from softcam.data.dicom import DicomSource, one_sentence, read_dicom
from softcam.deploy.dicom.capture import make_captures
from softcam.deploy.dicom.findings import find
from softcam.deploy.dicom.groups import Picture
from softcam.deploy.dicom.identity import ModelIdentity
from softcam.deploy.dicom.parametric import make_parametric_map
from softcam.deploy.dicom.report import make_report
from softcam.deploy.dicom.segmentation import make_segmentation
from softcam.deploy.dicom.source import Source, open_source, stem_of
from softcam.deploy.dicom.uids import Uids
from softcam.explanation.explanation import Explanation
from softcam.explanation.saving import safe_name
from softcam.files import folder_for, folder_mode, reason_of

OBJECTS = ("seg", "sc", "sr", "pm")
"""Segmentation, secondary capture, structured report, parametric map."""


@dataclass(frozen=True)
class DicomCase:
    """The objects that were written for an image.

    Attributes:
        folder: The case's folder.
        files: The files in it.
        notes: One sentence for each thing that a reader of the objects should know; the same for
            every image that it holds for.
    """

    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def write_dicom(
    explanation: Explanation,
    source: DicomSource,
    out: Path | str,
    *,
    model: ModelIdentity | Path | str,
    objects: Sequence[str] = OBJECTS,
    frame: int | None = None,
    contrast: bool = False,
    parameters: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> DicomCase:
    """Write an explanation of a DICOM image as DICOM objects.

    Args:
        explanation: What a model says about the image.
        source: The image that was explained: its path, also as `scan.dcm#3`, its bytes, or a
            dataset.
        out: Folder in which the case gets a folder of its own, called after the file. One that
            is there is never touched: the next gets "-2" and so on.
        model: The model's file, which every object names by its SHA-256; or what it is called.
        objects: Which to write: "seg", "sc", "sr", "pm".
        frame: The image's frame, counted from 1; required where there are several and `source`
            names none.
        contrast: Regions and overlay of each class against the others instead of its own
            evidence. The parametric map always holds its own, whose mean is the logit.
        parameters: What else to record of how the model was used, by name.
        seed: Makes the identifiers of objects and series repeat, for tests only; None for new
            ones.

    Returns:
        The files, and notes.

    Raises:
        InputError: The source is no DICOM image, lacks identifiers or pixels, or is not what was
            explained; the model's file cannot be read; an object is unknown; or the folder cannot
            be written.
        MissingExtraError: highdicom is not installed.
    """
    chosen = check_objects(objects)
    opened = open_source(source, frame)
    _check_same(explanation, source, opened)
    if not isinstance(model, ModelIdentity):
        model = ModelIdentity.of(model, explanation.info)
    header = opened.header
    case = (header.sop_instance_uid, str(opened.frame), model.sha256)
    used = {"map": "contrast" if contrast else "own evidence", **(parameters or {})}
    with one_sentence(opened.name):
        made, notes = _make(
            explanation, opened, model, Uids(seed, case), chosen, contrast=contrast, used=used
        )
    stem = safe_name(stem_of(source, opened.frame))
    folder = _write_together(made, Path(out), stem, opened.name)
    return DicomCase(folder, tuple(folder / name for name in made), tuple(notes))


def check_objects(objects: Sequence[str]) -> tuple[str, ...]:
    """Check the names of objects.

    Raises:
        InputError: One is unknown, or there is none.
    """
    strange = [name for name in objects if name not in OBJECTS]
    if strange or not objects:
        what = f"{strange[0]!r} is none" if strange else "none is named"
        raise InputError(f"DICOM objects are {', '.join(OBJECTS)}; {what}.")
    return tuple(name for name in OBJECTS if name in objects)


def _check_same(explanation: Explanation, source: DicomSource, opened: Source) -> None:
    """Refuse to file one patient's results under another."""
    pixels = read_dicom(source, frame=opened.frame).pixels.array
    if not np.array_equal(pixels, explanation.image):
        raise InputError(
            f"The explanation of {explanation.name} is not of the image {opened.name} as it is "
            "read by default; pass the DICOM file that was explained."
        )


def _make(
    explanation: Explanation,
    source: Source,
    model: ModelIdentity,
    uids: Uids,
    objects: tuple[str, ...],
    *,
    contrast: bool,
    used: Mapping[str, str],
) -> tuple[dict[str, Dataset], list[str]]:
    """Make the objects, by file name; the report refers to the others and comes last."""
    findings = find(explanation, contrast=contrast)
    made: dict[str, Dataset] = {}
    notes = []
    pictures = []
    segmentation = None
    if "seg" in objects:
        segmentation = make_segmentation(source, findings, model, uids, used)
        if segmentation is None:
            notes.append(
                "No class has a region of evidence in the image, so that there is no segmentation."
            )
        else:
            made["seg.dcm"] = segmentation
    if "pm" in objects:
        made["pm.dcm"] = make_parametric_map(explanation, source, model, uids)
        names = explanation.mapped_classes
        pictures.append(
            Picture(made["pm.dcm"], {name: number for number, name in enumerate(names, start=1)})
        )
        if source.plane is None:
            notes.append(
                "The image has no frame of reference, so that its parametric map lies in a new one "
                "of its own, "
                + (
                    "with the file's coordinates."
                    if source.header.plane is not None
                    else "whose coordinates are file pixels and no place in the patient."
                )
            )
    if "sc" in objects:
        captures = make_captures(explanation, source, findings, model, uids, contrast=contrast)
        for number, (name, capture) in enumerate(captures.items(), start=1):
            made["sc.dcm" if number == 1 else f"sc-{number}.dcm"] = capture
            pictures.append(Picture(capture, {name: None}))
    if "sr" in objects:
        made["sr.dcm"] = make_report(
            source,
            findings,
            model,
            uids,
            used,
            segmentation=segmentation,
            pictures=tuple(pictures),
        )
    return made, notes


def _write_together(made: Mapping[str, Dataset], out: Path, stem: str, name: str) -> Path:
    """Write files into a hidden folder that takes its name when all are whole and on the disk."""
    if not made:
        raise InputError(f"{name}: there is no object to write; ask for others besides seg.")
    try:
        with folder_for(out):
            temporary = Path(tempfile.mkdtemp(prefix=f".{stem}.", dir=out))
            try:
                for file_name, dataset in made.items():
                    with (temporary / file_name).open("xb") as stream:
                        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
                        stream.flush()
                        os.fsync(stream.fileno())
                temporary.chmod(folder_mode())  # as any program would; mkdtemp's 0700 is stricter
                return _take_name(temporary, out, stem)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"{out}: the DICOM objects of {name} cannot be written here ({reason_of(error)}); "
            "choose a folder that is writable and has room."
        ) from error


def _take_name(temporary: Path, out: Path, stem: str) -> Path:
    """Rename a folder to the first name that nothing has; two programs never get the same."""
    for target in _candidates(out, stem):
        if os.path.lexists(target):
            continue
        try:
            temporary.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        else:
            return target
    raise AssertionError("names do not end")


def _candidates(out: Path, stem: str) -> Iterable[Path]:
    yield out / stem
    number = 2
    while True:
        yield out / f"{stem}-{number}"
        number += 1
