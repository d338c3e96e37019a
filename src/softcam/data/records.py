"""What a table becomes: one record per image, and the table that holds them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError

if TYPE_CHECKING:
    from softcam.data.annotations import Annotations
    from softcam.data.spec import DatasetSpec


class _Location:
    """`Record.image`: a Path made when it is asked for, since one takes more memory than the rest.

    The part of the path in front of the record's name is kept once for all records that share it.
    """

    def __get__(self, record: Record | None, owner: type[Record]) -> Path:
        if record is None:  # how a dataclass asks for a default, which there is not
            raise AttributeError
        kept: str = record._path  # type: ignore[attr-defined]
        return Path(kept + record.name if kept.endswith("/") else kept)

    def __set__(self, record: Record, value: Path | str) -> None:
        object.__setattr__(record, "_path", os.fspath(value))


@dataclass(frozen=True)
class Record:
    """One image of a table.

    Attributes:
        image: Where the file lies.
        name: The image relative to the image folder, with forward slashes; unique in a table.
        label: Class index; for multi-label one 0.0, 1.0 or nan (unknown) per class; None when the
            table was read without labels.
        split: "train", "val", "test", or None when the table has no splits.
        patient: Whom the image shows; the image's own name when the table does not say.
        row: Line of the file on which the row starts (the header is 1); in a class-folder layout
            the image's number.
    """

    __slots__ = ("_path", "label", "name", "patient", "row", "split")

    image: Path
    name: str
    label: int | tuple[float, ...] | None
    split: str | None
    patient: str
    row: int

    if not TYPE_CHECKING:
        image: Path = _Location()

    def __post_init__(self) -> None:
        path: str = self._path  # type: ignore[attr-defined]
        front = path.removesuffix(self.name)
        if front != path and front.endswith("/"):
            object.__setattr__(self, "_path", sys.intern(front))

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.image, self.name, self.label, self.split, self.patient, self.row)
        return Record, values


@dataclass(frozen=True)
class Table:
    """The images of a data set with what is known about them.

    Attributes:
        path: The table, or the folder of a class-folder layout.
        records: One per image, in the order of the file.
        spec: Task, classes, positive class and meaning of the findings.
        annotations: Boxes, polygons and masks; None when there are none.
        notes: What was assumed, changed or left out, one sentence each.
    """

    path: Path
    records: tuple[Record, ...]
    spec: DatasetSpec
    annotations: Annotations | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def splits(self) -> dict[str, int]:
        """Count the images of every split that the table has, in the order train, val, test."""
        counts = dict.fromkeys(("train", "val", "test"), 0)
        for record in self.records:
            if record.split is not None:
                counts[record.split] += 1
        return {name: count for name, count in counts.items() if count}

    def subset(self, split: str) -> Table:
        """Keep the images of one split.

        Args:
            split: "train", "val" or "test".

        Returns:
            A table with the same spec and annotations.

        Raises:
            InputError: No image is in that split.
        """
        chosen = tuple(record for record in self.records if record.split == split)
        if not chosen:
            there = ", ".join(f"{name} ({count})" for name, count in self.splits().items())
            raise InputError(
                f"{self.path} has no image in the split {split!r}; "
                + (f"its splits are {there}." if there else "it has no splits.")
            )
        return replace(self, records=chosen)

    def labels(self) -> npt.NDArray[Any]:
        """Give the labels as one array.

        Returns:
            Class indices of shape (N,), int64; for multi-label (N, C), float64, nan where unknown.

        Raises:
            InputError: An image has no label.
        """
        labels: list[int | tuple[float, ...]] = []
        for record in self.records:
            if record.label is None:
                raise InputError(
                    f"{self.path}, row {record.row}: the image {record.name!r} has no label; "
                    "give every image one."
                )
            labels.append(record.label)
        if any(isinstance(label, tuple) for label in labels):
            return np.asarray(labels, dtype=np.float64)
        return np.asarray(labels, dtype=np.int64)

    def patients(self) -> list[str]:
        """Give the patient of every image, in order."""
        return [record.patient for record in self.records]
