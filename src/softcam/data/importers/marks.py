"""The annotations beside a table that is imported, brought to the images as they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from softcam.data.annotationfiles import BOXES, annotation_readers
from softcam.data.annotations import Annotations
from softcam.data.annotationsources.found import Found
from softcam.data.annotationsources.images import Images
from softcam.data.imagefolder import ImageFolder
from softcam.data.importers.plan import Item, LeftOut, Plan
from softcam.data.importers.sources import Source
from softcam.data.records import Record
from softcam.errors import InputError
from softcam.files import write_atomically

_LONGEST = 100  # bytes of a folder's name


def read_marks(
    home: Path, folder: ImageFolder, items: Sequence[Item], masks: Path | None = None
) -> tuple[Annotations, list[LeftOut], list[str]]:
    """Read all annotations beside a table but its `boxes.csv`.

    Args:
        home: The table's folder.
        folder: The image folder.
        items: The images, by the names that the table gives them.
        masks: A folder laid out as `masks/` that lies elsewhere.

    Returns:
        The annotations by the images' names, the files that are wrong and so left out, and notes.
    """
    records = [Record(home / item.source, item.name, None, None, "", 0) for item in items]
    images, found = Images(folder, records), Found()
    left_out = []
    for name, read in annotation_readers(home, masks):
        if name == BOXES:
            continue  # of which single rows can be left out
        try:
            read(images, found)
        except InputError as error:
            reason = "the annotations cannot be used"
            left_out.append(LeftOut(name, reason, str(error).rstrip(".")))
    return found.annotations() or Annotations(), left_out, found.notes


def write_masks(
    out: Path, plan: Plan, taken: Sequence[tuple[Item, Source]]
) -> list[tuple[str, str]]:
    """Write polygons and masks as `masks/<finding>/<image>.png`, in the written images' pixels.

    Args:
        out: The data set's folder.
        plan: The plan; masks that cannot be written are added to what is left out.
        taken: The images.

    Returns:
        The SHA-256 and the name of each file.

    Raises:
        InputError: The folder cannot be written.
    """
    written: list[tuple[str, str]] = []
    for item, source in taken:
        for finding in sorted(plan.annotations.findings_of(item.source)):
            try:
                data = _png(plan.annotations, item, source, finding)
            except InputError as error:
                what, why = f"{item.source}: {finding}", "the mask cannot be written"
                plan.left_out.append(LeftOut(what, why, str(error).rstrip(".")))
                continue
            if data is None:
                continue  # marks nothing in the original either
            name = f"masks/{finding}/{PurePosixPath(source.image).with_suffix('.png')}"
            try:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{out / name}: cannot write here ({error.strerror}).") from error
            write_atomically(out / name, data)
            written.append((hashlib.sha256(data).hexdigest(), name))
    return written


def _png(annotations: Annotations, item: Item, source: Source, finding: str) -> bytes | None:
    """A finding's mask as a file; None if it is empty."""
    strange = set(finding) & set('/\\:*?"<>|') or not finding.isprintable()
    if strange or finding.startswith(".") or len(finding.encode()) > _LONGEST:
        raise InputError("the finding's name cannot name a folder; rename it")
    geometry = source.geometry()
    mask = annotations.mask(item.source, [finding], geometry)
    if not mask.any():
        if annotations.mask(item.source, [finding], geometry, grid="file").any():
            raise InputError("nothing of it is left at the size of the images; import larger ones")
        return None
    return _encoded(mask)


def _encoded(mask: npt.NDArray[np.bool_]) -> bytes:
    stream = BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    return stream.getvalue()
