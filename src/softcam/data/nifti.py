"""One slice of a NIfTI volume, turned the way radiologists look at it.

Slices lie across the file's third axis, counted from 1 in the file's order. A slice is shown with
the patient's right on the left and the front (axial) or the head (coronal, sagittal) at the top, by
the header's affine, with rows and columns exchanged or mirrored and never resampled.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from softcam.data.frames import choose_frame
from softcam.data.pillow import Array
from softcam.data.plane import MAX_ASPECT, PlaneGeometry
from softcam.errors import InputError, MissingExtraError, SoftcamError

try:
    import nibabel
except ImportError as error:
    raise MissingExtraError(
        "Reading NIfTI files needs nibabel, which is not installed; run: pip install softcam[nifti]"
    ) from error

from nibabel.arrayproxy import ArrayProxy
from nibabel.orientations import aff2axcodes

# Which end of an anatomical axis comes first on screen: along rows, or down columns.
_FIRST = {"R": "R", "L": "R", "A": "A", "P": "A", "S": "S", "I": "S"}
_MAX_INFLATED = 1 << 30
_MAX_SLICE = 512 << 20
_STRIPE = 1 << 20  # voxels scaled at once, by way of 64-bit numbers


def open_volume(name: str, stream: BinaryIO) -> tuple[Any, BinaryIO | gzip.GzipFile]:
    """Read the header of a NIfTI-1 or NIfTI-2 file, gzipped or not.

    Returns:
        nibabel's header, and the stream of the inflated file.

    Raises:
        InputError: It is no NIfTI volume in one file.
    """
    try:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        plain = gzip.GzipFile(fileobj=stream) if packed else stream
        block = plain.read(540)
        two = int.from_bytes(block[:4], "little") == 540 or int.from_bytes(block[:4], "big") == 540
        magic = block[4:8] if two else block[344:348]
        if magic not in (b"n+1\0", b"n+2\0"):
            raise InputError(
                f"{name} is not a NIfTI volume in one file, nor any other image that softcam "
                "reads; convert it to .nii, PNG or TIFF."
            )
        header: Any
        if two:
            header = nibabel.Nifti2Header(block, check=False)
        else:
            header = nibabel.Nifti1Header(block[:348], check=False)
        return header, plain
    except SoftcamError:
        raise
    except Exception as error:
        raise _damaged(name, error) from error


def slice_size(name: str, header: Any, frame: int | None) -> tuple[int, int, int]:
    """Work out a slice's displayed size.

    Args:
        name: What error messages call the file.
        header: From `open_volume`.
        frame: Slice counted from 1; required where there are several.

    Returns:
        Height, width, and the slice counted from 0.

    Raises:
        InputError: The volume has more than three axes, or several slices and none was named.
    """
    try:
        shape = tuple(int(side) for side in header.get_data_shape())
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if not 2 <= len(shape) <= 3 or min(shape) < 1:
            raise InputError(
                f"{name} has the axes {shape}; split it into volumes of two or three axes."
            )
        index = choose_frame(name, frame, shape[2] if len(shape) == 3 else 1, "slice")
        exchanged = _turns(header)[0]
    except SoftcamError:
        raise
    except Exception as error:
        raise _damaged(name, error) from error
    return (shape[1], shape[0], index) if exchanged else (shape[0], shape[1], index)


def read_slice(name: str, header: Any, stream: BinaryIO | gzip.GzipFile, index: int) -> Array:
    """Read a slice as displayed.

    Slope and intercept are applied. cal_min and cal_max are black and white where the header has
    them; else uint8 without scaling is shown as stored, and all else from the slice's smallest to
    its largest value. What is not finite is black.

    Args:
        name: What error messages call the file.
        header: From `open_volume`.
        stream: From `open_volume`.
        index: The slice counted from 0.

    Returns:
        (height, width) array, or (height, width, 3) for RGB voxels; uint8 for voxels of one byte,
        else uint16.

    Raises:
        InputError: The file is truncated, or its voxels cannot be shown.
    """
    try:
        kind = header.get_data_dtype()
        shape = tuple(int(side) for side in header.get_data_shape())
        start = int(header.get_data_offset())
        if start < 0:
            raise InputError(f"{name} has a damaged NIfTI header; copy the file again.")
        if kind.names is None and kind.kind not in "iuf":
            raise InputError(
                f"{name} has voxels of the type {kind}, which have no black and white."
            )
        side = shape[0] * shape[1] * kind.itemsize
        if side > _MAX_SLICE:
            raise InputError(
                f"{name} has slices of {side >> 20} MiB, more than the {_MAX_SLICE >> 20} MiB "
                "allowed; save it with 16 bits a voxel."
            )
        if isinstance(stream, gzip.GzipFile) and start + side * (index + 1) > _MAX_INFLATED:
            raise InputError(
                f"{name} has its slice {index + 1} behind {_MAX_INFLATED >> 30} GiB of compressed "
                "data; unpack it to .nii first."
            )
        stream.seek(start + side * index)
        data = stream.read(side)
        if len(data) < side:
            raise InputError(f"{name} is truncated: slice {index + 1} is not whole; copy it again.")
        slope, inter = header.get_slope_inter()
        scale = (1.0 if slope is None else slope, inter or 0.0)
        return np.ascontiguousarray(
            _turned(_shown(_Slice(data, shape[:2], kind, scale), header), header)
        )
    except SoftcamError:
        raise
    except Exception as error:
        raise _damaged(name, error) from error


def pixel_aspect(header: Any) -> float:
    """Height of a displayed slice's pixels over their width; 1.0 where the header says nonsense.

    Args:
        header: From `open_volume`.
    """
    sides = [abs(float(side)) for side in header.get_zooms()[:2]]
    if len(sides) < 2 or not all(math.isfinite(side) and side > 0 for side in sides):
        return 1.0
    aspect = sides[1] / sides[0] if _turns(header)[0] else sides[0] / sides[1]
    return aspect if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else 1.0


def slice_plane(header: Any, index: int) -> PlaneGeometry | None:
    """Where a displayed slice lies in the patient.

    Args:
        header: From `open_volume`.
        index: The slice counted from 0.

    Returns:
        The plane in the system that DICOM uses (NIfTI's has x and y the other way round); None
        where the header has no affine of a scanner (codes 0), or a sheared one.
    """
    if not (int(header["sform_code"]) or int(header["qform_code"])):
        return None
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(header.get_best_affine(), np.float64)
    exchanged, mirror_rows, mirror_columns = _turns(header)
    # Columns: what one more row, one more column and no step at all are in voxels.
    voxels = np.zeros((4, 3))
    voxels[1 if exchanged else 0, 0] = -1 if mirror_rows else 1
    voxels[0 if exchanged else 1, 1] = -1 if mirror_columns else 1
    voxels[2:, 2] = index, 1
    for step, mirrored in ((0, mirror_rows), (1, mirror_columns)):
        axis = int(np.flatnonzero(voxels[:2, step])[0])
        voxels[axis, 2] = int(header.get_data_shape()[axis]) - 1 if mirrored else 0
    down, right, first = (affine @ voxels)[:3].T
    spacing = float(np.linalg.norm(down)), float(np.linalg.norm(right))
    if not all(math.isfinite(side) and side > 0 for side in spacing):
        return None
    try:
        return PlaneGeometry(
            tuple(map(float, first)),
            tuple(map(float, right / spacing[1])),
            tuple(map(float, down / spacing[0])),
            spacing,
        )
    except InputError:
        return None


def _damaged(name: str, error: Exception) -> InputError:
    said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        return InputError(f"{name} is truncated or damaged ({said}); copy the file again.")
    return InputError(f"{name} is a damaged or unsupported NIfTI file ({said}); copy it again.")


def _turns(header: Any) -> tuple[bool, bool, bool]:
    """Whether to exchange the file's two axes, then mirror rows, then mirror columns."""
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    codes = aff2axcodes(affine) if np.isfinite(affine).all() else (None, None, None)
    first, second = codes[0] or "R", codes[1] or "A"
    # Head or front goes up; in an axial slice front does, and right and left lie along rows.
    rank = "LRAPIS"
    exchanged = rank.index(first) < rank.index(second)
    down, along = (second, first) if exchanged else (first, second)
    # aff2axcodes names the end that an axis runs to; the wanted end must come first.
    return exchanged, _FIRST[down] == down, _FIRST[along] == along


def _turned(values: npt.NDArray[Any], header: Any) -> npt.NDArray[Any]:
    exchanged, mirror_rows, mirror_columns = _turns(header)
    values = values.swapaxes(0, 1) if exchanged else values
    return values[:: -1 if mirror_rows else 1, :: -1 if mirror_columns else 1]


@dataclass(frozen=True)
class _Slice:
    """A slice as it lies in the file: its first axis runs fastest."""

    data: bytes
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    scale: tuple[float, float]

    def stripes(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Give the values, scaled, some of the second axis at a time."""
        width, height = self.shape
        count = max(1, _STRIPE // width)
        side = width * self.kind.itemsize
        for start in range(0, height, count):
            end = min(height, start + count)
            part = BytesIO(self.data[start * side : end * side])
            proxy = ArrayProxy(part, ((width, end - start), self.kind, 0, *self.scale))
            yield slice(start, end), np.asarray(proxy)


def _shown(values: _Slice, header: Any) -> Array:
    """The slice from black to white, on the file's axes."""
    kind = values.kind
    if kind.names is not None:
        colour = np.empty((*values.shape, 3), np.uint8)
        for place, part in values.stripes():
            colour[:, place] = np.stack([part[name] for name in kind.names[:3]], axis=2)
        return colour
    white = np.uint8(255) if kind.itemsize == 1 else np.uint16(65535)
    shown = np.zeros(values.shape, white.dtype)
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if not (np.isfinite((low, high)).all() and high > low):
        ends: list[float] = []
        for place, part in values.stripes():
            if part.dtype == np.uint8:
                shown[:, place] = part
                continue
            finite = part[np.isfinite(part)]
            ends += [float(finite.min()), float(finite.max())] if finite.size else []
        if not ends:
            return shown
        low, high = min(ends), max(ends)
    if not high > low:
        return shown
    for place, part in values.stripes():
        with np.errstate(over="ignore"):  # the whole range of 64 bits is too wide for them
            scaled = (part.astype(np.float64) - low) / (high - low)
        clipped = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 1)
        shown[:, place] = np.rint(clipped * float(white)).astype(white.dtype)
    return shown
