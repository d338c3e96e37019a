"""The images that an export is proved on: real ones, or phantoms where none are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from softcam.data.imagefolder import is_image
from softcam.data.phantom.draw import draw
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image, read_record
from softcam.data.records import Table
from softcam.errors import InputError
from softcam.evidence.model import SoftCAM
from softcam.evidence.probe import probe_input, smallest_probe

Floats = npt.NDArray[np.float32]

PROVED_ON = 8
"""Images that an export is proved on, at most."""


@dataclass(frozen=True)
class ProvingImages:
    """Some images as a model takes them.

    Attributes:
        batch: Normalised, shape (B, C, H, W), B at least 2.
        source: Where they came from, in words.
    """

    batch: Floats
    source: str


def proving_images(
    model: SoftCAM, files: Sequence[Path | str] = (), table: Table | None = None
) -> ProvingImages:
    """Choose images to prove an export on.

    Args:
        model: The model.
        files: Image files, or folders of them; they come first.
        table: Else the first images of a table.

    Returns:
        The images; phantoms if neither is given, the model's probe if it has no preprocessing.

    Raises:
        InputError: If an image cannot be read, or there is nothing that the model takes.
    """
    if model.info.preprocessing is None:
        if files or table is not None:
            raise InputError(
                "this model does not say how images become its input; save it with "
                "`model.info.preprocessing` set, or leave the images out."
            )
        return _probe(model)
    prepare = Preprocessing.from_dict(model.info.preprocessing)
    if files:
        paths = _listed(files)[:PROVED_ON]
        pixels, source = [read_image(path) for path in paths], f"{len(paths)} given images"
    elif table is not None:
        records = table.records[:PROVED_ON]
        pixels = [read_record(record) for record in records]
        source = f"{len(records)} images of {table.path.name}"
    else:
        kind = "fundus" if prepare.channels == "rgb" else "chest"
        drawn = draw(kind, PROVED_ON, size=max(128, min(prepare.size)), seed=0)
        pixels, source = [read_image(image) for image in drawn.images], f"{PROVED_ON} phantoms"
    batch = np.stack([prepare(item).pixels for item in pixels])
    return ProvingImages(batch if len(batch) > 1 else batch.repeat(2, axis=0), source)


def _probe(model: SoftCAM) -> ProvingImages:
    architecture = model.info.architecture
    channels = model.info.in_chans or (3 if architecture is None else architecture.in_chans)
    size = model.info.input_size or smallest_probe(model, channels)
    if size is None or len(size) != 2:
        raise InputError(
            "this model does not say which images it takes; save it with "
            "`model.info.preprocessing` set."
        )
    return ProvingImages(probe_input(channels, size).numpy(), "the model's probe")


def _listed(files: Sequence[Path | str]) -> list[Path]:
    found: list[Path] = []
    for file in files:
        path = Path(file)
        inside = sorted(p for p in path.iterdir() if is_image(p)) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path}: the folder holds no PNG, JPEG, TIFF or DICOM image.")
        found += inside
    return found


def at_size(batch: Floats, height: int, width: int) -> Floats:
    """Give images of another size: cut, or continued by their mirror images.

    Args:
        batch: Shape (B, C, H, W).
        height: Rows wanted.
        width: Columns wanted.
    """
    for axis, wanted in ((2, height), (3, width)):
        length = batch.shape[axis]
        place = np.arange(wanted) % (2 * length)
        batch = batch.take(np.minimum(place, 2 * length - 1 - place), axis=axis)
    return np.ascontiguousarray(batch)
