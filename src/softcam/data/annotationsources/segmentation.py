"""DICOM segmentations: frames of masks, each for a segment and an image that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydicom import uid
from pydicom.dataset import Dataset

from softcam.data.annotationsources.found import Found, Regions
from softcam.data.annotationsources.images import Images
from softcam.data.annotationsources.segfile import SegLayer, open_segmentation
from softcam.data.dicom import one_sentence, read_dicom_header
from softcam.data.dicomheader import DicomHeader, macro
from softcam.data.frames import split_frame
from softcam.data.problems import Problems
from softcam.data.readers import file_format, open_file
from softcam.data.wording import quoted
from softcam.errors import InputError

SUFFIXES = (".dcm", ".dicom")

_SEGMENT = "ReferencedSegmentNumber"


def read_segmentations(files: Sequence[Path], home: Path, images: Images, found: Found) -> None:
    """Read DICOM segmentations; their pixels are read when they are asked for.

    Args:
        files: DICOM files.
        home: Folder that messages name them relative to.
        images: The images of the table.
        found: What is added to.

    Raises:
        InputError: A file is no segmentation, or does not fit its image, or marks no image.
    """
    problems = Problems(str(home))
    sources = _Sources(images)
    regions: Regions = {}
    strangers: list[tuple[str, frozenset[str]]] = []
    for path in files:
        relative = path.relative_to(home).as_posix()
        try:
            with one_sentence(str(path)):
                marked, referred = _layers(path, sources)
        except InputError as error:
            problems.add(relative, str(error).rstrip("."))
            continue
        for name, finding, layer in marked:
            regions.setdefault(name, []).append((finding, layer))
        if not marked:
            strangers.append((relative, referred))
    lost = _lost(strangers, images) if strangers else []
    for relative in lost:
        problems.add(
            relative,
            "it refers to none of the images in the image folder; add the DICOM file that it "
            "marks, or remove it",
        )
    problems.raise_any()
    found.add(regions)
    if strangers:
        found.notes.append(
            f"{len(strangers)} DICOM segmentation(s) belong to images that the table does not list"
        )


class _Sources:
    """The table's DICOM images by their identifiers."""

    def __init__(self, images: Images) -> None:
        self._by_uid: dict[str, list[tuple[str, int | None, int]]] = {}
        headers: dict[Path, DicomHeader | None] = {}
        for name in images:
            file, frame = split_frame(images.path_of(name))
            if file not in headers:
                headers[file] = _header(file)
            header = headers[file]
            if header is not None and header.sop_instance_uid:
                entry = (name, frame, header.frames)
                self._by_uid.setdefault(header.sop_instance_uid, []).append(entry)
        self._size_of = images.size_of

    def marked(self, wanted: str, frames: Sequence[int]) -> list[str]:
        """The images that a reference to an object, and to frames of it, speaks of."""
        found = []
        for name, frame, count in self._by_uid.get(wanted, ()):
            if count > 1 and not frames:
                raise InputError(
                    f"it does not say which of the {count} frames of {quoted(name)} it "
                    f"marks; export it "
                    "with Referenced Frame Number"
                )
            if not frames or (frame or 1) in frames:
                found.append(name)
        return found

    def check_size(self, name: str, size: tuple[int, int]) -> None:
        """Refuse a mask of another (height, width) than its image's."""
        image = self._size_of(name)
        if size != image:
            raise InputError(
                f"its masks have {size[1]} x {size[0]} px and the image {quoted(name)} "
                f"{image[1]} x "
                f"{image[0]}; export it on the image's own grid"
            )


def _layers(
    path: Path, sources: _Sources
) -> tuple[list[tuple[str, str, SegLayer]], frozenset[str]]:
    """(image, finding, layer) for what a file marks, and all objects that it refers to."""
    file, header = open_segmentation(path)
    labels = _labels(header)
    frames: dict[tuple[str, str], list[int]] = {}
    shared = list(_objects_of_file(header))
    referred = {object_uid for object_uid, _ in shared}
    for index in range(file.frames):
        segment = macro(header, index, "SegmentIdentificationSequence").get(_SEGMENT)
        if segment not in labels:
            raise InputError(f"its frame {index + 1} belongs to no segment that it describes")
        own = list(_objects_of_frame(header, index))
        referred.update(object_uid for object_uid, _ in own)
        names = [name for target in own for name in sources.marked(*target)]
        if not own:
            names = [name for target in shared for name in sources.marked(*target)]
            if names and len(shared) > 1:
                raise InputError(
                    f"it does not say which of {len(shared)} images its frame {index + 1} marks; "
                    "export it with a Derivation Image Sequence for each frame"
                )
        for name in dict.fromkeys(names):
            frames.setdefault((name, labels[segment]), []).append(index)
    for name, _ in frames:
        sources.check_size(name, file.size)
    layers = [
        (name, finding, SegLayer(file, tuple(indices)))
        for (name, finding), indices in frames.items()
    ]
    return layers, frozenset(referred)


def _labels(header: Dataset) -> dict[int, str]:
    """Segment number to the finding that it marks."""
    labels = {}
    for item in header.get("SegmentSequence") or ():
        label = str(item.get("SegmentLabel") or "").strip()
        kind = item.get("SegmentedPropertyTypeCodeSequence") or ()
        if not label and kind:
            label = str(kind[0].get("CodeMeaning") or "").strip()
        number = item.get("SegmentNumber")
        if not label:
            raise InputError(f"its segment {number} has no label; give it a Segment Label")
        labels[number] = label
    return labels


def _objects_of_frame(header: Dataset, index: int) -> Iterator[tuple[str, list[int]]]:
    """The objects that a frame was derived from, each with the numbers of its frames."""
    for groups, place in (
        ("PerFrameFunctionalGroupsSequence", index),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = header.get(groups) or ()
        derivations = items[place].get("DerivationImageSequence") if place < len(items) else None
        for derivation in derivations or ():
            yield from _references(derivation.get("SourceImageSequence"))
        if derivations:
            return


def _objects_of_file(header: Dataset) -> Iterator[tuple[str, list[int]]]:
    """The objects that a whole segmentation refers to."""
    series = header.get("ReferencedSeriesSequence") or ()
    for item in series:
        yield from _references(item.get("ReferencedInstanceSequence"))
    if not series:
        yield from _references(header.get("SourceImageSequence"))


def _references(items: Iterable[Dataset] | None) -> Iterator[tuple[str, list[int]]]:
    for item in items or ():
        numbers = item.get("ReferencedFrameNumber")
        if numbers is None:
            numbers = []
        several = numbers if hasattr(numbers, "__len__") else [numbers]
        yield str(item.get("ReferencedSOPInstanceUID", "")), [int(number) for number in several]


def _header(path: Path) -> DicomHeader | None:
    """What a file says about itself; None if it is no DICOM file."""
    with open_file(path) as stream:
        if file_format(stream) != "DICOM":
            return None
        return read_dicom_header(stream, name=str(path))


def _lost(strangers: list[tuple[str, frozenset[str]]], images: Images) -> list[str]:
    """The segmentations that mark no image of the table, and no other of the image folder."""
    wanted = frozenset[str]().union(*(referred for _, referred in strangers))
    there = set()
    for path in sorted(images.folder.root.rglob("*")):
        if not path.is_file() or path.suffix.lower() not in SUFFIXES:
            continue
        try:
            header = _header(path)
        except InputError:
            continue  # no image of the table, so whether it can be read does not matter
        if header is not None and header.sop_class_uid != uid.SegmentationStorage:
            there.add(header.sop_instance_uid)
    there &= wanted
    return [relative for relative, referred in strangers if not referred & there]
