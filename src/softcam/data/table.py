"""Read a data set: a `table.csv`, a folder with one, or class folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from softcam.data.annotationfiles import read_annotations
from softcam.data.dicompatients import patients_of
from softcam.data.folder import SPLITS, scan_folder
from softcam.data.frames import split_frame
from softcam.data.imagefolder import SUFFIXES, ImageFolder
from softcam.data.labels import read_flag
from softcam.data.meaning import Meaning, settle
from softcam.data.problems import Problems
from softcam.data.records import Record, Table
from softcam.data.rows import RawRow, RawTable, read_rows
from softcam.data.spec import DatasetSpec, PartialSpec, merge_specs, read_spec
from softcam.data.split import split_by_patient, straddling, straddling_note
from softcam.data.wording import listed, quoted
from softcam.errors import InputError
from softcam.evidence.info import Task

_VAL_OF_TRAIN = 0.125  # leaves train : val at 7 : 1, as where all splits are made here


def read_table(
    path: Path | str,
    *,
    images: Path | str | None = None,
    spec: Path | str | DatasetSpec | None = None,
    seed: int = 0,
    require_labels: bool = True,
    make_splits: bool = True,
) -> Table:
    """Read a table of images with what is known about them, and check it.

    Images are checked to be there and not empty; they are not decoded.

    Args:
        path: A CSV file with the columns `image`, `label` and, if there are any, `split` and
            `patient` (without any, the Patient IDs of DICOM headers are taken); or a folder with
            a `table.csv`; or a folder of class folders (`train/NORMAL/*.jpeg` or
            `NORMAL/*.jpeg`). Annotations (`boxes.csv`, `masks/` and others, see
            `softcam.data.annotationfiles`) and `dataset.yaml` lie beside the table.
        images: The image folder; else what `dataset.yaml` says, else `images/` beside the table if
            it exists, else the table's folder.
        spec: A `dataset.yaml` that lies elsewhere, or the spec of a model whose classes the
            labels shall be read as.
        seed: Decides the splits where the table gives none.
        require_labels: If not, a table with only the column `image` will do, missing labels are
            None, and no splits are made.
        make_splits: Whether to share patients out to train, val and test where the table gives no
            splits, and to take val out of train where it gives none.

    Returns:
        The table; its notes say what was assumed.

    Raises:
        InputError: Something is missing, unknown or contradictory; names the file and the rows.
    """
    path = Path(path)
    source, home = _find(path)
    partial = _read_partial(spec, home)
    if source is None:
        raw = scan_folder(path, require_labels=require_labels)
        if images is not None:
            raise InputError(f"{path} has no table.csv; an image folder goes with a table only.")
        folder = ImageFolder(path)
    else:
        raw = read_rows(source, partial, require_labels=require_labels)
        folder = ImageFolder(_image_folder(home, partial, images))
    meaning = settle(raw, partial, require_labels=require_labels)
    records = _read_records(raw, folder, meaning, require_labels=require_labels)
    records, patient_notes = _name_patients(raw, records)
    notes = [*raw.notes, *meaning.notes, *patient_notes]
    if require_labels and make_splits:
        records, split_notes = _make_splits(records, seed)
        notes += split_notes
    notes += _straddling(records)
    if require_labels:
        _check_train(raw.path, records, meaning)
    annotations, found = read_annotations(home, folder, records)
    dataset, finding_notes = meaning.with_findings(annotations.findings if annotations else ())
    notes += [*found, *finding_notes]
    return Table(raw.path, tuple(records), dataset, annotations, tuple(notes))


def _find(path: Path) -> tuple[Path | None, Path]:
    """The table (None for class folders) and the folder that holds what goes with it."""
    if path.is_dir():
        table = path / "table.csv"
        return (table if table.is_file() else None), path
    if not path.exists():
        raise InputError(f"{path} does not exist; give a table.csv or a folder of images.")
    if path.suffix.lower() in SUFFIXES:
        raise InputError(
            f"{path} is an image, not a table; give a table.csv or the folder of images. `softcam "
            "explain` takes single images."
        )
    return path, path.parent


def _read_partial(spec: Path | str | DatasetSpec | None, home: Path) -> PartialSpec:
    beside = home / "dataset.yaml"
    if isinstance(spec, DatasetSpec):
        return merge_specs(spec, read_spec(beside) if beside.is_file() else PartialSpec())
    if spec is not None:
        return read_spec(spec)
    return read_spec(beside) if beside.is_file() else PartialSpec()


def _image_folder(home: Path, partial: PartialSpec, images: Path | str | None) -> Path:
    if images is not None:
        folder, who = Path(images), "the image folder"
    elif partial.images is not None:
        folder, who = home / partial.images, f"the image folder that {partial.source} names"
    else:
        folder, who = home / "images", "the image folder"
        folder = folder if folder.is_dir() else home
    if not os.path.isdir(folder):  # noqa: PTH112  (Path's raises where a name is too long)
        raise InputError(f"{folder}, {who}, is no folder; correct it.")
    return folder


def _read_records(
    raw: RawTable, folder: ImageFolder, meaning: Meaning, *, require_labels: bool
) -> list[Record]:
    """Turn rows into records, or raise one error that lists all bad rows."""
    problems = Problems(str(raw.path))
    split_given = any(row.split for row in raw.rows)
    records: list[Record] = []
    seen: dict[str, RawRow] = {}
    for row in raw.rows:
        split = _read_split(row, problems, given=split_given)
        label = _read_label(row, meaning, problems, required=require_labels)
        try:
            name, path, real = folder.find(row.image)
        except InputError as error:
            problems.add(row.where, str(error))
            continue
        # Two names of one file, such as a link and its target, are one image.
        if real in seen:
            first = seen[real]
            other = SPLITS.get(first.split.lower())
            image = quoted(row.image)
            if split == other:
                text = f"the image {image} is already in {first.where}; keep one of the two"
            else:
                text = (
                    f"the image {image} is in the split {split!r} and, in {first.where}, in "
                    f"the split {other!r}; keep it in one"
                )
            problems.add(row.where, text)
        seen.setdefault(real, row)
        records.append(Record(path, name, label, split, row.patient or name, row.row))
    problems.raise_any()
    return records


def _read_split(row: RawRow, problems: Problems, *, given: bool) -> str | None:
    split = SPLITS.get(row.split.lower())
    if given and not row.split:
        problems.add(row.where, "the split is empty while other rows have one; fill it in")
    elif given and split is None:
        problems.add(row.where, f"the split {quoted(row.split)} is unknown; use train, val or test")
    return split


def _read_label(
    row: RawRow, meaning: Meaning, problems: Problems, *, required: bool
) -> int | tuple[float, ...] | None:
    if meaning.task is Task.MULTILABEL:
        if not row.flags:
            return None
        flags = []
        for name, cell in zip(meaning.classes.names, row.flags, strict=True):
            flag = read_flag(cell)
            if flag is None:
                problems.add(
                    row.where,
                    f"the column {quoted(name)} holds {quoted(cell)}; use 0, 1 or, for unknown, "
                    "an empty cell",
                )
            else:
                flags.append(flag)
        return tuple(flags)
    if row.label is None:
        return None
    index = meaning.classes.index(row.label)
    if index is None and (required or not meaning.classes.is_missing(row.label)):
        problems.add(row.where, meaning.classes.problem(row.label))
    return index


def _name_patients(raw: RawTable, records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Take patients from DICOM headers where the table names none at all.

    Where it names some, the headers' may be other names for the same people.
    """
    without = sum(not row.patient for row in raw.rows)
    if not without:
        return list(records), []
    if without < len(records):
        note = f"{without} image(s) have no patient: each counts as a patient of its own"
        return list(records), [note]
    found = patients_of(record.image for record in records)
    if not found.notes:
        return list(records), ["no patients are given: every image counts as a patient of its own"]
    pairs = zip(records, found.patients, strict=True)
    return [replace(record, patient=name or _file(record)) for record, name in pairs], found.notes


