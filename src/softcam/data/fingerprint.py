"""What the quality checks keep of an image: its file's digest, its format and a small print of it.

Each image is decoded once; what is kept takes about 2 KiB, however large the image is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from softcam.data.frames import split_frame
from softcam.data.pillow import Array
from softcam.data.problems import Problems
from softcam.data.readers import file_format, open_file, read_image
from softcam.data.records import Record, Table
from softcam.errors import InputError

GRID = 32
"""An image's print is made from this many cells a side."""

FLAT = 2
"""Grey levels (of 255) from darkest to brightest, up to which an image has no contrast."""

_KEPT = 8  # frequencies a side that the hash looks at
_RADIUS = 2  # cells around a cell that it is judged against
_FLOOR = 0.1  # of the whole image's spread, added to that of a cell's surroundings


@dataclass(frozen=True)
class Fingerprint:
    """What the checks know of an image.

    Attributes:
        digest: SHA-256 of the file; frames of one file share it.
        frame: The frame, counted from 1; None if none was named.
        format: PNG, JPEG, TIFF, DICOM or NIfTI, by the file's first bytes.
        size: (height, width) as displayed.
        bits: 8 or 16.
        colour: "grey" or "RGB".
        flat: Whether the image has no contrast; such an image resembles nothing.
        hash: 64-bit perceptual hash, see `perceptual_hash`.
        detail: (1024,) float16 of unit length, see `fine_detail`.
    """

    digest: str
    frame: int | None
    format: str
    size: tuple[int, int]
    bits: int
    colour: str
    flat: bool
    hash: int
    detail: npt.NDArray[np.float16]

    @property
    def picture(self) -> tuple[str, int | None]:
        """Alike for two files that hold the same bytes, and the same frame of them."""
        return self.digest, self.frame


def fingerprint_table(
    table: Table, *, progress: Callable[[int, int], None] | None = None
) -> list[Fingerprint]:
    """Fingerprint every image of a table.

    Args:
        table: The images.
        progress: Told the number of images done and the number of all, after each image.

    Returns:
        One fingerprint per record, in order.

    Raises:
        InputError: Images cannot be read; names up to ten rows, and counts the others.
        MissingExtraError: A format's extra is not installed.
    """
    problems = Problems(str(table.path))
    found = []
    for record, result in zip(table.records, try_fingerprints(table, progress), strict=True):
        if isinstance(result, InputError):
            problems.add(f"row {record.row}", str(result).rstrip("."))
        else:
            found.append(result)
    problems.raise_any()
    return found


def try_fingerprints(
    table: Table, progress: Callable[[int, int], None] | None = None
) -> list[Fingerprint | InputError]:
    """Fingerprint every image of a table that can be read.

    Args:
        table: The images.
        progress: Told the number of images done and the number of all, after each image.

    Returns:
        For each record its fingerprint, or what is wrong with the image.

    Raises:
        MissingExtraError: A format's extra is not installed.
    """
    digests: dict[Path, str] = {}  # the slices of a volume share a file, which is read once
    results: list[Fingerprint | InputError] = []
    for number, record in enumerate(table.records, start=1):
        try:
            results.append(_fingerprint(record, digests))
        except InputError as error:
            results.append(error)
        if progress is not None:
            progress(number, len(table))
    return results


def _fingerprint(record: Record, digests: dict[Path, str]) -> Fingerprint:
    file, frame = split_frame(record.image)
    with open_file(file) as stream:
        kind = file_format(stream)
        if file not in digests:
            digests[file] = _sha256(stream)
    pixels = read_image(record.image)
    array = pixels.array
    low, high = int(array.min()), int(array.max())
    # Of 16 bits a camera may use ten: contrast is judged against the brightest sample.
    white = 255 if pixels.bit_depth == 8 else max(255, high)
    small = thumbnail(array)
    return Fingerprint(
        digest=digests[file],
        frame=frame,
        format=kind,
        size=pixels.size,
        bits=pixels.bit_depth,
        colour="grey" if array.ndim == 2 else "RGB",
        flat=255 * (high - low) <= FLAT * white,
        hash=perceptual_hash(small),
        detail=fine_detail(small),
    )


def _sha256(stream: BinaryIO) -> str:
    """Hash a file piece by piece, however large it is."""
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def thumbnail(array: Array) -> npt.NDArray[np.float32]:
    """Shrink an image to 32 x 32 grey cells, each the mean of what it covers.

    Args:
        array: (height, width) or (height, width, 3).

    Returns:
        (32, 32) array in the image's grey levels; width and height are stretched each by its own
        factor, so that a resized copy gives the same cells.
    """
    planes: Sequence[npt.NDArray[np.unsignedinteger]] = (
        [array] if array.ndim == 2 else [array[:, :, i] for i in range(array.shape[2])]
    )
    shrunk = [
        Image.fromarray(plane.astype(np.float32)).resize((GRID, GRID), Image.Resampling.BOX)
        for plane in planes
    ]
    cells = np.mean([np.asarray(image) for image in shrunk], axis=0)
    return np.asarray(cells, dtype=np.float32)


def perceptual_hash(cells: npt.NDArray[np.float32]) -> int:
    """Hash a thumbnail so that copies of one picture differ in few bits.

    Bit i says whether the i-th of the 8 x 8 lowest frequencies of the discrete cosine transform is
    above the median of all but the mean.

    Args:
        cells: (32, 32) thumbnail.

    Returns:
        A number of 64 bits. Brightness and contrast do not change it, nor does the size.

    Source:
        Zauner, "Implementation and benchmarking of perceptual image hash functions", Upper Austria
        University of Applied Sciences 2010, section 3.2.1.
    """
    waves = _cosines()
    low = (waves @ cells.astype(np.float64) @ waves.T).ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _cosines() -> npt.NDArray[np.float64]:
    """The lowest frequencies of the DCT-II, one a row."""
    centres = (np.arange(GRID) + 0.5) / GRID
    return np.asarray(np.cos(np.pi * np.outer(np.arange(_KEPT), centres)), dtype=np.float64)


def fine_detail(cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """What sets an image apart from others of its kind: each cell against the 5 x 5 around it.

    Two radiographs share a chest; that is smooth and goes with the mean of the surroundings. Two
    fundus photographs share the rim of the disc, far stronger than any vessel; divided by the
    spread of its surroundings it weighs no more than they do. The product of two details is their
    correlation.

    Args:
        cells: (32, 32) thumbnail.

    Returns:
        (1024,) of unit length, or all zero for a constant image.
    """
    side = 2 * _RADIUS + 1
    padded = np.pad(cells.astype(np.float64), _RADIUS, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    # The floor keeps the noise of black surroundings from counting as much as a vessel.
    spread = around.std(axis=(2, 3)) + _FLOOR * float(cells.std()) + 1e-6
    rest = ((cells - around.mean(axis=(2, 3))) / spread).ravel()
    rest -= rest.mean()
    length = float(np.linalg.norm(rest))
    # Rounding leaves a little where a constant image has nothing.
    whole = rest / length if length > 1e-3 else np.zeros_like(rest)
    return np.asarray(whole, dtype=np.float16)
