"""Find the annotations beside a table, in whichever formats, and read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from softcam.data.annotations import Annotations
from softcam.data.annotationsources import coco, rsna
from softcam.data.annotationsources.boxescsv import read_boxes
from softcam.data.annotationsources.found import Found
from softcam.data.annotationsources.images import Images, files_in
from softcam.data.annotationsources.maskfolder import find_masks
from softcam.data.annotationsources.yolo import read_yolo
from softcam.data.imagefolder import ImageFolder
from softcam.data.readers import file_format, open_file
from softcam.data.records import Record

_DICOM = (".dcm", ".dicom")


def read_annotations(
    home: Path, folder: ImageFolder, records: Sequence[Record]
) -> tuple[Annotations | None, tuple[str, ...]]:
    """Read the annotations that lie beside a table.

    Args:
        home: The folder with `boxes.csv`, `masks/`, `annotations.json` (COCO), `labels/` (YOLO),
            `stage_2_train_labels.csv` (RSNA) and `segmentations/` (DICOM); any of them, or several.
        folder: The image folder.
        records: The images of the table.

    Returns:
        The annotations (None when there are none), and notes on what was left out.

    Raises:
        InputError: An annotation does not fit its image, or belongs to no image.
        MissingExtraError: There are DICOM segmentations, and pydicom is missing.
    """
    images, found = Images(folder, records), Found()
    if (home / "boxes.csv").is_file():
        read_boxes(home / "boxes.csv", images, found)
    for path in sorted(home.glob(rsna.PATTERN)):
        rsna.read_rsna(path, images, found)
    if (home / "labels").is_dir():
        read_yolo(home / "labels", images, found)
    if (home / "annotations.json").is_file():
        coco.read_coco(home / "annotations.json", images, found)
    if (home / "masks").is_dir():
        find_masks(home / "masks", images, found)
    places = (home / "masks", home / "segmentations")
    segmentations = [path for place in places for path in _dicom_files(place, found)]
    if segmentations:
        from softcam.data.annotationsources.segmentation import read_segmentations  # an extra

        read_segmentations(segmentations, home, images, found)
    return found.annotations(), tuple(found.notes)


def _dicom_files(folder: Path, found: Found) -> list[Path]:
    """The DICOM files of a folder; the others are counted."""
    if not folder.is_dir():
        return []
    chosen, others = [], 0
    for path in files_in(folder):
        if path.suffix.lower() in _DICOM or (path.suffix == "" and _is_dicom(path)):
            chosen.append(path)
        elif path.suffix.lower() != ".png" or folder.name != "masks":
            others += 1
    if others:
        what = "no PNG and no DICOM file" if folder.name == "masks" else "no DICOM file"
        found.notes.append(f"{others} file(s) in {folder} are {what} and not used")
    return chosen


def _is_dicom(path: Path) -> bool:
    with open_file(path) as stream:
        return file_format(stream) == "DICOM"
