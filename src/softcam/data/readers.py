"""From an image file to its pixels as displayed: PNG, JPEG, TIFF, DICOM and NIfTI, 8 and 16 bits.

What a file is, its first bytes say, never its name. PNG, JPEG and TIFF need numpy and Pillow only;
DICOM and NIfTI are extras, which are imported when the first such file comes.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from softcam.data import pillow, tiff
from softcam.data.frames import choose_frame, split_frame
from softcam.data.pillow import Array
from softcam.data.plane import MAX_ASPECT, PlaneGeometry
from softcam.data.records import Record
from softcam.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from softcam.data.dicomheader import DicomHeader

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: they would fill the memory."""

DEEP = "16-bit colour"

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.generic] | Dataset"
)


class TooManyPixelsError(InputError):
    """An image has more pixels than are allowed; it was not decoded."""


class Pixels:
    """An image as displayed.

    Args:
        array: (height, width) grey or (height, width, 3) RGB, uint8 or uint16; or a decoded PIL
            image of mode L or RGB.
        pixel_aspect: Height of a pixel over its width, where a DICOM or NIfTI file says so.
        plane: Where the image lies in the patient; None unless the file says so.

    Raises:
        InputError: The array has another type or shape, or a pixel is too long.
    """

    __slots__ = ("_array", "_image", "_pixel_aspect", "_plane")

    def __init__(
        self,
        array: Array | Image.Image,
        pixel_aspect: float = 1.0,
        plane: PlaneGeometry | None = None,
    ) -> None:
        if not 1 / MAX_ASPECT <= pixel_aspect <= MAX_ASPECT:
            raise InputError(
                f"The height of a pixel over its width is {pixel_aspect}; it must be from "
                f"{1 / MAX_ASPECT} to {MAX_ASPECT}."
            )
        self._pixel_aspect = pixel_aspect
        self._plane = plane
        self._array: Array | None = None
        self._image: Image.Image | None = None
        if isinstance(array, Image.Image):
            if array.mode not in ("L", "RGB"):
                raise InputError(f"Pixels must be of mode L or RGB, not {array.mode}.")
            self._image = array
            return
        if array.dtype not in (np.uint8, np.uint16):
            raise InputError(f"Pixels must be uint8 or uint16, not {array.dtype}.")
        colour = array.ndim == 3 and array.shape[2] == 3
        if (array.ndim != 2 and not colour) or 0 in array.shape:
            raise InputError(
                "Pixels must have the shape (height, width) or (height, width, 3), "
                f"not {array.shape}."
            )
        self._array = array

    def __repr__(self) -> str:
        height, width = self.size
        return f"Pixels({height} x {width}, {self.bit_depth} bits)"

    @property
    def array(self) -> Array:
        """(height, width) grey or (height, width, 3) RGB, uint8 or uint16."""
        image = self._image
        if image is not None:  # which goes, so that a large image is not in memory twice
            self._array = pillow.to_array(image)
            self._image = None
        if self._array is None:
            raise RuntimeError("there is neither an array nor an image")
        return self._array

    @property
    def image(self) -> Image.Image | None:
        """The same as Pillow decoded it, mode L or RGB; None if it did not, or after `array`."""
        return self._image

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel over its width."""
        return self._pixel_aspect

    @property
    def plane(self) -> PlaneGeometry | None:
        """Where the image lies in the patient; None unless the file says so."""
        return self._plane

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return 8 if self._array is None else 8 * self._array.dtype.itemsize

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        image = self._image
        if image is not None:
            return image.height, image.width
        return self.array.shape[0], self.array.shape[1]

    @property
    def true_size(self) -> tuple[int, int]:
        """(height, width) in square pixels as fine as the finer side of these."""
        return square_size(self.size, self.pixel_aspect)


def square_size(size: tuple[int, int], pixel_aspect: float) -> tuple[int, int]:
    """Give (height, width) in square pixels as fine as the finer side of an image's own.

    Args:
        size: (height, width) in the image's own pixels.
        pixel_aspect: Height of such a pixel over its width.
    """
    tall = max(1, round(size[0] * max(1.0, pixel_aspect)))
    return tall, max(1, round(size[1] * max(1.0, 1 / pixel_aspect)))


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read an image as a viewer displays it.

    EXIF orientation is applied, palettes are resolved, CMYK becomes RGB, and transparency is
    composited over black. All 16 bits are kept. Colour profiles and gamma are not applied. For
    DICOM see `softcam.data.dicom.read_dicom`, for NIfTI `softcam.data.nifti`.

    Args:
        source: Path of a PNG, JPEG, TIFF, DICOM or NIfTI file, as `scan.dcm#3` for the third
            frame, page or slice; the bytes of a file; a PIL image; a pydicom dataset; or an array:
            (height, width), (height, width, 1), (height, width, 3) or, with alpha, (height, width,
            4), uint8 or uint16.
        max_pixels: Images with more pixels are refused before they are decoded; 16-bit colour
            and colour in JPEG 2000 count twice, since they take twice the memory.

    Returns:
        Pixels in file pixels as displayed.

    Raises:
        InputError: The file is missing, empty, truncated, too large, or no image; it has several
            frames and none was named; or the array or PIL image has a type that cannot be
            displayed without a choice.
        MissingExtraError: The format's extra is not installed.
    """
    if isinstance(source, np.ndarray):
        height_width = source.shape[:2]
        check_size("The array", height_width, max_pixels)
        return Pixels(_from_array(source))
    if isinstance(source, Image.Image):
        check_size("The image", source.size[::-1], max_pixels)
        return Pixels(pillow.decode("The image", source))
    if isinstance(source, bytes):
        return read_bytes(source, max_pixels=max_pixels)
    if not isinstance(source, (str, os.PathLike)):
        from softcam.data.dicom import read_dicom

        return read_dicom(source, max_pixels=max_pixels).pixels
    path, frame = split_frame(source)
    with open_file(path) as stream:
        return _read_stream(str(source), stream, path.stat().st_size, frame, max_pixels)