def _file(record: Record) -> str:
    """The name of the file, which all its frames share, as they share the patient."""
    framed = split_frame(record.image)[1] is not None
    return record.name.rpartition("#")[0] if framed else record.name


def _make_splits(records: list[Record], seed: int) -> tuple[list[Record], list[str]]:
    """Share out by patient what the table leaves open."""
    if all(record.split is None for record in records):
        splits = split_by_patient(records, seed=seed)
        made = [replace(r, split=split) for r, split in zip(records, splits, strict=True)]
        counts = Counter(splits)
        shown = ", ".join(f"{name} {counts[name]}" for name in ("train", "val", "test"))
        return made, [f"no splits are given: made by patient with seed {seed} ({shown})"]
    train = [record for record in records if record.split == "train"]
    if not train or any(record.split == "val" for record in records):
        return records, []
    fractions = {"train": 1 - _VAL_OF_TRAIN, "val": _VAL_OF_TRAIN}
    splits = split_by_patient(train, fractions, seed=seed)
    by_name = {record.name: split for record, split in zip(train, splits, strict=True)}
    made = [replace(r, split=by_name.get(r.name, r.split)) for r in records]
    count = splits.count("val")
    note = f"no validation split is given: {count} image(s) of train moved to val by patient"
    return made, [f"{note}, with seed {seed}"]


def _straddling(records: Sequence[Record]) -> list[str]:
    count = len(straddling(records))
    if not count:
        return []
    return [straddling_note(count)]


def _check_train(path: Path, records: Sequence[Record], meaning: Meaning) -> None:
    """Raise an InputError when training could not learn one of the classes."""
    train = [record.label for record in records if record.split == "train"]
    if not train:
        return
    present: set[int] = set()
    for label in train:
        if isinstance(label, tuple):
            present.update(i for i, flag in enumerate(label) if flag == 1)
        elif label is not None:
            present.add(label)
    absent = [name for i, name in enumerate(meaning.classes.names) if i not in present]
    if absent:
        raise InputError(
            f"{path}: the train split has no image of the class "
            f"{listed([repr(name) for name in absent])}; move some there, or remove the class."
        )
