"""DICOM images as displayed: radiographs, mammograms, fundus photographs, OCT, CT and MR.

Reads are bounded: one frame is decoded, its size is checked before, compressed objects cannot
unfold into more than was announced, and private elements are not looked at. What pydicom or a
decoder raises on a damaged file leaves here as one sentence.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from softcam.errors import InputError, MissingExtraError, SoftcamError

try:
    from pydicom import uid
except ImportError as error:
    raise MissingExtraError(
        "Reading DICOM files needs pydicom, which is not installed; run: pip install softcam[dicom]"
    ) from error

from pydicom.dataset import Dataset
from pydicom.filereader import _at_pixel_data, _read_file_meta_info, read_dataset
from pydicom.tag import BaseTag

from softcam.data.dicomdisplay import GreyScale, Window, display, grey_scale
from softcam.data.dicomframe import PixelValue, read_frame
from softcam.data.dicomheader import DicomHeader, read_header, read_size
from softcam.data.frames import choose_frame, split_frame
from softcam.data.readers import MAX_PIXELS, Pixels, check_size, open_file

DicomSource = str | os.PathLike[str] | bytes | Dataset

_JPEG2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
_MAX_INFLATED = 256 << 20
_PIXEL_DATA = 0x7FE00010
_PATIENT_ID = 0x00100020


@dataclass(frozen=True)
class DicomImage:
    """One frame of a DICOM object.

    Attributes:
        pixels: The frame as displayed; file pixels are its stored pixels.
        header: What the file says about it.
        frame: Which frame, counted from 1 as in Referenced Frame Number.
        scale: What its samples stand for; None for colour, and where the window is not "full".
    """

    pixels: Pixels
    header: DicomHeader
    frame: int
    scale: GreyScale | None = None


def read_dicom(
    source: DicomSource,
    *,
    frame: int | None = None,
    window: Window = "file",
    max_pixels: int = MAX_PIXELS,
) -> DicomImage:
    """Read one frame of a DICOM object as a viewer displays it.

    Grey goes through the modality LUT or rescale, the VOI LUT or window, and is inverted for
    MONOCHROME1 or the presentation LUT shape INVERSE (PS3.3 C.11). Where the file has neither VOI
    LUT nor window, up to 8 bits are shown as stored and more bits from the frame's smallest to its
    largest value, padding left out. PALETTE COLOR and YBR become RGB. The pixels stay as stored
    where they are not square; `Pixels.pixel_aspect` tells it to the preprocessing.

    Args:
        source: Path of a DICOM file, also as `scan.dcm#3`; the bytes of one; or a pydicom dataset.
        frame: Frame counted from 1; required where there are several.
        window: "file" for what the file says (the first alternative, a VOI LUT before a window);
            "full" for all that the stored bits can hold; or (center, width) in modality units, to
            show several images alike.
        max_pixels: Larger frames are refused before they are decoded.

    Returns:
        Pixels (uint8 for up to 8 bits stored, else uint16 with 65535 as white) and header.

    Raises:
        InputError: The file is missing, damaged, too large, holds no image of 8 to 16 bits, or has
            several frames and none was named.
        MissingExtraError: The decoder of its transfer syntax is not installed.
    """
    if not isinstance(window, tuple) and window not in ("file", "full"):
        raise InputError(f"The window is {window!r}; use 'file', 'full' or (center, width).")
    if isinstance(source, (Dataset, bytes)):
        stream = BytesIO(source) if isinstance(source, bytes) else None
        return _read("The image", source, stream, frame, window, max_pixels)
    path, named = split_frame(source)
    with open_file(path) as opened:
        return _read(str(path), None, opened, named if frame is None else frame, window, max_pixels)


def read_dicom_stream(
    name: str, stream: BinaryIO, *, frame: int | None = None, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Read one frame of an open DICOM file; see `read_dicom`."""
    return _read(name, None, stream, frame, "file", max_pixels).pixels


def read_dicom_header(
    source: DicomSource | BinaryIO, *, frame: int | None = None, name: str = "The image"
) -> DicomHeader:
    """Read what a DICOM object says about a frame, without decoding pixels.

    Args:
        source: As for `read_dicom`, or an open file.
        frame: Frame counted from 1; the first if None.
        name: What error messages call an object that is no file.

    Raises:
        InputError: The file is missing or damaged, or holds no image or no such frame.
    """
    if isinstance(source, (str, os.PathLike)):
        path, named = split_frame(source)
        with open_file(path) as stream:
            return read_dicom_header(
                stream, frame=named if frame is None else frame, name=str(path)
            )
    with one_sentence(name):
        if isinstance(source, Dataset):
            dataset = source
        else:
            stream = BytesIO(source) if isinstance(source, bytes) else source
            dataset = parse(name, stream)[0]
        count = read_size(name, dataset)[2]
        return read_header(name, dataset, choose_frame(name, 1 if frame is None else frame, count))


