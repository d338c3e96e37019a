"""A benchmark's result as a JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from softcam.evaluation.explanations.result import (
    Case,
    CurveSet,
    ExplanationBenchmark,
    Method,
    MethodRow,
)
from softcam.evaluation.result import to_json

VERSION = 1
"""Of the document's form; it rises when a field changes its meaning."""


def to_document(result: ExplanationBenchmark) -> dict[str, Any]:
    """Give everything but the pictures as JSON knows it.

    Args:
        result: What was found.

    Returns:
        Mappings, lists, text and numbers. Values are lists of one list per case, with one
        number per method in the order of `methods`; NaN stays for `to_text` to replace.
    """
    return {
        "version": VERSION,
        "conclusions": list(result.conclusions),
        "shortcuts": [one.to_dict() for one in result.shortcuts],
        "reference": asdict(result.reference),
        "measures": [asdict(measure) for measure in result.measures()],
        "methods": [_row(row) for row in result.rows],
        "answers": [
            {"subject": a.subject, "auc": a.auc.to_dict(), "accuracy": a.accuracy.to_dict()}
            for a in result.answers
        ],
        "skipped": [asdict(one) for one in result.skipped],
        "cases": [asdict(case) for case in result.cases],
        "values": {key: values.tolist() for key, values in result.values.items()},
        "curves": [_curves(curves) for curves in result.curves],
        "recalls": [{**asdict(one), "recall": one.recall.to_dict()} for one in result.recalls],
        "gallery": [_shown(one.case, one.probabilities) for one in result.gallery],
        "counts": _known(result.counts),
        "settings": _known(result.settings),
    }


def to_text(result: ExplanationBenchmark) -> str:
    """Write the document as strict JSON: undefined numbers are null."""
    return to_json(to_document(result)) + "\n"


def _method(method: Method) -> dict[str, Any]:
    return {**asdict(method), "text": str(method)}


def _row(row: MethodRow) -> dict[str, Any]:
    return {
        **_method(row.method),
        "means": {key: value.to_dict() for key, value in row.means.items()},
        "ranks": {key: value.to_dict() for key, value in row.ranks.items()},
        "differences": {key: value.to_dict() for key, value in row.differences.items()},
        "undefined": dict(row.undefined),
        "seconds_per_map": row.seconds,
        "peak_mib": row.peak_mib,
        "flags": list(row.flags),
        "floor": row.floor,
    }


def _curves(curves: CurveSet) -> dict[str, Any]:
    return {
        "key": curves.key,
        "title": curves.title,
        "x_label": curves.x_label,
        "y_label": curves.y_label,
        "higher_is_better": curves.higher_is_better,
        "x": curves.x.tolist(),
        "methods": [
            {
                **asdict(curve.method),
                "mean": curve.mean.tolist(),
                "low": curve.low.tolist(),
                "high": curve.high.tolist(),
            }
            for curve in curves.curves
        ],
    }


def _shown(case: Case, probabilities: Mapping[str, float]) -> dict[str, Any]:
    return {
        "image": case.image,
        "class_name": case.class_name,
        "probabilities": {name: float(value) for name, value in probabilities.items()},
    }


def _known(value: Any) -> Any:
    """Turn what a caller put into settings into what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_known(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _known(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.as_posix() if isinstance(value, Path) else str(value)
