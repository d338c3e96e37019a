"""DICOM files written by the tests: every transfer syntax and photometric interpretation."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

NATIVE = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big-endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}
ENCODED = {
    "rle": uid.RLELossless,
    "jpeg-ls": uid.JPEGLSLossless,
    "jpeg-2000": uid.JPEG2000Lossless,
}
GDCM = {"jpeg-lossless": uid.JPEGLossless, "jpeg-lossless-sv1": uid.JPEGLosslessSV1}
LOSSLESS = (*NATIVE, *ENCODED, *GDCM)


def dataset(
    array: np.ndarray,
    photometric: str = "MONOCHROME2",
    *,
    bits: int | None = None,
    frames: int = 1,
    **elements: Any,
) -> FileDataset:
    """A little-endian, uncompressed object; (frames, rows, columns[, 3]) if frames is above 1."""
    shape = array.shape[1:] if frames > 1 else array.shape
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID = uid.SecondaryCaptureImageStorage
    made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID = "1.2.3"
    made.SeriesInstanceUID = "1.2.3.1"
    made.PatientID = "p01"
    made.Modality = "OT"
    made.Rows, made.Columns = shape[:2]
    made.SamplesPerPixel = 3 if len(shape) == 3 else 1
    if len(shape) == 3:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = 8 * array.dtype.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(array.dtype.kind == "i")
    if frames > 1:
        made.NumberOfFrames = frames
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    data = array.tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB" if made.BitsAllocated == 8 else "OW"
    return made


def encode(made: FileDataset, syntax: str) -> bytes:
    """The bytes of a file in one of the lossless transfer syntaxes."""
    if syntax in ENCODED:
        # Another encoder, gdcm, aborts the process on some input.
        plugin = {"rle": "pydicom", "jpeg-ls": "pyjpegls", "jpeg-2000": "pylibjpeg"}[syntax]
        made.compress(ENCODED[syntax], encoding_plugin=plugin, generate_instance_uid=False)
        return save(made)
    if syntax in GDCM:
        return _by_gdcm(made, GDCM[syntax])
    return save(made, NATIVE[syntax])


def save(made: FileDataset, syntax: str | None = None) -> bytes:
    if syntax == uid.ExplicitVRBigEndian and made.BitsAllocated == 16:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    if syntax is not None:
        made.file_meta.TransferSyntaxUID = syntax
    stream = BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def lossy_jpeg(array: np.ndarray, photometric: str, **settings: Any) -> tuple[bytes, bytes]:
    """A file in JPEG baseline, and the JPEG in it."""
    stream = BytesIO()
    Image.fromarray(array).save(stream, "JPEG", **settings)
    made = dataset(array, photometric)
    made.PixelData = encapsulate([stream.getvalue()])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    return save(made), stream.getvalue()


def lut(entries: np.ndarray, first: int, depth: int) -> Dataset:
    item = Dataset()
    count = len(entries) % 65536
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [count, first, depth])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def _by_gdcm(made: FileDataset, syntax: str) -> bytes:
    """Encode by gdcm, which sees the pixels only: it aborts the process on palettes."""
    bare = deepcopy(made)
    for element in list(bare):
        if element.tag.group == 0x0028 and element.tag.element > 0x0103:
            del bare[element.tag]
    if bare.PhotometricInterpretation == "PALETTE COLOR":
        bare.PhotometricInterpretation = "MONOCHROME2"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        source.write_bytes(save(bare))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        kind = gdcm.TransferSyntax.GetTSType(str(syntax))
        change.SetTransferSyntax(gdcm.TransferSyntax(kind))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        encoded = pydicom.dcmread(target)
    made.PixelData = encoded.PixelData
    made["PixelData"].VR = "OB"
    return save(made, syntax)
