"""DICOM images of several kinds, with all that their patient and study modules ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as Items

from tests.data import dicoms

SIZE = (48, 64)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, -0.8)
"""Directions of rows and columns, exact in three decimals."""


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def picture(size: tuple[int, int] = SIZE, *, seed: int = 0, top: int = 200) -> np.ndarray:
    """A grey picture whose brightness grows to a bright spot at a random place."""
    rows, columns = size
    y, x = np.mgrid[:rows, :columns]
    generator = np.random.default_rng(seed)
    y0, x0 = generator.uniform(0.2, 0.8, 2) * (rows, columns)
    distance = ((y - y0) / rows) ** 2 + ((x - x0) / columns) ** 2
    return (top * np.exp(-12 * distance) + generator.integers(0, 20, size)).astype(np.uint8)


def base(array: np.ndarray, kind: str, modality: str, **elements: Any) -> FileDataset:
    frames = elements.pop("frames", 1)
    made = dicoms.dataset(array, elements.pop("photometric", "MONOCHROME2"), frames=frames)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.1.1"
    made.StudyInstanceUID = "1.2.826.0.1.3680043.8.1.2"
    made.SeriesInstanceUID = "1.2.826.0.1.3680043.8.1.3"
    made.SpecificCharacterSet = "ISO_IR 100"
    made.Modality = modality
    made.PatientID = "p01"
    made.PatientName = "Müller^Jürgen"
    made.PatientBirthDate, made.PatientSex = "19500102", "M"
    made.StudyDate, made.StudyTime, made.StudyID = "20240305", "101500", "17"
    made.AccessionNumber, made.ReferringPhysicianName = "A-4711", "Arzt^Anna"
    made.StudyDescription = "Prüfung"
    made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "Acme", 1, 1
    made.ImageType = ["ORIGINAL", "PRIMARY"]
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def radiograph(**elements: Any) -> FileDataset:
    """A digital radiograph whose spacing holds at the detector."""
    given = {"PatientOrientation": ["L", "F"], "ImagerPixelSpacing": [0.2, 0.2], **elements}
    return base(picture(), uid.DigitalXRayImageStorageForPresentation, "DX", **given)


def computed_radiograph() -> FileDataset:
    """An older one: 12 bits, MONOCHROME1, neither window nor orientation."""
    array = (picture(seed=1).astype(np.uint16) * 16).astype(np.uint16)
    made = base(array, uid.ComputedRadiographyImageStorage, "CR", photometric="MONOCHROME1")
    made.BitsStored, made.HighBit = 12, 11
    return made


def slice_(**elements: Any) -> FileDataset:
    """An oblique CT slice with pixels twice as high as wide."""
    place = {
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.1.9",
        "ImagePositionPatient": [-31.5, 12.25, 804.0],
        "ImageOrientationPatient": list(OBLIQUE),
        "PixelSpacing": [1.4, 0.7],
        "SliceThickness": 2.5,
    }
    array = picture(seed=2).astype(np.int16)
    made = base(array, uid.CTImageStorage, "CT", **{**place, **elements})
    made.RescaleSlope, made.RescaleIntercept = 1, -100
    return made


def ultrasound() -> FileDataset:
    """Three frames, without a place."""
    array = np.stack([picture(seed=seed) for seed in (3, 4, 5)])
    return base(array, uid.UltrasoundMultiFrameImageStorage, "US", frames=3, FrameTime=40.0)


def fundus() -> FileDataset:
    """A photograph of the right eye, its pixels wider than high."""
    colour = np.stack([picture((40, 40), seed=6, top=top) for top in (220, 120, 60)], axis=-1)
    kind = uid.OphthalmicPhotography8BitImageStorage
    made = base(colour, kind, "OP", photometric="RGB", ImageLaterality="R")
    made.PixelAspectRatio = [3, 4]
    return made


def tomography() -> FileDataset:
    """Ophthalmic tomography: four frames, each with a place of its own."""
    array = np.stack([picture(seed=seed) for seed in (7, 8, 9, 10)])
    made = base(array, uid.OphthalmicTomographyImageStorage, "OPT", frames=4)
    made.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.1.8"
    made.PositionReferenceIndicator = ""
    shared = item(
        PixelMeasuresSequence=Items([item(PixelSpacing=[0.004, 0.011], SliceThickness=0.25)]),
        PlaneOrientationSequence=Items([item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])]),
        FrameAnatomySequence=Items([item(FrameLaterality="L")]),
    )
    made.SharedFunctionalGroupsSequence = Items([shared])
    made.PerFrameFunctionalGroupsSequence = Items(
        [
            item(PlanePositionSequence=Items([item(ImagePositionPatient=[-3.0, 0.25 * i, 1.5])]))
            for i in range(4)
        ]
    )
    return made


SOURCES = {
    "radiograph": (radiograph, None),
    "computed-radiograph": (computed_radiograph, None),
    "slice": (slice_, None),
    "ultrasound": (ultrasound, 2),
    "fundus": (fundus, None),
    "tomography": (tomography, 3),
}
"""Name to how it is made and the frame that is explained."""


def write(folder: Path, name: str) -> str:
    """Write a source; its path, with the frame where there are several."""
    make, frame = SOURCES[name]
    path = folder / f"{name}.dcm"
    path.write_bytes(dicoms.save(make()))
    return str(path) if frame is None else f"{path}#{frame}"
