"""The three downloads in miniature, in their layouts, with drawn images that can be learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from softcam.data.phantom.draw import draw
from tests.data.importers.replicas import dicom, jpeg, put, write_csv

SIZE = 64


def kaggle_dr(root: Path, patients: int = 24) -> Path:
    """`trainLabels.csv` and photographs; both eyes of a patient are of one health."""
    count = 2 * patients
    ill = draw("fundus", count, size=SIZE, prevalence=1.0, difficulty=0.2)
    well = draw("fundus", count, size=SIZE, prevalence=0.0, difficulty=0.2)
    rows = []
    for number in range(count):
        level = (number // 2) % 5
        name = f"{number // 2 + 1}_{('left', 'right')[number % 2]}"
        image = (ill if level else well).images[number]
        put(root / "train" / f"{name}.jpeg", jpeg(image))
        rows.append((name, level))
    write_csv(root / "trainLabels.csv", ("image", "level"), rows)
    return root


def oct2017(root: Path, each: int = 5) -> Path:
    """`OCT2017/split/CLASS/CLASS-PATIENT-NUMBER.jpeg`, all ill ones drawn alike."""
    classes = ("NORMAL", "DRUSEN", "CNV", "DME")
    many = {"train": 2 * each, "val": each, "test": each}
    total = 4 * sum(many.values())
    ill = draw("oct", total, size=SIZE, prevalence=1.0, difficulty=0.2)
    well = draw("oct", total, size=SIZE, prevalence=0.0, difficulty=0.2)
    number = 0
    for split, count in many.items():
        for kind in classes:
            for _ in range(count):
                image = (well if kind == "NORMAL" else ill).images[number]
                number += 1
                name = f"{kind}-{1000 + number}-1.jpeg"
                put(root / "OCT2017" / split / kind / name, jpeg(image))
    return root


def rsna_pneumonia(root: Path, patients: int = 54) -> Path:
    """DICOM files, the table of boxes around the drawn opacities, and the table of classes."""
    kinds = ("Normal", "Lung Opacity", "No Lung Opacity / Not Normal")
    ill = draw("chest", patients, size=SIZE, prevalence=1.0, difficulty=0.2)
    well = draw("chest", patients, size=SIZE, prevalence=0.0, difficulty=0.2)
    findings = [name for name, means in ill.findings.items() if means == ill.positive]
    labels, details = [], []
    for number in range(patients):
        name, kind = f"{number:08x}-0000-4000-8000-000000000000", kinds[number % 3]
        chosen = ill if kind == "Lung Opacity" else well
        put(root / "stage_2_train_images" / f"{name}.dcm", dicom(chosen.images[number]))
        details.append((name, kind))
        if kind != "Lung Opacity":
            labels.append((name, "", "", "", "", 0))
            continue
        mask = np.any([ill.masks[finding][number] for finding in findings], axis=0)
        for rows, columns in ndimage.find_objects(ndimage.label(mask)[0]):
            box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
            labels.append((name, *map(float, box), 1))
    head = ("patientId", "x", "y", "width", "height", "Target")
    write_csv(root / "stage_2_train_labels.csv", head, labels)
    write_csv(root / "stage_2_detailed_class_info.csv", ("patientId", "class"), details)
    return root


DOWNLOADS = {"kaggle-dr": kaggle_dr, "oct2017": oct2017, "rsna-pneumonia": rsna_pneumonia}
