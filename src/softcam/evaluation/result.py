"""What an evaluation found: numbers, how they were come by, and how they are written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.classification import METRIC_NAMES, Classification
from softcam.evaluation.scoring import LOCALISATION_NAMES
from softcam.files import write_atomically


class Row(NamedTuple):
    """One printed line: what was measured, of what, and ``value [low, high]`` for each column."""

    section: Literal["classification", "localisation"]
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class LocalisationRow:
    """How well one kind of map finds the annotated lesions.

    Attributes:
        method: What made the map, for example "SoftCAM", "Grad-CAM (twin)" or "Uniform map".
        map: The class's own evidence, its contrast to the other classes, or "-" for neither.
        images: Number of images with a lesion.
        intervals: Metric (a key of `LOCALISATION_NAMES`) to mean and interval.
    """

    method: str
    map: Literal["own", "contrast", "-"]
    images: int
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it; undefined numbers are None."""
        return {
            "method": self.method,
            "map": self.map,
            "images": self.images,
            "intervals": {name: value.to_dict() for name, value in self.intervals.items()},
        }


@dataclass(frozen=True)
class Metrics:
    """All that an evaluation found on one table.

    Attributes:
        classification: The model's own classification metrics.
        twin_classification: Those of its black-box twin, if there is one.
        localisation: One row per kind of map; empty without annotations.
        counts: What was counted: images, patients, skipped rows.
        settings: How it was measured: resamples, seed, grid, table.
    """

    classification: Classification
    twin_classification: Classification | None = None
    localisation: tuple[LocalisationRow, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What the measured model is called: a SoftCAM, or a black box on its own."""
        return str(self.settings.get("model", "SoftCAM"))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it; undefined numbers are None."""
        twin = self.twin_classification
        return {
            "classification": self.classification.to_dict(),
            "twin_classification": None if twin is None else twin.to_dict(),
            "localisation": [row.to_dict() for row in self.localisation],
            "counts": dict(self.counts),
            "settings": dict(self.settings),
        }

    def rows(self) -> list[Row]:
        """Give the lines of both tables for printing.

        Returns:
            Classification rows hold one value per model (the model, then its twin if there is
            one); localisation rows one per key of `LOCALISATION_NAMES`.
        """
        models = [self.classification]
        if self.twin_classification is not None:
            models.append(self.twin_classification)
        lines = [
            Row("classification", label, tuple(_shown(m.intervals.get(key)) for m in models))
            for key, label in METRIC_NAMES.items()
            if any(key in m.intervals for m in models)
        ]
        for row in self.localisation:
            name = row.method if row.map == "-" else f"{row.method}, {row.map} map"
            values = tuple(_shown(row.intervals.get(key)) for key in LOCALISATION_NAMES)
            lines.append(Row("localisation", name, values))
        return lines

    def notes(self) -> list[str]:
        """Say in sentences what the numbers are of, and what was undefined."""
        found = self.classification
        if found.positive is not None:
            limit = found.thresholds[found.positive]
            sentences = [f"Metrics are of the class {found.positive}, called from {limit:.3g} up."]
            twin = self.twin_classification
            if twin is not None and twin.thresholds[found.positive] != limit:
                own = twin.thresholds[found.positive]
                sentences.append(f"The twin calls it from {own:.3g} up.")
        else:
            sentences = ["Metrics per class are averaged over the classes, each against the rest."]
        if found.absent:
            sentences.append(
                f"Left out of the averages, for want of examples here: {', '.join(found.absent)}."
            )
        short = {
            label: found.intervals[key].undefined
            for key, label in METRIC_NAMES.items()
            if key in found.intervals and found.intervals[key].undefined
        }
        if short:
            listed = ", ".join(f"{label} in {count}" for label, count in short.items())
            sentences.append(f"Undefined in some resamples and left out there: {listed}.")
        return sentences

    def to_markdown(self) -> str:
        """Write the tables as Markdown, each value with its 95 % interval."""
        rows = self.rows()
        twin = self.twin_classification is not None
        heads = [self.subject, "Twin"] if twin else [self.subject]
        parts = [_table(["Metric", *heads], [r for r in rows if r.section == "classification"])]
        located = [r for r in rows if r.section == "localisation"]
        if located:
            parts.append(_table(["Map", *LOCALISATION_NAMES.values()], located))
        return "\n\n".join([*parts, " ".join(self.notes())]) + "\n"

    def save(self, path: Path | str) -> None:
        """Write the metrics as JSON, whole or not at all.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            InputError: If the folder cannot be written.
        """
        text = to_json(self.to_dict())
        write_atomically(Path(path), text + "\n")


def _shown(interval: Interval | None) -> str:
    return "n/a" if interval is None else interval.format()


def _table(heads: list[str], rows: list[Row]) -> str:
    lines = [" | ".join(heads), " | ".join(["---"] * len(heads))]
    lines += [" | ".join([_cell(row.name), *row.values]) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def to_json(document: Mapping[str, Any]) -> str:
    """Write a document as strict JSON, which has no NaN: undefined numbers are null.

    Args:
        document: Mappings, lists, text and numbers.

    Returns:
        Indented JSON.
    """
    return json.dumps(_clean(document), indent=2, ensure_ascii=False, allow_nan=False)


def _clean(value: Any) -> Any:
    """Replace undefined numbers by None, which JSON has, in what a caller put into settings."""
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
