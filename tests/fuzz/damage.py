"""How files are damaged: at random, by headers that lie, and by files that unfold into too much."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid

from tests.data import dicoms, files
from tests.fuzz.whole import Whole

Rng = np.random.Generator
_HEAD = 400  # bytes in which most of a header lies
_NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 17, 32, 255, 256, 4095, 10_000, 32_767, 65_535)
_LARGE = (1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_SUFFIXES = (".png", ".jpg", ".tif", ".dcm", ".nii", ".nii.gz", ".csv", "")


def flip(data: bytes, rng: Rng) -> bytes:
    """Other bytes here and there."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        changed[rng.integers(len(changed))] = rng.integers(256)
    return bytes(changed)


def flip_head(data: bytes, rng: Rng) -> bytes:
    """Other bytes where headers are."""
    return flip(data[:_HEAD], rng) + data[_HEAD:]


def truncate(data: bytes, rng: Rng) -> bytes:
    """The end is missing."""
    return data[: rng.integers(1, len(data))]


def overwrite(data: bytes, rng: Rng) -> bytes:
    """A block of zeros, or of ones, as a bad disk leaves it."""
    start, length = rng.integers(len(data)), rng.integers(1, 513)
    block = bytes([0 if rng.random() < 0.7 else 255]) * min(length, len(data) - start)
    return data[:start] + block + data[start + len(block) :]


def insert(data: bytes, rng: Rng) -> bytes:
    """A block that does not belong there."""
    start = rng.integers(len(data))
    return data[:start] + rng.bytes(rng.integers(1, 513)) + data[start:]


def remove(data: bytes, rng: Rng) -> bytes:
    """A block is missing from the middle."""
    start = rng.integers(1, len(data))
    return data[:start] + data[start + rng.integers(1, 513) :]


def repeat(data: bytes, rng: Rng) -> bytes:
    """A block is there twice."""
    start = rng.integers(len(data))
    end = start + rng.integers(1, 513)
    return data[:end] + data[start:]


RANDOM: dict[str, Callable[[bytes, Rng], bytes]] = {
    "bytes flipped": flip,
    "header flipped": flip_head,
    "truncated": truncate,
    "block overwritten": overwrite,
    "block inserted": insert,
    "block removed": remove,
    "block repeated": repeat,
}


def _number(rng: Rng, limit: int) -> int:
    """A number that a header may lie with."""
    values = [v for v in (*_NUMBERS, *_LARGE) if v <= limit]
    return int(rng.choice(values)) if rng.random() < 0.7 else int(rng.integers(limit))


def lying_png(data: bytes, rng: Rng) -> bytes:
    """Another IHDR with the right checksum, or a chunk of another length."""
    if rng.random() < 0.25:
        place = data.index(b"IDAT") - 4
        return data[:place] + struct.pack(">I", _number(rng, (1 << 32) - 1)) + data[place + 4 :]
    fields = list(struct.unpack_from(">IIBBBBB", data, 16))
    choices = {0: (1 << 31) - 1, 1: (1 << 31) - 1, 2: 255, 3: 7, 6: 2}
    for place in rng.choice(list(choices), rng.integers(1, 3), replace=False):
        fields[place] = _number(rng, choices[int(place)])
    return data[:8] + files.chunk(b"IHDR", struct.pack(">IIBBBBB", *fields)) + data[33:]


def lying_jpeg(data: bytes, rng: Rng) -> bytes:
    """Another size, precision or number of components, or a segment of another length."""
    changed = bytearray(data)
    markers = [m for m in (b"\xff\xc0", b"\xff\xc2") if m in data]
    place = data.index(markers[0])
    if rng.random() < 0.3:
        place = data.index(b"\xff" + bytes([rng.choice([0xDB, 0xC4, 0xDA])]))
        struct.pack_into(">H", changed, place + 2, _number(rng, 65_535))
    elif rng.random() < 0.6:
        struct.pack_into(">H", changed, place + int(rng.choice([5, 7])), _number(rng, 65_535))
    else:
        changed[place + int(rng.choice([4, 9, 11]))] = _number(rng, 255)
    return bytes(changed)


def lying_tiff(data: bytes, rng: Rng) -> bytes:
    """Another value, type or count of a tag, or a directory that follows itself."""
    order = "<" if data.startswith(b"II") else ">"
    changed = bytearray(data)
    start = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, start)[0]
    if rng.random() < 0.1:
        struct.pack_into(order + "I", changed, start + 2 + 12 * count, start)
        return bytes(changed)
    for _ in range(rng.integers(1, 3)):
        entry = start + 2 + 12 * int(rng.integers(count))
        part = rng.random()
        if part < 0.2:
            struct.pack_into(order + "H", changed, entry + 2, _number(rng, 20))
        elif part < 0.4:
            struct.pack_into(order + "I", changed, entry + 4, _number(rng, (1 << 32) - 1))
        elif struct.unpack_from(order + "H", changed, entry + 2)[0] == 3:
            struct.pack_into(order + "H", changed, entry + 8, _number(rng, 65_535))
        else:
            struct.pack_into(order + "I", changed, entry + 8, _number(rng, (1 << 32) - 1))
    return bytes(changed)


