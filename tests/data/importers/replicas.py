"""Miniature replicas of the three downloads, with their names, columns and quirks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image


def write_csv(path: Path, head, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])
    return path


def retina(
    width: int = 120,
    height: int = 90,
    centre: tuple[float, float] = (60.0, 45.0),
    radius: float = 50.0,
    *,
    seed: int = 0,
    lesion: tuple[int, int] | None = None,
) -> np.ndarray:
    """A fundus photograph: a textured orange disc on a black that is not quite black."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + 0.5
    distance = np.hypot(x - centre[0], y - centre[1])
    image = generator.integers(0, 4, (height, width, 3)).astype(float)
    fade = (1 - 0.5 * (distance / radius) ** 2)[:, :, None]  # darker towards the rim
    inside = (np.array([200, 110, 60]) * fade + generator.normal(0, 6, image.shape)).clip(0, 255)
    image[distance <= radius] = inside[distance <= radius]
    if lesion is not None:
        image[lesion[1] - 4 : lesion[1] + 4, lesion[0] - 4 : lesion[0] + 4] = (250, 250, 120)
    return image.astype(np.uint8)


def jpeg(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def kaggle_dr(root: Path, patients: int = 15) -> Path:
    """Photographs in train/train/. Quirks: see the lines."""
    rows = []
    folder = root / "train" / "train"  # a folder inside a folder
    for number in range(patients):
        for eye, side in enumerate(("left", "right")):
            name, level = f"{10 + number}_{side}", (2 * number + eye) % 5
            radius = 50.0 if number % 2 else 38.0  # cut off above and below, or whole
            array = retina(radius=radius, seed=2 * number + eye, lesion=(60, 40) if level else None)
            put(folder / f"{name}.jpeg", jpeg(array))
            rows.append((name, level))
    (folder / "11_left.jpeg").rename(folder / "11_left.jpg")  # a wrong extension
    put(folder / "12_left.jpeg", png(retina(seed=99)))  # a PNG that is called JPEG
    (folder / "13_left.jpeg").unlink()  # a missing image
    put(folder / "14_left.jpeg", jpeg(retina())[:400])  # a download that was cut off
    put(folder / "15_left.jpeg", jpeg(np.zeros((90, 120, 3), np.uint8)))  # black all over
    put(folder / "900_left.jpeg", jpeg(retina()))  # not in the table
    put(folder / "16_right.jpeg", (folder / "16_left.jpeg").read_bytes())  # a duplicate
    rows += [("17_left", 1), ("18_left_2", 0), ("901_left", 7)]  # twice; no eye; no level
    write_csv(root / "trainLabels.csv", ("image", "level"), rows)
    put(root / "sample.txt", b"not an image")
    return root


def oct2017(root: Path) -> Path:
    """B-scans in OCT2017/: patient 3 is in train and in test, the rest is apart."""
    generator = np.random.default_rng(0)
    scans = {
        "train": {
            "NORMAL": (1, 2, 3, 4, 5),
            "DRUSEN": (11, 12, 13, 14),
            "CNV": (21,),
            "DME": (31,),
        },
        "val": {"NORMAL": (6, 7), "DRUSEN": (15, 16), "CNV": (22,), "DME": (32,)},
        "test": {"NORMAL": (3, 8, 9), "DRUSEN": (17, 18), "CNV": (23,), "DME": (33,)},
    }
    top = root / "OCT2017"  # a folder inside a folder
    for split, classes in scans.items():
        for kind, patients in classes.items():
            for patient in patients:
                width = 96 if patient % 2 else 60
                array = generator.integers(0, 60, (62, width)).astype(np.uint8)
                array[30:36] = 220 if kind == "NORMAL" else 140
                number = 2 if split == "test" else 1
                put(top / split / kind / f"{kind}-{patient}-{number}.jpeg", jpeg(array))
    train = top / "train" / "NORMAL"
    (train / "NORMAL-1-1.jpeg").rename(train / "NORMAL-1-1.png")  # a wrong extension
    put(train / "NORMAL-4-2.jpeg", b"")  # an empty file
    put(train / "DRUSEN-40-1.jpeg", (train / "NORMAL-5-1.jpeg").read_bytes())  # a wrong folder
    put(train / "scan.jpeg", (train / "NORMAL-5-1.jpeg").read_bytes())  # no number
    put(train / "Thumbs.db", b"x")
    put(root / "__MACOSX" / "._x.jpeg", b"x")
    return root


def dicom(
    array: np.ndarray, *, compressed: bool = True, kind: str = "MONOCHROME2", **tags
) -> bytes:
    """A DICOM file as RSNA's are: 8-bit grey, JPEG baseline."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["softcam"])
    meta.TransferSyntaxUID = JPEGBaseline8Bit if compressed else ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.Modality = "CR"
    data.Rows, data.Columns = array.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, kind
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = encapsulate([jpeg(array)]) if compressed else array.tobytes()
    data["PixelData"].VR = "OB"
    for tag, value in tags.items():
        setattr(data, tag, value)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rsna_pneumonia(root: Path, patients: int = 24) -> Path:
    """X-rays as DICOM. Quirks: see the lines."""
    labels, details = [], []
    generator = np.random.default_rng(0)
    folder = root / "stage_2_train_images"
    names = ("Normal", "Lung Opacity", "No Lung Opacity / Not Normal")
    for number in range(patients):
        name, kind = f"{number:08x}-0000-4000-8000-000000000000", names[number % 3]
        array = generator.integers(60, 90, (64, 64)).astype(np.uint8)
        if kind == "Lung Opacity":
            array[20:36, 10:22] = 220
            labels += [(name, "10.0", "20.0", "12.0", "16.0", 1), (name, 40.0, 20, 12.5, 16, 1)]
            details += [(name, kind)] * 2  # repeated, once for each box
        else:
            labels.append((name, "", "", "", "", 0))
            details.append((name, kind))
        put(folder / f"{name}.dcm", dicom(array, compressed=number % 6 != 0))
    one = f"{1:08x}-0000-4000-8000-000000000000"
    labels.append((one, 60, 50, 10, 10, 1))  # a box over the border
    labels.append((one, 10, 20, 12, 16, 1))  # a box twice
    labels.append(("gone", "", "", "", "", 0))  # a missing image
    details.append(("gone", "Normal"))
    labels.append(("torn", "", "", "", "", 0))  # two classes
    details += [("torn", "Normal"), ("torn", "Lung Opacity")]
    labels.append(("odd", "", "", "", "", 1))  # Target and class disagree
    details.append(("odd", "Normal"))
    put(folder / f"{3:08x}-0000-4000-8000-000000000000.dcm", b"\0" * 128 + b"DICM" + b"junk" * 9)
    put(root / "stage_2_test_images" / "unlabelled.dcm", dicom(np.zeros((8, 8), np.uint8)))
    write_csv(
        root / "stage_2_train_labels.csv",
        ("patientId", "x", "y", "width", "height", "Target"),
        labels,
    )
    write_csv(root / "stage_2_detailed_class_info.csv", ("patientId", "class"), details)
    return root
