"""Write phantoms as a data set on disk: images, table, boxes, masks and dataset.yaml."""

from __future__ import annotations

import csv
import io
import math
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from scipy import ndimage

from softcam.data.phantom.draw import PhantomSet, draw_batches
from softcam.data.phantom.scene import CLASSES, POSITIVE
from softcam.errors import InputError
from softcam.files import write_atomically

SPLITS = ("train", "val", "test")

#: How many of the patients have two images, two visits.
_PAIRED = 0.3


def write(
    folder: Path | str,
    modality: str,
    n: int,
    *,
    size: int = 128,
    prevalence: float = 0.5,
    difficulty: float = 0.5,
    lesions: tuple[int, int] | None = None,
    seed: int = 0,
    splits: tuple[float, float, float] = (0.6, 0.15, 0.25),
) -> Path:
    """Draw n phantoms and write them as a data set that `read_table` reads.

    Written are `images/*.png`, `masks/<finding>/<image>` (8-bit, 0 and 255, only where there is
    any), `boxes.csv` (the tight boxes of the masks' connected components, in file pixels),
    `dataset.yaml`, and last `table.csv` (image, label, split, patient). Some patients have two
    images; no patient is in two splits. All is written to a hidden folder beside the target,
    which takes the target's name only once whole.

    Args:
        folder: where to; it must not exist or be empty.
        modality: "fundus", "oct" or "chest".
        n: how many images, at least 1.
        size: height and width in pixels, at least 32.
        prevalence: the probability that an image is diseased, 0 to 1.
        difficulty: from 0 (large, strong lesions and little noise) to 1.
        lesions: the least and greatest number of lesions in a diseased image.
        seed: a whole number, at least 0.
        splits: the shares of the images in train, val and test; their sum is 1.

    Returns:
        The folder.

    Raises:
        InputError: an argument cannot be used, or the folder holds something already.
    """
    folder = Path(folder)
    shares = _check_splits(splits)
    batches = draw_batches(
        modality,
        n,
        size=size,
        prevalence=prevalence,
        difficulty=difficulty,
        lesions=lesions,
        seed=seed,
    )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; name another folder.")
    partial = folder.parent / f".{folder.name}.partial-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        _write_all(partial, batches, n, shares, seed)
        if folder.exists():
            folder.rmdir()  # empty, as checked above
        partial.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror or error}); choose a place that is "
            "writable and has room."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # gone already when all went well
    return folder


def _check_splits(splits: Sequence[float]) -> npt.NDArray[np.float64]:
    try:
        shares = np.array(splits, np.float64)
    except (TypeError, ValueError):
        shares = np.empty(0)
    usable = shares.shape == (len(SPLITS),) and bool((shares >= 0).all())
    if not usable or not math.isclose(float(shares.sum()), 1, abs_tol=1e-6):
        raise InputError(
            f"splits is {splits!r}; give the shares of train, val and test, which sum to 1."
        )
    return shares


def _write_all(
    folder: Path, batches: Iterable[PhantomSet], n: int, shares: npt.NDArray[np.float64], seed: int
) -> None:
    digits = max(4, len(str(n)))
    names = [f"{number:0{digits}d}.png" for number in range(1, n + 1)]
    (folder / "images").mkdir()
    labels: list[int] = []
    boxes: list[tuple[str | int, ...]] = []
    findings: dict[str, str] = {}
    for batch in batches:
        findings = dict(batch.findings)
        for k in range(len(batch)):
            name = names[len(labels)]
            labels.append(int(batch.labels[k]))
            Image.fromarray(batch.images[k]).save(folder / "images" / name)
            for finding, masks in batch.masks.items():
                if masks[k].any():
                    place = folder / "masks" / finding
                    place.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(masks[k].astype(np.uint8) * 255).save(place / name)
                    boxes += [(name, *box, finding) for box in _boxes(masks[k])]
    _write_csv(folder / "boxes.csv", ("image", "x", "y", "width", "height", "finding"), boxes)
    meaning = {
        "task": "binary",
        "classes": list(CLASSES),
        "positive": POSITIVE,
        "findings": findings,
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(meaning, sort_keys=False), encoding="utf-8")
    patients = _patients(n, seed)
    split = _split(patients, np.array(labels), shares, seed)
    width = max(4, len(str(n)))
    rows = [
        (name, label, SPLITS[part], f"p{patient:0{width}d}")
        for name, label, part, patient in zip(names, labels, split, patients, strict=True)
    ]
    # last: a folder without its table is no data set
    _write_csv(folder / "table.csv", ("image", "label", "split", "patient"), rows)


def _boxes(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """The tight boxes (x, y, width, height) of the components that touch by side or corner."""
    components, _ = ndimage.label(mask, np.ones((3, 3)))
    return [
        (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        for rows, columns in ndimage.find_objects(components)
    ]


def _patients(n: int, seed: int) -> npt.NDArray[np.int64]:
    """The number of each image's patient, from 1: some patients have two images in a row."""
    generator = np.random.default_rng((seed, 1))
    # the second image of a pair starts no new patient, and none has a third
    again = generator.random(n) < _PAIRED
    number, patients, pair = 0, np.empty(n, np.int64), True
    for image in range(n):
        pair = bool(again[image]) and not pair
        number += not pair
        patients[image] = number
    return patients


def _split(
    patients: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
    seed: int,
) -> npt.NDArray[np.intp]:
    """The split of each image: by patient, in shares of images, among ill and healthy alike."""
    generator = np.random.default_rng((seed, 2))
    numbers, first, images = np.unique(patients, return_inverse=True, return_counts=True)
    ill = np.bincount(first, weights=labels) > 0
    part = np.zeros(len(numbers), np.intp)
    limits = np.cumsum(shares)[:-1]
    for group in (ill, ~ill):
        members = generator.permutation(np.flatnonzero(group))
        sizes = images[members]
        # a patient belongs where the middle of its images falls
        middle = (np.cumsum(sizes) - sizes / 2) / max(1, sizes.sum())
        part[members] = np.searchsorted(limits, middle, side="right")
    return np.asarray(part[first])


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
