"""The DICOM image that objects are made for: its identifiers, its frame, whom it shows."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DSfloat, validate_value

from softcam.data.dicom import DicomSource, one_sentence, parse
from softcam.data.dicomheader import DicomHeader, macro, numbers, read_header, read_size
from softcam.data.frames import choose_frame, split_frame
from softcam.data.plane import PlaneGeometry
from softcam.data.readers import file_format, open_file
from softcam.errors import InputError

MANUFACTURER = "softcam"
"""Who all objects are from; results are not explained again."""

_IDENTIFIERS = {
    "SOPClassUID": "(0008,0016)",
    "SOPInstanceUID": "(0008,0018)",
    "StudyInstanceUID": "(0020,000D)",
    "SeriesInstanceUID": "(0020,000E)",
}
"""Without one of these no object can be filed under the study, or refer to the image."""

_FILED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""What every object must have, if only without a value (type 2)."""

_WHO = ("PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber", "StudyID")
"""Kept as they are, whatever the standard says about their values."""

_ANONYMISED = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
_KEPT_GROUPS = (0x0008, 0x0010, 0x0012, 0x0020, 0x0032, 0x0040)
_LOSSY = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_PIXEL_DATA = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, eq=False)
class Source:
    """One frame of a DICOM image.

    Attributes:
        name: What error messages call it.
        dataset: The object without its pixels.
        header: What it says about the frame.
        frame: The frame, counted from 1.
    """

    name: str
    dataset: Dataset
    header: DicomHeader
    frame: int

    @property
    def frames(self) -> list[int] | None:
        """The frame for references to an object of several; None where it has one only."""
        return [self.frame] if self.header.frames > 1 else None

    @property
    def plane(self) -> PlaneGeometry | None:
        """Where the frame lies, if it does so in a frame of reference that has a UID."""
        plane = self.header.plane
        return plane if plane is not None and plane.frame_of_reference else None

    @property
    def slice_thickness(self) -> float | None:
        """How thick the slice is in millimetres; None where the file does not say."""
        measures = macro(self.dataset, self.frame - 1, "PixelMeasuresSequence")
        found = numbers(measures, "SliceThickness", 1) or numbers(self.dataset, "SliceThickness", 1)
        return found[0] if found and found[0] > 0 else None

    @property
    def laterality(self) -> str:
        """Which side of the body it shows, "L" or "R"; empty where that is not said."""
        return self.header.laterality if self.header.laterality in ("L", "R") else ""

    @property
    def orientation(self) -> list[str] | str:
        """Patient Orientation: where the rows and the columns point to; empty if not said."""
        value = self.dataset.get("PatientOrientation")
        return [str(part) for part in value] if value and len(value) == 2 else ""

    def reference(self) -> Dataset:
        """Give a reference to the frame: class and instance, and its number where there are more.

        Returns:
            An item of a Source Image Sequence.
        """
        item = Dataset()
        item.ReferencedSOPClassUID = self.header.sop_class_uid
        item.ReferencedSOPInstanceUID = self.header.sop_instance_uid
        if self.frames is not None:
            item.ReferencedFrameNumber = self.frame
        return item

    def stand_in(self, plane: PlaneGeometry | None) -> Dataset:
        """Give a single-frame image of the patient and study that highdicom can derive from.

        highdicom knows the kinds of objects of one edition of the standard only, and derives from
        one frame of several only where they have places in the patient. So it gets a plain image
        in the source's name, and `point_at` puts the references right.

        Args:
            plane: Where the image lies; None for nowhere.

        Returns:
            A CT image with a plane, else a secondary capture, without pixels.
        """
        made = Dataset()
        for element in self.dataset:
            if element.tag.group in _KEPT_GROUPS and not element.tag.is_private:
                kept = deepcopy(element)
                valid = kept.VR == "SQ" or _is_valid(str(kept.VR), kept.value)
                if valid or kept.keyword in _WHO:
                    made.add(kept)
        for keyword in _FILED:
            if made.get(keyword) is None:
                setattr(made, keyword, "")
        if made.PatientSex not in ("", "M", "F", "O"):
            made.PatientSex = ""
        anonymous = made.get("PatientIdentityRemoved") == "YES"
        if anonymous and not any(keyword in made for keyword in _ANONYMISED):
            made.DeidentificationMethod = "Not stated by the source image"  # one is required
        for keyword in _LOSSY:
            if keyword in self.dataset:
                made[keyword] = deepcopy(self.dataset[keyword])
        header = self.header
        made.SOPClassUID = uid.CTImageStorage if plane else uid.SecondaryCaptureImageStorage
        # Stripped of padding that some writers leave behind identifiers.
        made.SOPInstanceUID = header.sop_instance_uid
        made.StudyInstanceUID = header.study_uid
        made.SeriesInstanceUID = header.series_uid
        made.Modality = header.modality or "OT"
        made.Rows, made.Columns = header.size
        for keyword in ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient"):
            made.pop(keyword, None)
        if plane is not None:
            made.FrameOfReferenceUID = plane.frame_of_reference
            made.ImagePositionPatient = _decimals(plane.position)
            made.ImageOrientationPatient = _decimals((*plane.row, *plane.column))
            made.PixelSpacing = _decimals(plane.spacing)
            made.SliceThickness = self.slice_thickness or 1.0  # asked for, and not passed on
        # All text is decoded by now; what is written is UTF-8, whatever a class is called.
        made.SpecificCharacterSet = "ISO_IR 192"
        return made


