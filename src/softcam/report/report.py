"""The report: one HTML file that shows everything and asks the network for nothing."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.classification import METRIC_NAMES, Classification
from softcam.evaluation.result import Metrics
from softcam.evaluation.scoring import LOCALISATION_NAMES
from softcam.evidence.info import Task
from softcam.files import write_atomically
from softcam.report.charts import result_charts, training_charts
from softcam.report.content import ReportData
from softcam.report.page import render_page

_HEADLINES = {
    Task.BINARY: ("auc", "sensitivity", "specificity"),
    Task.MULTICLASS: ("auc", "balanced_accuracy", "f1"),
    Task.ORDINAL: ("kappa", "auc", "balanced_accuracy"),
    Task.MULTILABEL: ("auc", "auprc", "f1"),
}


@dataclass(frozen=True)
class _Headline:
    """A figure of the first screen, with what to compare it to."""

    name: str
    interval: Interval
    beside: str


def build_report(
    path: Path | str, data: ReportData, *, resamples: int = 500, seed: int = 0
) -> Path:
    """Write the report.

    The page holds its styles and pictures itself, runs no script and names no address; its
    content security policy forbids both. It can be read on a phone, in light and dark, and
    printed.

    Args:
        path: The HTML file; an existing one is replaced, whole or not at all.
        data: What it shows; all text is escaped.
        resamples: Bootstrap resamples of the ROC bands.
        seed: Seed of the ROC bands.

    Returns:
        The path.

    Raises:
        InputError: If the folder cannot be written.
    """
    return write_atomically(Path(path), render_report(data, resamples=resamples, seed=seed))


def render_report(data: ReportData, *, resamples: int = 500, seed: int = 0) -> str:
    """Give the report as HTML text; see `build_report`."""
    return render_page(
        "template.html",
        ("report.css",),
        {"number": _number, "per_cent": _per_cent, "uri": _uri},
        title=data.title,
        data=data,
        metrics=data.metrics,
        found=data.metrics.classification,
        twin=data.metrics.twin_classification,
        headlines=_headlines(data.metrics),
        metric_names={k: v for k, v in METRIC_NAMES.items() if k in _keys(data.metrics)},
        localisation_names=LOCALISATION_NAMES,
        class_metrics=_class_metrics(data.metrics.classification),
        split_classes=_split_classes(data),
        training_charts=training_charts(data),
        result_charts=result_charts(data, resamples, seed),
    )


def _keys(metrics: Metrics) -> set[str]:
    return set(metrics.classification.intervals)


def _headlines(metrics: Metrics) -> list[_Headline]:
    """Choose the figures of the first screen: three of the task, and the pointing game."""
    found, twin = metrics.classification, metrics.twin_classification
    shown = []
    for key in _HEADLINES[found.task]:
        beside = "" if twin is None else f"twin {_number(twin.intervals[key].value)}"
        shown.append(_Headline(METRIC_NAMES[key], found.intervals[key], beside))
    measured = [row for row in metrics.localisation if row.map != "-"]
    if measured:
        row = measured[0]
        chance = [r for r in metrics.localisation if r.map == "-"]
        beside = (
            f"by chance {_number(chance[0].intervals['pointing_game'].value)}" if chance else ""
        )
        name = LOCALISATION_NAMES["pointing_game"]
        shown.append(_Headline(name, row.intervals["pointing_game"], beside))
    return shown


def _class_metrics(found: Classification) -> dict[str, str]:
    """Give the metrics that every class has, in their order."""
    first: dict[str, Any] = next(iter(found.per_class.values()), {})
    return {key: name for key, name in METRIC_NAMES.items() if key in first}


def _split_classes(data: ReportData) -> list[str]:
    """Give the classes that any split has, those of the model first."""
    named = list(data.metrics.classification.classes)
    for split in data.data.splits:
        named += [name for name in split.classes if name not in named]
    return named


def _number(value: float, digits: int = 3) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def _per_cent(value: float) -> str:
    """Place a value between 0 and 1 on a scale, as a CSS length."""
    return f"{100 * min(1.0, max(0.0, value)):.1f}%"


def _uri(content: str | bytes) -> str:
    """Put a picture into an address: SVG for text, PNG for bytes."""
    kind, raw = ("svg+xml", content.encode()) if isinstance(content, str) else ("png", content)
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"
