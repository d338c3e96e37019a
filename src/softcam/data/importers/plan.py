"""What an import is going to do: the images to take, and what is left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from softcam.data.annotations import Annotations, Box


@dataclass(frozen=True, slots=True)
class Item:
    """One image to import.

    Attributes:
        source: The file, relative to the download, with forward slashes.
        name: The image's name in the data set to write, without a suffix.
        label: The label as the table shall have it; empty for a multi-label one.
        patient: Whom the image shows; empty when unknown.
        split: train, val, test, or empty when the download has none.
        flags: The cells of a multi-label table's class columns.
        boxes: Annotated findings in the pixels of the source, as displayed.
    """

    source: str
    name: str
    label: str
    patient: str = ""
    split: str = ""
    flags: tuple[str, ...] = ()
    boxes: tuple[tuple[str, Box], ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the download that is not imported.

    Attributes:
        what: The file or row.
        reason: Why, in words that many of them share.
        detail: What is special about this one.
        problem: Whether something is wrong with the download, rather than not asked for.
    """

    what: str
    reason: str
    detail: str = ""
    problem: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """How an image is brought to size, keeping its aspect and never enlarging it.

    Attributes:
        rule: "longer" or "shorter": that side becomes `size` where it is larger; "retina": the
            circle of a fundus photograph, cropped tightly to a square of `size`.
        size: In pixels; None leaves the size as it is.
    """

    rule: Literal["longer", "shorter", "retina"] = "longer"
    size: int | None = None


@dataclass
class Plan:
    """An import before it is carried out.

    Attributes:
        items: The images, in the order of the table.
        left_out: What is not imported.
        meaning: The content of `dataset.yaml`.
        labels: Label in the table to class name, for the counts of the card.
        columns: The class columns of a multi-label table.
        notes: What was assumed, one sentence each.
        annotations: Polygons and masks by the items' sources, in the pixels of those, as displayed.
        split_cells: Column of a published split table to the cell it must have for each label.
    """

    items: list[Item]
    left_out: list[LeftOut] = field(default_factory=list)
    meaning: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    annotations: Annotations = field(default_factory=Annotations)
    split_cells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Importer:
    """A data set that can be imported.

    Attributes:
        name: Its name on the command line.
        title: Its name in full.
        source: Where it comes from, and who asks to be cited.
        tasks: What its labels can be taken for; the first is the default.
        shape: How its images are brought to size.
        plan: From the download's folder (or table) and a task to a plan.
    """

    name: str
    title: str
    source: str
    tasks: tuple[str, ...]
    shape: Shape
    plan: Callable[[Path, str], Plan]
