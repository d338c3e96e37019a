"""One frame's stored values out of a DICOM object, with every size checked before decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import get_expected_length

from softcam.data import codestream
from softcam.data.dicomheader import whole as whole_number
from softcam.errors import InputError, MissingExtraError

# One decoder per transfer syntax, so that the same file has the same pixels on every machine.
_JPEG = {
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: "pillow",
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
}
_JPEG2000 = {uid.JPEG2000Lossless: "pylibjpeg", uid.JPEG2000: "pylibjpeg"}
_DECODERS = {**_JPEG, **_JPEG2000, uid.RLELossless: "pydicom"}
_NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
_STRIPE = 1 << 20
_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_IMAGE_PIXEL = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


@dataclass(frozen=True)
class PixelValue:
    """The value of a PixelData element, not yet read.

    Attributes:
        stream: Stands at the value's first byte.
        vr: Its value representation, "OB" or "OW"; decides the byte order of big-endian files.
    """

    stream: BinaryIO
    vr: str


def read_frame(
    name: str, dataset: Dataset, pixels: PixelValue | None, index: int
) -> npt.NDArray[Any]:
    """Decode one frame.

    Args:
        name: What error messages call the file.
        dataset: The object's header, with its file meta information.
        pixels: Where its PixelData lies; None if it has none.
        index: The frame, counted from 0.

    Returns:
        (rows, columns) or (rows, columns, 3) integer array of stored values; colour is RGB.

    Raises:
        InputError: The kind of pixels is not supported, or they are truncated.
        MissingExtraError: The decoder of the transfer syntax is not installed.
    """
    pixels = _check_kind(name, dataset, pixels)
    syntax = uid.UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    single = Dataset()
    for keyword in _IMAGE_PIXEL:
        if keyword in dataset:
            setattr(single, keyword, dataset[keyword].value)
    single.NumberOfFrames = 1
    single.file_meta = dataset.file_meta
    if syntax in _NATIVE:
        big = syntax == uid.ExplicitVRBigEndian
        pairs = big and pixels.vr == "OW" and single.BitsAllocated == 8
        length = get_expected_length(single)
        single.PixelData = _native(name, pixels, index, length, pairs=pairs)
    else:
        _check_decoder(name, syntax)
        data = get_frame(
            pixels.stream,
            index,
            extended_offsets=_offsets(dataset),
            number_of_frames=whole_number(name, dataset, "NumberOfFrames", 1) or 1,
        )
        _check_codestream(name, single, syntax, data)
        single.PixelData = encapsulate([data])
    single["PixelData"].VR = "OW" if single.BitsAllocated == 16 else "OB"
    single.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    # An overlay may live in the bits above those stored.
    values, told = get_decoder(syntax).as_array(
        single,
        index=0,
        raw=True,
        decoding_plugin=_DECODERS.get(syntax, ""),
        correct_unused_bits=True,  # type: ignore[arg-type]  # a keyword, typed as all of them
    )
    kind = str(told["photometric_interpretation"])
    return _to_rgb(values, kind) if kind in ("YBR_FULL", "YBR_FULL_422") else values


def _to_rgb(values: npt.NDArray[Any], kind: str) -> npt.NDArray[Any]:
    """Convert to RGB, some rows at a time: pydicom converts by way of 32-bit numbers."""
    out = np.empty_like(values)
    rows = max(1, _STRIPE // values.shape[1])
    for start in range(0, len(values), rows):
        stripe = values[start : start + rows]
        out[start : start + rows] = convert_color_space(stripe, kind, "RGB")
    return out


def _native(name: str, pixels: PixelValue, index: int, length: int, *, pairs: bool) -> bytes:
    """A frame's bytes where they are not compressed, and a byte of padding after an odd number.

    Big-endian words hold 8-bit samples in exchanged pairs, which may lie across two frames.
    """
    start = length * index
    before = start % 2 if pairs else 0
    pixels.stream.seek(start - before, 1)
    data = pixels.stream.read(before + length + (before + length) % 2)
    if len(data) < before + length:
        raise InputError(
            f"{name} is truncated: its frame {index + 1} has {max(0, len(data) - before)} of "
            f"{length} bytes; copy the file again."
        )
    if pairs and len(data) % 2 == 0:
        data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
    return data[before : before + length].ljust(length + length % 2, b"\0")


def _check_kind(name: str, dataset: Dataset, pixels: PixelValue | None) -> PixelValue:
    """Refuse what is no image of 8 to 16 bits."""
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise InputError(
            f"{name} holds floating-point pixels, which have no black and white; convert it to 16 "
            "bits."
        )
    if pixels is None:
        raise InputError(
            f"{name} is a DICOM object without pixels ({_class_name(dataset)}); give an image."
        )
    allocated, stored = (
        whole_number(name, dataset, "BitsAllocated"),
        whole_number(name, dataset, "BitsStored"),
    )
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise InputError(
            f"{name} has {stored} bits stored in {allocated} per sample; softcam reads 8 to 16 "
            "bits."
        )
    if whole_number(name, dataset, "HighBit", stored - 1) != stored - 1:
        raise InputError(
            f"{name} keeps its pixels away from the lowest bit (HighBit {dataset.HighBit}), which "
            "the DICOM standard has retired; export it again."
        )
    signed = whole_number(name, dataset, "PixelRepresentation", 0)
    samples = whole_number(name, dataset, "SamplesPerPixel", 1)
    kind = str(dataset.get("PhotometricInterpretation", ""))
    if (samples, signed) in ((1, 0), (1, 1)) and kind in _GREY:
        return pixels
    if (samples, signed) == (3, 0) and kind in _COLOUR:
        return pixels
    raise InputError(
        f"{name} has {samples} {'signed ' if signed else ''}sample(s) per pixel with the "
        f"photometric interpretation {kind!r}; softcam reads {', '.join(_GREY)} with one, and "
        f"{', '.join(_COLOUR)} with three unsigned."
    )


def _class_name(dataset: Dataset) -> str:
    found = str(dataset.get("SOPClassUID", ""))
    return uid.UID(found).name if found else "of no stated class"


def _check_decoder(name: str, syntax: uid.UID) -> None:
    if syntax not in _DECODERS:
        raise InputError(
            f"{name} has the transfer syntax {str(syntax.name or 'without a name')[:80]!r}, which "
            "softcam does not read; export it as Explicit VR Little Endian."
        )
    if _DECODERS[syntax] not in get_decoder(syntax).available_plugins:
        raise MissingExtraError(
            f"{name}: decoding {syntax.name} needs the decoder {_DECODERS[syntax]}, which is not "
            "installed; run: pip install softcam[dicom]"
        )


def _offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    offsets = dataset.get("ExtendedOffsetTable")
    lengths = dataset.get("ExtendedOffsetTableLengths")
    return (offsets, lengths) if offsets and lengths else None


def _check_codestream(name: str, single: Dataset, syntax: uid.UID, data: bytes) -> None:
    """Hold the size in the compressed data against the header's: decoders believe the former."""
    told = single.Rows, single.Columns, single.SamplesPerPixel
    if syntax == uid.RLELossless:
        if not codestream.is_rle(data, told[0] * told[1], told[2] * single.BitsAllocated // 8):
            raise InputError(f"{name} has damaged RLE pixels; copy the file again.")
        return
    if syntax in _JPEG2000:
        found = codestream.jpeg2000_size(data)
    else:
        lossless = _JPEG[syntax] == "gdcm"
        whole = lossless or _JPEG[syntax] == "pyjpegls"
        found = codestream.jpeg_size(data, whole=whole, lossless=lossless)
        # gdcm writes samples of the stream's width into a buffer of the header's.
        if found and lossless and (found[3] > 8) != (single.BitsAllocated > 8):
            found = None
    if found is None:
        raise InputError(f"{name} has damaged compressed pixels; copy the file again.")
    if found[:3] != told:
        raise InputError(
            f"{name} says it has {told[2]} sample(s) of {told[1]} x {told[0]} px, but its "
            f"compressed pixels have {found[2]} of {found[1]} x {found[0]}; export it again."
        )
    if syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit) and found[3] != 8:
        raise InputError(
            f"{name} is a lossy JPEG of {found[3]} bits, for which there is no freely licensed "
            "decoder; export it as JPEG 2000 or uncompressed."
        )
