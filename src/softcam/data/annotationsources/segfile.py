"""The pixels of a DICOM segmentation: packed bits, or fractions of a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset

from softcam.data.dicom import one_sentence, parse
from softcam.data.dicomframe import PixelValue, read_frame
from softcam.data.dicomheader import read_size, whole
from softcam.data.readers import MAX_PIXELS, check_size, open_file
from softcam.errors import InputError

_NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
_KEPT = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)


@dataclass(frozen=True, eq=False)
class SegFile:
    """A segmentation, and where its pixels lie.

    Attributes:
        path: The file.
        size: (height, width) of its frames.
        frames: How many it has.
        pixels: The part of its header that its pixels need.
        half: A pixel of this value or more is inside.
        offset: Where the pixels begin in the file; None if they must be inflated first.
        vr: Value representation of the pixels.
    """

    path: Path
    size: tuple[int, int]
    frames: int
    pixels: Dataset
    half: float
    offset: int | None
    vr: str

    def read(self, index: int) -> npt.NDArray[np.bool_]:
        """Read a frame, counted from 0, as a (height, width) boolean array."""
        name = str(self.path)
        with open_file(self.path) as stream, one_sentence(name):
            value: PixelValue | None = PixelValue(stream, self.vr)
            if self.offset is None:
                value = parse(name, stream)[1]
            else:
                stream.seek(self.offset)
            if value is not None and self.pixels.BitsAllocated == 1:
                return self._bits(value, index)
            return np.asarray(read_frame(name, self.pixels, value, index) >= self.half)

    def _bits(self, value: PixelValue, index: int) -> npt.NDArray[np.bool_]:
        """Eight pixels a byte, the first in the lowest bit, no gap between the frames."""
        count = self.size[0] * self.size[1]
        start = index * count
        value.stream.seek(start // 8, 1)
        data = value.stream.read((start % 8 + count + 7) // 8)
        if 8 * len(data) < start % 8 + count:
            raise InputError(f"{self.path} is truncated at its frame {index + 1}; copy it again.")
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return np.asarray(bits[start % 8 : start % 8 + count].reshape(self.size) == 1)


@dataclass(frozen=True, eq=False)
class SegLayer:
    """The frames of a segmentation that mark one finding in one image, joined.

    Attributes:
        file: The segmentation.
        indices: Its frames, counted from 0.
    """

    file: SegFile
    indices: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in file pixels."""
        return self.file.size

    def __str__(self) -> str:
        return str(self.file.path)

    def read(self) -> npt.NDArray[np.bool_]:
        """Read the mask: a (height, width) boolean array in file pixels."""
        return np.asarray(np.logical_or.reduce([self.file.read(index) for index in self.indices]))


def open_segmentation(path: Path) -> tuple[SegFile, Dataset]:
    """Read the header of a DICOM segmentation, and check that its pixels are there.

    Args:
        path: The file.

    Returns:
        Its pixels, not yet read, and its header.

    Raises:
        InputError: It is no DICOM file, no segmentation, or one of a kind that is not read.
    """
    name = str(path)
    with open_file(path) as stream, one_sentence(name):
        header, value = parse(name, stream)
        kind = str(header.get("SOPClassUID", ""))
        if kind != uid.SegmentationStorage:
            what = repr(uid.UID(kind).name[:80]) if kind else "an object of no stated class"
            raise InputError(f"{name} is no DICOM segmentation but {what}; remove it from here.")
        height, width, frames = read_size(name, header)
        check_size(name, (height, width), MAX_PIXELS)
        written = str(header.get("SegmentationType", ""))
        if written not in ("BINARY", "FRACTIONAL"):
            raise InputError(
                f"{name} is a segmentation of the type {written!r:.40}; export it as BINARY or "
                "FRACTIONAL."
            )
        if len(header.get("PerFrameFunctionalGroupsSequence") or ()) != frames:
            raise InputError(
                f"{name} has {frames} frame(s) and does not say of each what it marks; export it "
                "again."
            )
        if value is None:
            raise InputError(f"{name} has no pixels; export it again.")
        half = 1.0
        if written == "FRACTIONAL":
            half = whole(name, header, "MaximumFractionalValue") / 2
        pixels = Dataset()
        pixels.file_meta = header.file_meta
        for keyword in _KEPT:
            if keyword in header:
                setattr(pixels, keyword, header[keyword].value)
        offset = value.stream.tell() if value.stream is stream else None
        bits = whole(name, header, "BitsAllocated")
        native = header.file_meta.TransferSyntaxUID in _NATIVE
        if bits == 1 and not native:
            syntax = header.file_meta.TransferSyntaxUID.name[:80]
            raise InputError(
                f"{name} has packed bits in the transfer syntax {syntax!r}; export it as Explicit "
                "VR Little Endian."
            )
        if native:
            start = value.stream.tell()
            there = value.stream.seek(0, 2) - start
            if 8 * there < frames * height * width * bits:
                raise InputError(f"{name} is truncated: pixels are missing; copy it again.")
        return SegFile(path, (height, width), frames, pixels, half, offset, value.vr), header