_DICOM_NUMBERS = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "SamplesPerPixel",
    "PixelRepresentation",
    "PlanarConfiguration",
)
_DICOM_TEXTS: dict[str, tuple[object, ...]] = {
    "PhotometricInterpretation": ("RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "HSV", ""),
    "NumberOfFrames": (0, 2, 999_999_999, -1),
    "WindowWidth": (0, -5, 1e300, 1e-300),
    "WindowCenter": (1e300, -1e300),
    "RescaleSlope": (0, 1e300, -1e-300),
    "RescaleIntercept": (1e300, -1e300),
    "PixelAspectRatio": ([0, 0], [1, 0]),
    "PixelSpacing": ([0, 0], [1e300, 1e-300]),
}
_SYNTAXES = (*dicoms.NATIVE.values(), *dicoms.ENCODED.values(), *dicoms.GDCM.values())
_OTHER_SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.MPEG2MPML, uid.UID("1.2.3"))


def lying_dicom(data: bytes, rng: Rng) -> bytes:
    """Another size, kind of pixels, window or transfer syntax, or an element of another length."""
    if rng.random() < 0.2:  # the lengths of pixels and items, where there are some
        places = [i for i in range(132, len(data) - 8) if data[i : i + 2] in (b"\xe0\x7f", b"\xfe")]
        place = int(rng.choice(places)) if places else int(rng.integers(132, len(data) - 8))
        change = struct.pack("<I", _number(rng, (1 << 32) - 1))
        start = place + int(rng.choice([4, 8]))
        return data[:start] + change + data[start + 4 :]
    made = pydicom.dcmread(BytesIO(data))
    if rng.random() < 0.2:
        syntax = str(rng.choice([str(s) for s in (*_SYNTAXES, *_OTHER_SYNTAXES)]))
        # The file's text, since writing it anew would encode it anew.
        old = str(made.file_meta.TransferSyntaxUID).encode()
        return data.replace(old.ljust(len(old) + len(old) % 2, b"\0"), syntax.encode(), 1)
    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.6:
            setattr(made, str(rng.choice(_DICOM_NUMBERS)), _number(rng, 65_535))
        else:
            name = str(rng.choice(list(_DICOM_TEXTS)))
            values = _DICOM_TEXTS[name]
            setattr(made, name, values[int(rng.integers(len(values)))])
    stream = BytesIO()
    pydicom.dcmwrite(stream, made)
    return stream.getvalue()


# Place and type of the fields of a NIfTI-1 and a NIfTI-2 header that decide how it is read.
_NIFTI1 = [(40 + 2 * i, "<h") for i in range(8)]
_NIFTI1 += [(70, "<h"), (72, "<h"), (108, "<f"), (112, "<f"), (116, "<f"), (124, "<f"), (252, "<h")]
_NIFTI1 += [(80 + 4 * i, "<f") for i in range(4)] + [(256 + 4 * i, "<f") for i in range(18)]
_NIFTI2 = [(16 + 8 * i, "<q") for i in range(8)]
_NIFTI2 += [(12, "<h"), (14, "<h"), (168, "<q"), (176, "<d"), (184, "<d"), (192, "<d"), (344, "<i")]
_FLOATS = (0.0, -1.0, 1e30, -1e30, 1e-30, float("nan"), float("inf"), 352.0, 3e9)


def lying_nifti(data: bytes, rng: Rng) -> bytes:
    """Another size, type, place of the voxels, scale or direction."""
    packed = data.startswith(b"\x1f\x8b")
    changed = bytearray(gzip.decompress(data) if packed else data)
    fields = _NIFTI2 if changed[:4] == struct.pack("<I", 540) else _NIFTI1
    for _ in range(rng.integers(1, 4)):
        place, kind = fields[int(rng.integers(len(fields)))]
        if kind in ("<f", "<d"):
            struct.pack_into(kind, changed, place, float(rng.choice(_FLOATS)))
        else:
            limit = 32_767 if kind == "<h" else (1 << 31) - 1
            sign = -1 if rng.random() < 0.15 else 1
            struct.pack_into(kind, changed, place, sign * _number(rng, limit))
    return gzip.compress(bytes(changed), mtime=0) if packed else bytes(changed)


LYING: dict[str, Callable[[bytes, Rng], bytes]] = {
    "PNG": lying_png,
    "JPEG": lying_jpeg,
    "TIFF": lying_tiff,
    "DICOM": lying_dicom,
    "NIfTI": lying_nifti,
}


def wrong_suffix(whole: Whole, rng: Rng) -> str:
    """A name that says another format."""
    return str(rng.choice([suffix for suffix in _SUFFIXES if suffix != whole.suffix]))


