"""Find the annotations beside a table, in whichever formats, and read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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

BOXES = "boxes.csv"

Reader = Callable[[Images, Found], None]

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
    readers = annotation_readers(home)
    if not readers:
        return None, ()
    images, found = Images(folder, records), Found()
    for _, read in readers:
        read(images, found)
    return found.annotations(), tuple(found.notes)


def annotation_readers(home: Path, masks: Path | None = None) -> list[tuple[str, Reader]]:
    """List the annotations beside a table, each with what reads it.

    A reader that raises adds nothing.

    Args:
        home: The table's folder.
        masks: A folder laid out as `masks/` that lies elsewhere, and is read instead of that.

    Returns:
        For each file or folder its name and its reader.
    """
    masks = home / "masks" if masks is None else masks
    readers: list[tuple[str, Reader]] = []
    if (home / BOXES).is_file():
        readers.append((BOXES, partial(read_boxes, home / BOXES)))
    readers += [(p.name, partial(rsna.read_rsna, p)) for p in sorted(home.glob(rsna.PATTERN))]
    if (home / "labels").is_dir():
        readers.append(("labels/", partial(read_yolo, home / "labels")))
    if (home / "annotations.json").is_file():
        readers.append(("annotations.json", partial(coco.read_coco, home / "annotations.json")))
    if masks.is_dir():
        readers.append((f"{masks.name}/", partial(find_masks, masks)))
    for folder, others in ((masks, (".png",)), (home / "segmentations", ())):
        if folder.is_dir():
            readers.append((f"{folder.name}/", partial(_read_dicom, folder, others)))
    return readers


def _read_dicom(folder: Path, others: tuple[str, ...], images: Images, found: Found) -> None:
    """Read the DICOM segmentations of a folder, where other suffixes may be expected too."""
    chosen = _dicom_files(folder, others, found)
    if chosen:
        from softcam.data.annotationsources.segmentation import read_segmentations  # an extra

        read_segmentations(chosen, folder, images, found)


def _dicom_files(folder: Path, others: tuple[str, ...], found: Found) -> list[Path]:
    """The DICOM files of a folder; files that are neither these nor expected are counted."""
    chosen, unused = [], 0
    for path in files_in(folder):
        if path.suffix.lower() in _DICOM or (path.suffix == "" and _is_dicom(path)):
            chosen.append(path)
        elif path.suffix.lower() not in others:
            unused += 1
    if unused:
        what = "no PNG and no DICOM file" if others else "no DICOM file"
        found.notes.append(f"{unused} file(s) in {folder} are {what} and not used")
    return chosen


def _is_dicom(path: Path) -> bool:
    with open_file(path) as stream:
        return file_format(stream) == "DICOM"
