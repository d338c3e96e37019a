"""A sweep's result with known numbers."""

from __future__ import annotations

import math

from softcam.evaluation.bootstrap import Interval
from softcam.report.sweep.content import Figure, Row, SweepResult


def figure(value, spread=0.1, difference=None) -> Figure:
    each = (value - spread, value, value + spread)
    mean = Interval(value, value - 0.2, value + 0.2, 30, 0)
    if difference is None:
        return Figure(mean, each)
    return Figure(mean, each, Interval(difference, -0.05, 0.05, 30, 0), 0.2, 0.4)


def row(name, kind="penalty", family="base", l1=0.0, l2=0.0, auc=0.9, gain=0.1, **changes) -> Row:
    compared = None if kind == "black box" else 0.01
    measures = {"auc": figure(auc), "deletion_gain": figure(gain), "gini": figure(0.5)}
    test = {
        "auc": figure(auc, difference=compared),
        "deletion_gain": figure(gain, difference=compared),
        "pointing_game": figure(0.3, difference=compared),
    }
    return Row(name, kind, family, l1, l2, (0, 1, 2), {"l1": l1}, measures, test, **changes)


def result(**changes) -> SweepResult:
    values = {
        "rows": (
            row("black-box", "black box"),
            row("dense", "dense", within=True),
            row("l1-1", l1=1.0, gain=0.3, within=True, chosen=True),
            row("l1-0.1", l1=0.1, gain=0.2),
            row("l2-5", l2=5.0),
            row("l1-1-l2-5", l1=1.0, l2=5.0),
            row("deep", "variant", "deep", auc=math.nan),
            row("deep-l1-1", family="deep", l1=1.0),
            row("deep-plain", "plain", "deep"),
        ),
        "rule": "The rule <in words> & 50 %.",
        "why": "l1-1 is best.",
        "qualified": True,
        "floor": 0.85,
        "seed": 1,
        "select_by": "deletion",
        "maps": "own",
        "counts": {"runs": 27, "val images": 30},
        "settings": {"seeds": [0, 1, 2], "out": "s"},
        "seconds": {"dense": 12.0},
    }
    return SweepResult(**{**values, **changes})
