"""Which images a benchmark explains, for which class, and what is marked in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Record, Table
from softcam.errors import InputError
from softcam.evaluation.explanations.result import Case
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.inference import batches
from softcam.workflows.localise import findings_for


@dataclass(frozen=True)
class Chosen:
    """The images to explain.

    Attributes:
        table: A table of these images alone, in the cases' order.
        cases: One per image; `annotated` says that a finding of the class is marked in it.
        classes: Class index of each case, shape (N,).
        left_out: Images of the split that the limit left out.
    """

    table: Table
    cases: tuple[Case, ...]
    classes: npt.NDArray[np.int64]
    left_out: int


@dataclass(frozen=True)
class CaseBatch:
    """Some cases as the models see them.

    Attributes:
        rows: Their numbers among all cases.
        pixels: Normalised input (B, C, H, W).
        classes: Class index of each, shape (B,).
        present: Whether the image is of the class, shape (B,).
        lesions: What is marked for the class, boolean (B, H, W) on the input grid.
        distractors: Where evidence is wrong, boolean (B, H, W).
        organs: Where evidence may lie, boolean (B, H, W).
        geometries: Where every file pixel went.
        findings: Finding to where it is marked for the class, boolean (B, H, W); together they
            are `lesions`. Each finding that speaks for some class has an entry.
    """

    rows: npt.NDArray[np.intp]
    pixels: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    lesions: npt.NDArray[np.bool_]
    distractors: npt.NDArray[np.bool_]
    organs: npt.NDArray[np.bool_]
    geometries: tuple[Geometry, ...]
    findings: Mapping[str, npt.NDArray[np.bool_]]

    def take(self, places: npt.NDArray[np.intp]) -> CaseBatch:
        """Keep some of the cases, by their places in the batch."""
        return CaseBatch(
            self.rows[places],
            self.pixels[places],
            self.classes[places],
            self.present[places],
            self.lesions[places],
            self.distractors[places],
            self.organs[places],
            tuple(self.geometries[place] for place in places.tolist()),
            {finding: masks[places] for finding, masks in self.findings.items()},
        )

    def marks(self) -> npt.NDArray[np.bool_]:
        """All that is marked in each image, boolean (B, masks, H, W)."""
        given = (self.lesions, self.distractors, self.organs, *self.findings.values())
        return np.stack(given, axis=1)


def lesion_findings(table: Table) -> tuple[str, ...]:
    """List the findings that speak for a class, in the order of the table's description."""
    beside = {*table.spec.distractors(), *table.spec.organs()}
    marked = table.annotations is not None
    return tuple(name for name in table.spec.findings if marked and name not in beside)


def choose(table: Table, info: ModelInfo, *, limit: int, seed: int) -> Chosen:
    """Choose images, and the class that each is explained for.

    A binary model is asked for its positive class in every image, of multi-class models each
    image's own class is explained, of multi-label ones the first class that the image has, or,
    in an image that has none, the first that it is known to lack. Where there are more images
    than the limit, half of the places go to images of the class (annotated ones first) and half
    to the others, drawn with the seed.

    Args:
        table: The images of one split.
        info: The model's classes and task.
        limit: Most images; 0 for all.
        seed: Seed of the draw.

    Returns:
        The chosen images, in the table's order.

    Raises:
        InputError: No image has a label.
    """
    described = [
        (index, found)
        for index, record in enumerate(table.records)
        if (found := _case(record, table, info)) is not None
    ]
    if not described:
        raise InputError(f"{table.path}: no image has a label; a benchmark needs to know them.")
    kept = _draw([case for _, (case, _) in described], limit, seed)
    rows = [described[number] for number in kept]
    records = tuple(table.records[index] for index, _ in rows)
    return Chosen(
        replace(table, records=records),
        tuple(case for _, (case, _) in rows),
        np.array([class_index for _, (_, class_index) in rows], dtype=np.int64),
        len(table) - len(rows),
    )


def _case(record: Record, table: Table, info: ModelInfo) -> tuple[Case, int] | None:
    label = record.label
    if label is None:
        return None
    if isinstance(label, tuple):
        known = [i for i, flag in enumerate(label) if flag == 1]
        lacking = [i for i, flag in enumerate(label) if flag == 0]
        if not known and not lacking:
            return None
        index, present = (known[0], True) if known else (lacking[0], False)
    elif info.task is Task.BINARY:
        index = info.classes.index(info.positive) if info.positive in info.classes else 1
        present = label == index
    else:
        index, present = label, True
    name = info.classes[index]
    marked = table.annotations is not None and present
    findings = set(findings_for(name, record, table)) if marked else set()
    annotated = bool(findings) and _marks(table, record.name, findings)
    return Case(record.name, record.patient, name, present, annotated), index


def _marks(table: Table, name: str, findings: set[str]) -> bool:
    """Whether one of the findings is marked in the image."""
    annotations = table.annotations
    if annotations is None or not annotations.has(name):
        return False
    return any(finding in findings for finding, _ in annotations.regions(name))


def _draw(cases: Sequence[Case], limit: int, seed: int) -> list[int]:
    if not limit or len(cases) <= limit:
        return list(range(len(cases)))
    order = np.random.default_rng(seed).permutation(len(cases)).tolist()
    present = sorted((i for i in order if cases[i].present), key=lambda i: not cases[i].annotated)
    absent = [i for i in order if not cases[i].present]
    half = min(len(present), max(limit - len(absent), (limit + 1) // 2))
    return sorted([*present[:half], *absent[: limit - half]])


def case_batches(
    chosen: Chosen,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    title: str,
    show_progress: bool,
) -> Iterator[CaseBatch]:
    """Read the chosen images with their masks, a batch at a time.

    Args:
        chosen: What to read.
        preprocessing: How pixels become input.
        batch_size: Images per batch.
        title: What the progress bar says.
        show_progress: Whether to show it.

    Yields:
        The batches, in order.

    Raises:
        InputError: An image or mask cannot be read.
    """
    table = chosen.table
    for batch in batches(
        table, preprocessing, batch_size=batch_size, title=title, show_progress=show_progress
    ):
        rows = np.arange(batch.start, batch.start + len(batch.records))
        shape = (len(rows), *batch.pixels.shape[2:])
        lesions, distractors, organs = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
        single = {name: np.zeros(shape, dtype=np.bool_) for name in lesion_findings(table)}
        for place, (row, record, geometry) in enumerate(
            zip(rows, batch.records, batch.geometries, strict=True)
        ):
            if table.annotations is None or not table.annotations.has(record.name):
                continue
            case = chosen.cases[row]
            for finding in findings_for(case.class_name, record, table) if case.annotated else []:
                single[finding][place] = table.annotations.mask(record.name, [finding], geometry)
                lesions[place] |= single[finding][place]
            for mask, findings in (
                (distractors, table.spec.distractors()),
                (organs, table.spec.organs()),
            ):
                if findings:
                    mask[place] = table.annotations.mask(record.name, findings, geometry)
        yield CaseBatch(
            rows=rows,
            pixels=batch.pixels,
            classes=chosen.classes[rows],
            present=np.array([chosen.cases[row].present for row in rows]),
            lesions=lesions,
            distractors=distractors,
            organs=organs,
            geometries=batch.geometries,
            findings=single,
        )
