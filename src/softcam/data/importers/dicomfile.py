"""Read the plain DICOM images that the RSNA download holds."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

import numpy as np

from softcam.data.readers import MAX_PIXELS, Pixels, read_image
from softcam.errors import InputError, MissingExtraError

_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_NEEDED = ("Rows", "Columns", "PhotometricInterpretation", "BitsAllocated", "PixelData")
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def need_pydicom() -> None:
    """Check that pydicom is installed.

    Raises:
        MissingExtraError: It is not; names the command that installs it.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            'DICOM files are read with pydicom, which is missing; pip install "softcam[dicom]".'
        ) from error


def is_dicom(data: bytes) -> bool:
    """Whether a file's content is DICOM."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes) -> Pixels:
    """Read an 8-bit grey DICOM image of one frame, uncompressed or JPEG baseline.

    Args:
        data: The file's content.

    Returns:
        Its pixels; MONOCHROME1 is inverted, so that bright is bright.

    Raises:
        InputError: It is damaged, or another kind of DICOM image.
        MissingExtraError: pydicom is missing.
    """
    need_pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd tags that have nothing to do with the pixels
            return _read(data)
    except InputError:
        raise
    except Exception as error:  # pydicom raises whatever a damaged file leads it into
        detail = " ".join(str(error).split())[:120]
        raise InputError(f"the DICOM file is damaged or cut off ({detail})") from error


def _read(data: bytes) -> Pixels:
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    dataset: Any = dcmread(BytesIO(data))
    for name in _NEEDED:
        if name not in dataset:
            raise InputError(f"the DICOM file is damaged or holds no image (it has no {name})")
    height, width = int(dataset.Rows), int(dataset.Columns)
    kind = str(dataset.PhotometricInterpretation)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    bits, frames = int(dataset.BitsAllocated), int(dataset.get("NumberOfFrames", 1) or 1)
    samples = int(dataset.get("SamplesPerPixel", 1))
    if kind not in ("MONOCHROME1", "MONOCHROME2") or bits != 8 or samples != 1 or frames != 1:
        raise InputError(
            f"the DICOM image is {kind} with {bits} bits, {samples} sample(s) and {frames} "
            "frame(s); this import reads one frame of 8-bit grey"
        )
    if not 0 < height * width <= MAX_PIXELS:
        raise InputError(f"the DICOM image says that it has {width} x {height} px")
    if syntax in _PLAIN:
        raw = bytes(dataset.PixelData)
        if len(raw) < height * width:
            raise InputError("the DICOM file is damaged or cut off (too few pixels)")
        array = np.frombuffer(raw, np.uint8, height * width).reshape(height, width)
    elif syntax == _JPEG_BASELINE:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        array = np.asarray(read_image(frame).array, dtype=np.uint8)
        if array.shape != (height, width):
            raise InputError("the DICOM image's size is not that of the JPEG in it")
    else:
        raise InputError(
            f"the DICOM file's transfer syntax is {syntax}; this import reads uncompressed and "
            "JPEG baseline files"
        )
    return Pixels(np.ascontiguousarray(255 - array if kind == "MONOCHROME1" else array))
