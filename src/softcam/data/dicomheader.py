"""What a DICOM file says about its image: whom it shows, its identifiers, its place in space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from softcam.data.plane import MAX_ASPECT, PlaneGeometry
from softcam.errors import InputError

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PROJECTIONS = {
    f"1.2.840.10008.5.1.4.1.1.{number}"
    for number in (
        *("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1"),  # CR, DX, mammography, intra-oral
        *("12.1", "12.1.1", "12.2", "12.2.1"),  # angiography, fluoroscopy
        *("13.1.4", "13.1.5", "481.1"),  # breast projections, portal images
    )
}
"""SOP classes of projection radiographs, in which no pixel is a place in the patient."""


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """What a DICOM file says about one of its frames. Text that is missing is empty.

    Attributes:
        patient_id: (0010,0020) Patient ID, what splits are made by.
        study_uid: (0020,000D) Study Instance UID.
        series_uid: (0020,000E) Series Instance UID.
        sop_instance_uid: (0008,0018) SOP Instance UID: this very object.
        sop_class_uid: (0008,0016) SOP Class UID: the kind of object.
        modality: (0008,0060) Modality, such as DX, MG or OP.
        laterality: "L", "R", "B" or "U", from the frame, the image or the series.
        rows: Height of the stored frame in pixels.
        columns: Width of the stored frame in pixels.
        frames: Number of frames.
        pixel_spacing: (between rows, between columns) in millimetres; None when unknown.
        spacing_source: Attribute that the spacing comes from. Only PixelSpacing may be in the
            patient; the others are at the detector or the film.
        pixel_aspect_ratio: Height of a pixel over its width, from PixelAspectRatio or else from
            the spacing; 1.0 when neither is given. File pixels are the stored pixels all the
            same; `Preprocessing` gives the image its true shape.
        plane: Where the frame lies in the patient; None for projections, whatever their header
            says, and where position, orientation or spacing in the patient is missing.
    """

    patient_id: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    laterality: str
    rows: int
    columns: int
    frames: int
    pixel_spacing: tuple[float, float] | None
    spacing_source: str
    pixel_aspect_ratio: float
    plane: PlaneGeometry | None

    def patient_plane(self) -> PlaneGeometry:
        """Give the plane that the frame shows.

        Raises:
            InputError: It shows none.
        """
        if self.plane is None:
            what = f"an image of the modality {self.modality}" if self.modality else "this image"
            at = (
                f"; its {self.spacing_source} is no distance in the patient"
                if self.spacing_source
                else ""
            )
            raise InputError(
                f"The DICOM header gives {what} no plane in the patient{at}: use file pixels. "
                "Projections have none; slices need ImagePositionPatient, "
                "ImageOrientationPatient and PixelSpacing."
            )
        return self.plane

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.rows, self.columns


def macro(dataset: Dataset, index: int, keyword: str) -> Dataset:
    """Find a functional group of an enhanced multi-frame object.

    Args:
        dataset: The object.
        index: The frame, counted from 0.
        keyword: The group's sequence, such as "PixelMeasuresSequence".

    Returns:
        The frame's own item, else the one that all frames share, else an empty dataset.
    """
    for groups, place in (
        ("PerFrameFunctionalGroupsSequence", index),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = dataset.get(groups) or ()
        found = items[place].get(keyword) if place < len(items) else None
        if found:
            item: Dataset = found[0]
            return item
    return Dataset()


def whole(name: str, dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Read a whole number.

    Raises:
        InputError: It is missing without a default, or no number.
    """
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        value = default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{name} has no usable {keyword} in its DICOM header, so that it holds no image "
            "softcam can show; export it again as an image."
        ) from error


def read_size(name: str, dataset: Dataset) -> tuple[int, int, int]:
    """Read the rows, columns and number of frames.

    Raises:
        InputError: The object has none, or they make no sense.
    """
    rows, columns = whole(name, dataset, "Rows"), whole(name, dataset, "Columns")
    frames = whole(name, dataset, "NumberOfFrames", 1) or 1
    if min(rows, columns, frames) < 1:
        raise InputError(
            f"{name} says it has {frames} frame(s) of {columns} x {rows} px, which is no image; "
            "export it again."
        )
    return rows, columns, frames


def read_header(name: str, dataset: Dataset, index: int) -> DicomHeader:
    """Read what a DICOM object says about one of its frames.

    Args:
        name: What error messages call the file.
        dataset: The object; its pixels are not needed.
        index: The frame, counted from 0.

    Raises:
        InputError: The object holds no image.
    """
    rows, columns, frames = read_size(name, dataset)
    spacing, source = _spacing(dataset, index)
    return DicomHeader(
        patient_id=_text(dataset, "PatientID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        sop_class_uid=_text(dataset, "SOPClassUID"),
        modality=_text(dataset, "Modality"),
        laterality=_laterality(dataset, index),
        rows=rows,
        columns=columns,
        frames=frames,
        pixel_spacing=spacing,
        spacing_source=source,
        pixel_aspect_ratio=_aspect(dataset, spacing),
        plane=_plane(dataset, index, frames),
    )


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Read that many finite numbers, or None if the attribute does not hold them."""
    value: Any = dataset.get(keyword)
    if value is None or isinstance(value, str):
        return None
    try:
        found = tuple(float(part) for part in (value if hasattr(value, "__len__") else (value,)))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _laterality(dataset: Dataset, index: int) -> str:
    frame = macro(dataset, index, "FrameAnatomySequence")
    return (
        _text(frame, "FrameLaterality")
        or _text(dataset, "ImageLaterality")
        or _text(dataset, "Laterality")
    )


def _spacing(dataset: Dataset, index: int) -> tuple[tuple[float, float] | None, str]:
    frame = macro(dataset, index, "PixelMeasuresSequence")
    places = [(frame, "PixelSpacing"), *((dataset, keyword) for keyword in _SPACINGS)]
    for place, keyword in places:
        found = numbers(place, keyword, 2)
        if found and min(found) > 0:
            return (found[0], found[1]), keyword
    return None, ""


def _aspect(dataset: Dataset, spacing: tuple[float, float] | None) -> float:
    ratio = numbers(dataset, "PixelAspectRatio", 2) or spacing
    if not ratio or min(ratio) <= 0:
        return 1.0
    aspect = ratio[0] / ratio[1]
    # Beyond this it is a slip of the pen, which shall not squash the image to a line.
    return aspect if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else 1.0


def _plane(dataset: Dataset, index: int, frames: int) -> PlaneGeometry | None:
    if _text(dataset, "SOPClassUID") in _PROJECTIONS:
        return None
    where = numbers(macro(dataset, index, "PlanePositionSequence"), "ImagePositionPatient", 3)
    if where is None and frames == 1:  # one position cannot hold for the slices of a stack
        where = numbers(dataset, "ImagePositionPatient", 3)
    axes = numbers(
        macro(dataset, index, "PlaneOrientationSequence"), "ImageOrientationPatient", 6
    ) or numbers(dataset, "ImageOrientationPatient", 6)
    measures = macro(dataset, index, "PixelMeasuresSequence")
    spacing = numbers(measures, "PixelSpacing", 2) or numbers(dataset, "PixelSpacing", 2)
    if where is None or axes is None or spacing is None:
        return None
    try:
        return PlaneGeometry(
            where,
            axes[:3],
            axes[3:],
            (spacing[0], spacing[1]),
            _text(dataset, "FrameOfReferenceUID"),
        )
    except InputError:
        return None  # such a header says nothing about the place