def read_patient(name: str, stream: BinaryIO) -> str:
    """Read the Patient ID of an open DICOM file and nothing behind it.

    Args:
        name: What error messages call the file.
        stream: The file, at its start.

    Returns:
        (0010,0020) Patient ID; empty when the file does not say.

    Raises:
        InputError: The file is damaged.
    """
    with one_sentence(name):
        dataset = parse(name, stream, _behind_patient)[0]
        return str(dataset.get("PatientID") or "").strip(" \0")


def _read(
    name: str,
    source: Dataset | bytes | None,
    stream: BinaryIO | None,
    frame: int | None,
    window: Window,
    max_pixels: int,
) -> DicomImage:
    with one_sentence(name):
        value: PixelValue | None
        if stream is None:
            assert isinstance(source, Dataset)  # the two other sources have a stream
            dataset, value = source, _pixels_of(name, source)
        else:
            dataset, value = parse(name, stream)
        rows, columns, count = read_size(name, dataset)
        check_size(name, (rows, columns), max_pixels, costly=_costly(dataset))
        index = choose_frame(name, frame, count)
        values = read_frame(name, dataset, value, index)
        array = display(name, values, dataset, index, window)
        header = read_header(name, dataset, index)
        pixels = Pixels(array, header.pixel_aspect_ratio, header.plane)
        scale = grey_scale(name, dataset, index) if window == "full" else None
        return DicomImage(pixels, header, index + 1, scale)


def _costly(dataset: Dataset) -> str:
    """Name the pixels that openjpeg decodes by way of 32-bit samples, three of them."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") if dataset.file_meta else None
    colour = dataset.get("SamplesPerPixel", 1) != 1
    return "JPEG 2000 colour" if colour and syntax in _JPEG2000 else ""


@contextmanager
def one_sentence(name: str) -> Iterator[None]:
    """Whatever pydicom and the decoders raise on a damaged file becomes an InputError.

    Args:
        name: What error messages call the file.
    """
    try:
        yield
    except SoftcamError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise InputError(
            f"{name} is a damaged or unsupported DICOM file ({said}); copy or export it again."
        ) from error


def _pixels_of(name: str, dataset: Dataset) -> PixelValue | None:
    if getattr(dataset, "file_meta", None) is None:
        raise InputError(
            f"{name} is a dataset without file_meta; set its TransferSyntaxUID, which says how its "
            "pixels are encoded."
        )
    if "PixelData" not in dataset:
        return None
    return PixelValue(BytesIO(dataset.PixelData), str(dataset["PixelData"].VR))


def _behind_patient(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > _PATIENT_ID)


def parse(
    name: str, stream: BinaryIO, stop: Callable[[BaseTag, str | None, int], bool] = _at_pixel_data
) -> tuple[Dataset, PixelValue | None]:
    """Read all before the pixels; leave a stream at the start of the pixels' value.

    pydicom's own dcmread would inflate a deflated object however large it becomes.

    Args:
        name: What error messages call the file.
        stream: The open file, at its start.
        stop: Told of each tag; says where to stop.

    Returns:
        The header with its file meta information, and where the pixels lie (None if there are
        none), in `stream` unless the object is deflated.

    Raises:
        InputError: It is no DICOM file. What else a damaged file makes pydicom raise, the caller
            catches with `one_sentence`.
    """
    preamble = stream.read(132)
    if preamble[128:] != b"DICM":
        raise InputError(
            f"{name} is not a DICOM file, or one from before 1993 without a preamble; export it "
            "again as a DICOM file."
        )
    meta = _read_file_meta_info(stream)
    syntax = meta.get("TransferSyntaxUID")
    if not syntax:
        raise InputError(f"{name} does not say its transfer syntax; export it again.")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        data = inflater.decompress(stream.read(), _MAX_INFLATED)
        if inflater.unconsumed_tail:
            raise InputError(
                f"{name} inflates to more than {_MAX_INFLATED >> 20} MiB; export it as Explicit VR "
                "Little Endian if you trust it."
            )
        stream = BytesIO(data)
    # Private transfer syntaxes do not say their byte order; the check of the syntax refuses them.
    implicit = syntax == uid.ImplicitVRLittleEndian
    little = syntax != uid.ExplicitVRBigEndian
    dataset = read_dataset(stream, implicit, little, stop_when=stop)
    dataset.file_meta = meta
    dataset.set_original_encoding(implicit, little)
    head = stream.read(8) if stop is _at_pixel_data else b""
    if len(head) < 8:
        return dataset, None
    # Some files are implicit whatever their transfer syntax says; read_dataset noticed it too.
    vr = head[4:6].decode("latin-1") if head[4:6] in (b"OB", b"OW", b"UN") else "OW"
    if head[4:6] == vr.encode():
        stream.read(4)
    group, element = struct.unpack_from("<HH" if little else ">HH", head)
    if group << 16 | element != _PIXEL_DATA:
        raise InputError(
            f"{name} holds floating-point pixels, which have no black and white; convert it to 16 "
            "bits."
        )
    return dataset, PixelValue(stream, vr)