def _png_of(width: int, height: int, colour: int, bits: int, *, honest: bool) -> bytes:
    samples = {files.GREY: 1, files.RGB: 3, files.RGBA: 4}[colour]
    packer = zlib.compressobj(1)
    line = b"\0" * (1 + width * samples * bits // 8)
    pixels = b"".join(packer.compress(line) for _ in range(height if honest else 1))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            files.chunk(b"IHDR", head),
            files.chunk(b"IDAT", pixels + packer.flush()),
            files.chunk(b"IEND"),
        ]
    )


def _text_png(kind: bytes, head: bytes) -> bytes:
    """A PNG whose text or colour profile unfolds into 200 MB."""
    small = _png_of(8, 8, files.GREY, 8, honest=True)
    extra = files.chunk(kind, head + zlib.compress(bytes(200 << 20), 1))
    return small[:33] + extra + small[33:]


def _tiff_of(side: int, mode: str) -> bytes:
    stream = BytesIO()
    Image.new(mode, (side, side)).save(stream, "TIFF", compression="tiff_adobe_deflate")
    return stream.getvalue()


def _jpeg_of(side: int, **settings: object) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (side, side)).save(stream, "JPEG", **settings)
    return stream.getvalue()


def _deflated_dicom() -> bytes:
    grey = np.zeros((4, 4), np.uint8)
    made = dicoms.encode(dicoms.dataset(grey), "deflated")
    head = made.index(b"1.2.840.10008.1.2.1.99") + 22
    head += head % 2
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return made[:head] + packer.compress(bytes(600 << 20)) + packer.flush()


def _rle_dicom() -> bytes:
    """RLE pixels that expand to 128 times what they take, for a frame of 9,000 x 9,000."""
    made = dicoms.dataset(np.zeros((8, 8), np.uint8))
    made.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    runs = b"\x81\x00" * (9000 * 9000 // 128)
    frame = struct.pack("<16I", 1, 64, *(0,) * 14) + runs
    made.PixelData = pydicom.encaps.encapsulate([frame + b"\0" * (len(frame) % 2)])
    made.Rows = made.Columns = 9000
    return dicoms.save(made)


def _nifti_of(shape: tuple[int, int], datatype: int, bits: int) -> bytes:
    import nibabel

    head = bytearray(nibabel.Nifti1Image(np.zeros((2, 2), np.int16), np.eye(4)).to_bytes()[:352])
    struct.pack_into("<3h", head, 40, 2, *shape)
    struct.pack_into("<2h", head, 70, datatype, bits)
    stream = BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as out:
        out.write(bytes(head))
        for _ in range(shape[1]):
            out.write(bytes(shape[0] * bits // 8))
    return stream.getvalue()


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png of 900 million px": (".png", lambda: _png_of(30_000, 30_000, 2, 8, honest=False)),
    "png of 90 million px": (".png", lambda: _png_of(9_500, 9_500, 2, 8, honest=True)),
    "deep png of 90 million px": (".png", lambda: _png_of(9_500, 9_500, 2, 16, honest=True)),
    "deep png of 49 million px": (".png", lambda: _png_of(7_000, 7_000, 2, 16, honest=True)),
    "deep alpha png of 49 million px": (".png", lambda: _png_of(7_000, 7_000, 6, 16, honest=True)),
    "png with too much text": (".png", lambda: _text_png(b"zTXt", b"a\0\0")),
    "png with too large a profile": (".png", lambda: _text_png(b"iCCP", b"a\0\0")),
    "tiff of 90 million px": (".tif", lambda: _tiff_of(9_500, "RGB")),
    "deep tiff of 90 million px": (".tif", lambda: _tiff_of(9_500, "I;16")),
    "progressive jpeg of 90 million px": (
        ".jpg",
        lambda: _jpeg_of(9_500, progressive=True, subsampling=0),
    ),
    "jpeg of 90 million px": (".jpg", lambda: _jpeg_of(9_500)),
    "deflated dicom of 600 MiB": (".dcm", _deflated_dicom),
    "rle dicom of 81 million px": (".dcm", _rle_dicom),
    "gzip of 700 MiB": (".nii.gz", lambda: gzip.compress(bytes(700 << 20), 1, mtime=0)),
    "nifti of 90 million px": (".nii.gz", lambda: _nifti_of((9_500, 9_500), 4, 16)),
    "nifti of 90 million doubles": (".nii.gz", lambda: _nifti_of((9_500, 9_500), 64, 64)),
    "nifti of 90 million complex": (".nii.gz", lambda: _nifti_of((9_500, 9_500), 1792, 128)),
    "nifti of 1 billion px": (".nii.gz", lambda: _nifti_of((32_000, 32_000), 2, 8)),
}
"""Suffix and maker of files that unfold into far more than they take on the disk."""


@cache
def bomb(name: str) -> bytes:
    """A file that unfolds into far more than it takes; made once, since that takes a second."""
    return BOMBS[name][1]()
