"""From a DICOM frame's stored values to what a viewer shows: PS3.3 C.11, step by step.

Grey values go through a table over the values that occur, at most 65,536 of them: exact, and as
small for a mammogram as for a thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_windowing

from softcam.data.dicomheader import macro, numbers
from softcam.data.pillow import Array, over_black
from softcam.errors import InputError

Window = tuple[float, float] | Literal["file", "full"]
"""Center and width in modality units (Hounsfield units for CT), or how to find a window."""

_STRIPE = 1 << 20


@dataclass(frozen=True)
class GreyScale:
    """What the samples of a frame that is shown over its full range stand for.

    Attributes:
        black: Modality units (Hounsfield units for CT) of black.
        white: Modality units of white; below black where the image is shown inverted.
        unit: "HU", or what else the file calls its units; may be empty.
        center: The file's first window's center, in modality units; None if it has none, or a VOI
            LUT, which is no window.
        width: Its width.
        function: LINEAR, LINEAR_EXACT or SIGMOID, see PS3.3 C.11.2.1.
    """

    black: float
    white: float
    unit: str
    center: float | None
    width: float | None
    function: str | None


def display(
    name: str, values: npt.NDArray[Any], dataset: Dataset, index: int, window: Window
) -> Array:
    """Turn stored values into grey or RGB as displayed.

    Args:
        name: What error messages call the file.
        values: (rows, columns) or (rows, columns, 3) stored values, colour as RGB.
        dataset: The object's header.
        index: The frame, counted from 0.
        window: See `softcam.data.dicom.read_dicom`.

    Returns:
        (rows, columns) or (rows, columns, 3) array, uint8 for up to 8 bits stored, else uint16.

    Raises:
        InputError: A lookup table or a window cannot be used.
    """
    low, high = int(values.min()), int(values.max())
    levels: npt.NDArray[Any] = np.arange(low, high + 1, dtype=np.int32)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        table = _palette(name, levels, dataset)
    elif values.ndim == 3:
        table = _quantise(levels.astype(np.float64), 0, _full(dataset)[1], _white(dataset))
    else:
        table = _grey(name, levels, values, dataset, index, window)
    return _look_up(table, values, low)


def grey_scale(name: str, dataset: Dataset, index: int) -> GreyScale | None:
    """Tell what a frame's samples stand for where it is displayed with the window "full".

    Args:
        name: What error messages call the file.
        dataset: The object's header.
        index: The frame, counted from 0.

    Returns:
        The scale; None for colour.

    Raises:
        InputError: A lookup table or a window cannot be used.
    """
    if dataset.get("SamplesPerPixel", 1) != 1 or (
        dataset.PhotometricInterpretation == "PALETTE COLOR"
    ):
        return None
    modality = _modality_of(dataset, index)
    ends = _modality(name, np.array(_full(dataset)), modality)
    black, white = float(ends.min()), float(ends.max())
    if _is_inverse(dataset):
        black, white = white, black
    voi = macro(dataset, index, "FrameVOILUTSequence") or dataset
    view = None if voi.get("VOILUTSequence") else _window(name, voi, "file")
    # A CT that does not say its rescale type has Hounsfield units (C.11.1.1.2).
    hounsfield = "HU" if str(dataset.get("Modality", "")) == "CT" else ""
    return GreyScale(
        black,
        white,
        str(modality.get("RescaleType") or hounsfield)[:16],
        None if view is None else float(view.WindowCenter),
        None if view is None else float(view.WindowWidth),
        None if view is None else str(view.VOILUTFunction),
    )


def _is_inverse(dataset: Dataset) -> bool:
    """Whether low values are shown bright.

    MONOCHROME1 objects carry INVERSE besides: that is one inversion, not two (C.8.11.3).
    """
    inverse = str(dataset.get("PresentationLUTShape", "")) == "INVERSE"
    return inverse or bool(dataset.PhotometricInterpretation == "MONOCHROME1")


def _grey(
    name: str,
    levels: npt.NDArray[Any],
    values: npt.NDArray[Any],
    dataset: Dataset,
    index: int,
    window: Window,
) -> Array:
    """Modality, VOI and presentation, for every grey level."""
    modality = _modality_of(dataset, index)
    white = _white(dataset)
    voi = macro(dataset, index, "FrameVOILUTSequence") or dataset
    shown = _modality(name, levels, modality)
    given = isinstance(window, tuple)
    if not given and window == "file" and voi.get("VOILUTSequence"):
        item = voi.VOILUTSequence[0]
        out, depth = _lookup(name, np.rint(shown), item, "VOI LUT")
        table = _quantise(out, 0, (1 << depth) - 1, white)
    elif (view := _window(name, voi, window)) is not None:
        view.BitsStored = 8 * white.itemsize
        with np.errstate(over="ignore"):  # far below a sigmoid's center its exponential is inf
            table = np.rint(apply_windowing(shown, view)).astype(white.dtype)
    else:
        ends = _range(name, levels, values, dataset, modality, full=window == "full")
        table = _quantise(shown, *ends, white)
    if _is_inverse(dataset):
        table = white - table
    return table


def _modality_of(dataset: Dataset, index: int) -> Dataset:
    frame = macro(dataset, index, "PixelValueTransformationSequence")
    return frame if "RescaleSlope" in frame else dataset


def _modality(name: str, levels: npt.NDArray[Any], modality: Dataset) -> npt.NDArray[np.float64]:
    """Stored values to modality units."""
    if modality.get("ModalityLUTSequence"):
        return _lookup(name, levels, modality.ModalityLUTSequence[0], "modality LUT")[0]
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if modality.get(keyword) is not None and numbers(modality, keyword, 1) is None:
            raise InputError(f"{name} has a {keyword} that is no number; export it again.")
    both = all(modality.get(key) is not None for key in ("RescaleSlope", "RescaleIntercept"))
    scaled = apply_modality_lut(levels, modality) if both else levels
    return np.asarray(scaled, dtype=np.float64)


def _lookup(
    name: str, values: npt.NDArray[Any], item: Dataset, what: str
) -> tuple[npt.NDArray[np.float64], int]:
    """Apply a lookup table; give its output and its bits per entry.

    pydicom's own function wraps around where a table of 8-bit entries has more than 256 of them.
    """
    descriptor = numbers(item, "LUTDescriptor", 3)
    data: Any = item.get("LUTData")
    if descriptor is None or data is None:
        raise InputError(f"{name} has a {what} without its data; export it again.")
    count, first, depth = int(descriptor[0]) or 65536, descriptor[1], int(descriptor[2])
    if isinstance(data, bytes):
        byte = depth == 8 and len(data) < 2 * count
        order = "<" if item.original_encoding[1] is not False else ">"
        data = np.frombuffer(data, np.uint8 if byte else f"{order}u2")
    # A table of a single entry is read as a number, not as a list.
    entries = np.asarray(data, dtype=np.float64).reshape(-1)
    if len(entries) < count or not 8 <= depth <= 16:
        raise InputError(
            f"{name} has a {what} of {len(entries)} entries of {depth} bits where its descriptor "
            f"says {count}; export it again."
        )
    place = np.clip(values - first, 0, count - 1).astype(np.int64)
    return entries[place], depth


def _window(name: str, voi: Dataset, window: Window) -> Dataset | None:
    """The window as a dataset of its own, or None if there is none to use."""
    view = Dataset()
    view.PhotometricInterpretation = "MONOCHROME2"
    view.PixelRepresentation = 0
    if isinstance(window, tuple):
        center, width, function = float(window[0]), float(window[1]), "LINEAR"
    elif window == "file":
        # Several alternatives may be given; the first is the one that viewers open with.
        first = [_first(voi.get(key)) for key in ("WindowCenter", "WindowWidth")]
        if None in first:
            return None
        center, width = first  # type: ignore[assignment]  # None was just excluded
        function = str(voi.get("VOILUTFunction") or "LINEAR").upper()
    else:
        return None
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise InputError(f"{name} has the unknown VOI LUT function {function[:40]!r}.")
    smallest = 1.0 if function == "LINEAR" else np.finfo(np.float64).tiny
    if not (np.isfinite(center) and np.isfinite(width) and width >= smallest):
        if isinstance(window, tuple):
            raise InputError(f"The window {window} must be a finite center and a width from 1 on.")
        return None  # some devices write a width of 0 where they mean none
    view.VOILUTFunction = function
    # Set as plain numbers: as decimal strings they would be cut to 16 characters.
    view.add_new("WindowCenter", "FD", center)
    view.add_new("WindowWidth", "FD", width)
    return view


def _first(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    parts = list(value) if hasattr(value, "__len__") else [value]
    return float(parts[0]) if parts else None


def _full(dataset: Dataset) -> tuple[int, int]:
    """Smallest and largest value that the stored bits can hold."""
    bits = int(dataset.BitsStored)
    if dataset.get("PixelRepresentation", 0) == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _range(
    name: str,
    levels: npt.NDArray[Any],
    values: npt.NDArray[Any],
    dataset: Dataset,
    modality: Dataset,
    *,
    full: bool,
) -> tuple[float, float]:
    """What black and white stand for where nothing says so, in modality units."""
    if full or int(dataset.BitsStored) <= 8:
        ends: npt.NDArray[Any] = np.array(_full(dataset))
    else:
        ends = _occurring(levels, values, dataset)
    found = _modality(name, ends, modality)
    return float(found.min()), float(found.max())


def _occurring(
    levels: npt.NDArray[Any], values: npt.NDArray[Any], dataset: Dataset
) -> npt.NDArray[Any]:
    """Smallest and largest stored value of the frame, padding left out."""
    padding = numbers(dataset, "PixelPaddingValue", 1)
    if padding is None:
        return levels[[0, -1]]
    limit = numbers(dataset, "PixelPaddingRangeLimit", 1) or padding
    ends = sorted((padding[0], limit[0]))
    inside = values[(values < ends[0]) | (values > ends[1])]
    return np.array([inside.min(), inside.max()]) if inside.size else levels[[0, -1]]


def _white(dataset: Dataset) -> np.unsignedinteger[Any]:
    """White of the output: uint8 for up to 8 bits stored, else uint16."""
    return np.uint8(255) if int(dataset.BitsStored) <= 8 else np.uint16(65535)


def _quantise(
    shown: npt.NDArray[np.float64], low: float, high: float, white: np.unsignedinteger[Any]
) -> Array:
    """Scale low..high to black..white, rounding to the nearest value."""
    if not high > low:
        return np.zeros(shown.shape, white.dtype)
    scaled = (shown - low) / (high - low) * float(white)
    table: Array = np.rint(np.clip(scaled, 0, float(white))).astype(white.dtype)
    return table


def _palette(name: str, levels: npt.NDArray[Any], dataset: Dataset) -> Array:
    """The colour of every level."""
    for colour in ("Red", "Green", "Blue", "Alpha"):
        data = dataset.get(f"Segmented{colour}PaletteColorLookupTableData")
        if data:
            descriptor = numbers(dataset, "RedPaletteColorLookupTableDescriptor", 3) or (0, 0, 0)
            _check_segments(name, data, int(descriptor[0]) or 65536, int(descriptor[2]), dataset)
    descriptor = numbers(dataset, "RedPaletteColorLookupTableDescriptor", 3) or (0, 0, 0)
    if descriptor[2] == 16 and dataset.original_encoding[1] is False:
        raise InputError(  # pydicom would exchange the bytes of every colour
            f"{name} has a big-endian palette of 16 bits, which softcam does not read; export it "
            "as Explicit VR Little Endian."
        )
    found = apply_color_lut(levels, dataset)
    if found.shape[1] == 4:
        return over_black(found[:, :3], found[:, 3])
    return np.asarray(found)


def _check_segments(name: str, data: bytes, count: int, depth: int, dataset: Dataset) -> None:
    """Refuse a segmented palette that would expand to more than its descriptor says."""
    order = "<" if dataset.original_encoding[1] is not False else ">"
    words = np.frombuffer(data, np.uint8 if depth == 8 else f"{order}u2").tolist()
    place = total = 0
    while place + 2 < len(words) and total <= count:
        kind, length = words[place : place + 2]
        if kind > 1:
            raise InputError(
                f"{name} has a palette with indirect segments, which softcam does not read; "
                "export it as RGB."
            )
        place += 2 + (length if kind == 0 else 1)
        total += length
    if total != count:
        raise InputError(f"{name} has a damaged segmented palette; export it as RGB.")


def _look_up(table: Array, values: npt.NDArray[Any], low: int) -> Array:
    """Put every pixel through a table, a stripe at a time so that no index fills the memory."""
    out = np.empty(values.shape + table.shape[1:], table.dtype)
    rows = max(1, _STRIPE // max(1, values[0].size))
    for start in range(0, len(values), rows):
        stripe = values[start : start + rows].astype(np.int64) - low
        out[start : start + rows] = table[stripe]
    return out
