"""A reproduction with known numbers."""

from __future__ import annotations

import math
from dataclasses import replace

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.result import Method
from softcam.report.reproduction.content import (
    ROLES,
    Explained,
    Line,
    Lines,
    Part,
    Published,
    Reproduction,
)
from softcam.report.sweep.content import Figure

SPARSE = Method(ROLES["sparse"], "evidence", "Evidence", "own")
CONTRAST = replace(SPARSE, map="contrast")
BOX = Method(ROLES["black-box"], "grad-cam", "Grad-CAM", "own")
FLOOR = Method(ROLES["black-box"], "random", "Random", "-")


def interval(value: float) -> Interval:
    return Interval(value, value - 0.1, value + 0.1, 20, 0)


def explained(seed: int, precision: float) -> Explained:
    means = {
        FLOOR: {"activation_precision": interval(0.05)},
        BOX: {"activation_precision": interval(0.25), "positive_share": interval(0.5)},
        CONTRAST: {"activation_precision": interval(0.99)},
        SPARSE: {"activation_precision": interval(precision), "positive_share": interval(0.75)},
    }
    lines = tuple(Line(method, (0.5, 0.25), (0.4, 0.2), (0.6, 0.3)) for method in means)
    curves = Lines("topk_per_image", "Top-k", "k", "share", (1.0, 2.0), lines)
    return Explained(seed, means, frozenset({FLOOR}), (curves,), {"images": 20}, "x/benchmark.html")


def reproduction(*, seeds: int = 1, published: bool = True) -> Reproduction:
    figures = {
        role: {"auc": Figure(interval(0.75 + place / 100), (0.75 + place / 100,))}
        for place, role in enumerate(ROLES)
    }
    figures["dense"]["auc"] = replace(
        figures["dense"]["auc"], difference=Interval(0.01, -0.01, 0.03, 20, 0), adjusted=0.25
    )
    known = {("sparse", "auc"): Published(0.938, "notes")}
    known[BOX.name, "activation_precision"] = Published(0.3)
    part = Part(
        key="onset1-vgg16",
        task="onset1",
        task_label="DR <onset>",
        model="vgg16",
        model_label="VGG-16",
        measured=figures,
        split="test",
        penalties={"sparse": (1e-6, 0.0)},
        penalty_source="notes",
        explained=tuple(explained(seed, 0.5 + 0.2 * seed) for seed in range(seeds)),
        published=known if published else {},
    )
    return Reproduction(
        data_set="kaggle-dr",
        title="Kaggle",
        parts=(part,),
        sources={"notes": "reading notes"},
        cost={"hours": math.inf, "sentence": "Much.", "how": "Timed."},
        notes=("A note & more.",),
        failures=("One failed.",),
        counts={"onset1": {"train": 10}},
        settings={"seeds": list(range(seeds)), "penalty_form": "norm"},
        inputs={"table.csv": "ab" * 32},
    )