def read_bytes(data: bytes, *, frame: int | None = None, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read an image from the bytes of a file.

    Args:
        data: The bytes.
        frame: Frame, page or slice counted from 1; required where there are several.
        max_pixels: As for `read_image`.

    Returns:
        Pixels in file pixels as displayed.

    Raises:
        InputError: As for `read_image`; errors call the file "The image".
        MissingExtraError: The format's extra is not installed.
    """
    return _read_stream("The image", BytesIO(data), len(data), frame, max_pixels)


def read_record(record: Record, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read the image of a table's record; an error names the row besides the file.

    Args:
        record: Record of a table.
        max_pixels: Images with more pixels are refused before they are decoded.

    Returns:
        Pixels in file pixels as displayed.

    Raises:
        InputError: See `read_image`.
    """
    try:
        return read_image(record.image, max_pixels=max_pixels)
    except InputError as error:
        raise InputError(f"Row {record.row} of the table: {error}") from error


def record_header(record: Record) -> DicomHeader | None:
    """Read what the DICOM file of a table's record says of it: study, series, SOP, laterality.

    Args:
        record: Record of a table.

    Returns:
        The header of the record's frame; None if the file is no DICOM file.

    Raises:
        InputError: The file is missing or damaged.
        MissingExtraError: It is a DICOM file and pydicom is not installed.
    """
    file, frame = split_frame(record.image)
    with open_file(file) as stream:
        if _kind(stream) != "DICOM":
            return None
        from softcam.data.dicom import read_dicom_header

        return read_dicom_header(stream, frame=frame, name=str(record.image))


def image_size(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Read an image's size from its header, without decoding it.

    Args:
        path: Path of an image file, with or without a frame, as for `read_image`.
        max_pixels: Images with more pixels are refused.

    Returns:
        (height, width) as displayed, after EXIF orientation.

    Raises:
        InputError: The file is missing, empty, too large, or no image, or has several frames and
            none was named.
        MissingExtraError: The format's extra is not installed.
    """
    name = str(path)
    file, frame = split_frame(path)
    with open_file(file) as stream:
        size = _size(name, stream, file.stat().st_size, frame, max_pixels)
    check_size(name, size, max_pixels)
    return size


def _size(
    name: str, stream: BinaryIO, length: int, frame: int | None, max_pixels: int
) -> tuple[int, int]:
    kind = _kind(stream)
    if kind == "DICOM":
        from softcam.data.dicom import read_dicom_header

        header = read_dicom_header(stream, name=name)
        choose_frame(name, frame, header.frames)
        return header.size
    if kind == "NIfTI":
        from softcam.data import nifti

        return nifti.slice_size(name, nifti.open_volume(name, stream)[0], frame)[:2]
    if kind == "TIFF":
        width, height = tiff.open_page(name, stream, frame).size
        return height, width
    image, _ = pillow.open_header(name, stream, length)
    choose_frame(name, frame, 1)
    width, height = image.size
    check_size(name, (height, width), max_pixels)  # metadata behind the pixels need them decoded
    turned = pillow.orientation(image, stream) >= pillow.FIRST_TRANSPOSED
    return (width, height) if turned else (height, width)


def _read_stream(
    name: str, stream: BinaryIO, length: int, frame: int | None, max_pixels: int
) -> Pixels:
    kind = _kind(stream)
    if kind == "DICOM":
        from softcam.data.dicom import read_dicom_stream

        return read_dicom_stream(name, stream, frame=frame, max_pixels=max_pixels)
    if kind == "NIfTI":
        from softcam.data import nifti

        header, plain = nifti.open_volume(name, stream)
        height, width, index = nifti.slice_size(name, header, frame)
        check_size(name, (height, width), max_pixels)
        array = nifti.read_slice(name, header, plain, index)
        plane = nifti.slice_plane(header, index)
        return Pixels(array, nifti.pixel_aspect(header), plane)
    if kind == "TIFF":
        page = tiff.open_page(name, stream, frame)
        check_size(name, page.size[::-1], max_pixels, costly=DEEP if tiff.is_deep(page) else "")
        return Pixels(tiff.decode(name, stream, page, frame))
    image, bits = pillow.open_header(name, stream, length)
    deep = bits == 16 and image.mode in ("RGB", "RGBA")
    check_size(name, image.size[::-1], max_pixels, costly=DEEP if deep else "")
    choose_frame(name, frame, 1)
    return Pixels(pillow.decode_in_place(name, image, bits, stream))


def file_format(stream: BinaryIO) -> str:
    """Name a file's format by its first bytes: PNG, JPEG, TIFF, DICOM or NIfTI.

    Args:
        stream: The open file, at its start, where it is left.
    """
    kind = _kind(stream)
    if kind == "other":
        kind = "PNG" if stream.read(1) == b"\x89" else "JPEG"  # nothing else is read
        stream.seek(0)
    return kind


def _kind(stream: BinaryIO) -> str:
    """Tell a file's format by its first bytes; what is not recognised here goes to Pillow."""
    head = stream.read(348)
    stream.seek(0)
    if head[128:132] == b"DICM":
        return "DICOM"
    if head.startswith(tiff.MAGIC):
        return "TIFF"
    nifti = head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"
    return "NIfTI" if nifti or head.startswith(b"\x1f\x8b") else "other"


def open_file(path: Path) -> BinaryIO:
    """Open a file to read, or raise an InputError that says why not."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; correct the path or add the file.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; give an image file.") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be opened ({error}); check its name and rights."
        ) from error


def check_size(name: str, size: tuple[int, ...], max_pixels: int, *, costly: str = "") -> None:
    """Raise a TooManyPixelsError if an image has more pixels than are allowed.

    Args:
        name: What the message calls the image.
        size: (height, width); anything else is let pass.
        max_pixels: How many pixels are allowed.
        costly: What kind of image it is, if decoding takes twice the memory and it counts so.
    """
    allowed = max_pixels // 2 if costly else max_pixels
    if len(size) == 2 and size[0] * size[1] > allowed:
        kind = f" in {costly}" if costly else ""
        raise TooManyPixelsError(
            f"{name} has {size[1]} x {size[0]} px{kind}, more than the {allowed} px allowed; "
            "shrink it, or raise max_pixels if you trust the file."
        )


def _from_array(array: npt.NDArray[np.generic]) -> Array:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"The array's type is {array.dtype}; convert it to uint8 or uint16, so that black and "
            "white are known."
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            f"The array's shape is {array.shape}; give (height, width), (height, width, 3) or "
            "(height, width, 4), channels last."
        )
    whole: npt.NDArray[Any] = np.ascontiguousarray(array)
    return pillow.over_black(whole[:, :, :3], whole[:, :, 3]) if channels == 4 else whole