def open_source(source: DicomSource, frame: int | None = None) -> Source:
    """Read what objects derived from a DICOM image need of it; its pixels are not decoded.

    Args:
        source: Path of a DICOM file, also as `scan.dcm#3`; the bytes of one; or a dataset.
        frame: Frame counted from 1; required where there are several.

    Returns:
        The frame, with the identifiers that results are filed by.

    Raises:
        InputError: It is missing, damaged, no DICOM image, or lacks an identifier or its pixels.
    """
    if isinstance(source, Dataset):
        return _source("The image", source, any(k in source for k in _PIXEL_DATA), frame)
    if isinstance(source, bytes):
        with one_sentence("The image"):
            dataset, value = parse("The image", BytesIO(source))
        return _source("The image", dataset, value is not None, frame)
    path, named = split_frame(source)
    with open_file(path) as opened:
        if file_format(opened) != "DICOM":
            raise InputError(
                f"{path} is no DICOM file, and DICOM objects can only be made for one; give the "
                "DICOM file that it was made from, or leave --dicom-out away."
            )
        with one_sentence(str(path)):
            dataset, value = parse(str(path), opened)
    return _source(str(path), dataset, value is not None, named if frame is None else frame)


def point_at(made: Dataset, source: Source) -> None:
    """Make an image that was derived from a stand-in refer to the source's class and frame.

    Args:
        made: A derived object; changed in place.
        source: Where it came from.
    """
    header = source.header
    derived = made.get("PerFrameFunctionalGroupsSequence") or ()
    for frame in derived:
        for derivation in frame.get("DerivationImageSequence") or ():
            for item in derivation.SourceImageSequence:
                item.ReferencedSOPClassUID = header.sop_class_uid
                if source.frames is not None:
                    item.ReferencedFrameNumber = source.frame
    made.SourceImageSequence = [source.reference()]
    for series in made.get("ReferencedSeriesSequence") or ():
        name_class(series.ReferencedInstanceSequence, source)


def name_class(references: Iterable[Dataset], source: Source) -> None:
    """Put the source's own class into references to it.

    Args:
        references: Items that refer to instances; changed in place.
        source: The image.
    """
    for item in references:
        if item.ReferencedSOPInstanceUID == source.header.sop_instance_uid:
            item.ReferencedSOPClassUID = source.header.sop_class_uid


def _source(name: str, dataset: Dataset, has_pixels: bool, frame: int | None) -> Source:
    with one_sentence(name):
        count = read_size(name, dataset)[2]
        if not has_pixels:
            raise InputError(
                f"{name} has no Pixel Data (7FE0,0010), so that there is nothing to explain; "
                "export it again with its pixels."
            )
        if str(dataset.get("Manufacturer") or "") == MANUFACTURER:
            raise InputError(
                f"{name} was itself written by softcam; give the image that it was made from."
            )
        index = choose_frame(name, frame, count)
        header = read_header(name, dataset, index)
        for keyword, tag in _IDENTIFIERS.items():
            value = str(dataset.get(keyword) or "").strip(" \0")
            if not value or len(value) > 64 or not set(value) <= set("0123456789."):
                what = f"a {keyword} {tag} that is no UID" if value else f"no {keyword} {tag}"
                raise InputError(
                    f"{name} has {what}, by which DICOM objects are filed with their image; "
                    "export it again with its identifiers, or leave --dicom-out away."
                )
        bare = Dataset()
        for element in dataset:
            if element.tag.group < 0x6000 and not element.tag.is_private:
                bare.add(element)
        bare.decode()
        return Source(name, bare, header, index + 1)


def _is_valid(vr: str, value: object) -> bool:
    """Whether a value may be written; old and careless devices write what the standard forbids."""
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    try:
        for one in values:
            validate_value(vr, one, config.RAISE)
    except (ValueError, TypeError):
        return False
    return True


def _decimals(values: Iterable[float]) -> list[DSfloat]:
    """Write numbers with as many digits as a decimal string holds."""
    return [DSfloat(value, auto_format=True) for value in values]


def stem_of(source: DicomSource, frame: int) -> str:
    """Give the beginning of the name of a source's results: its file's name and its frame.

    Args:
        source: As `open_source` takes it.
        frame: The frame, counted from 1.
    """
    if isinstance(source, (Dataset, bytes)):
        return f"image-{frame}"
    path, _ = split_frame(source)
    return Path(path).stem if frame == 1 else f"{Path(path).stem}-{frame}"
