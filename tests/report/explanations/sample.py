"""A small, made-up benchmark for the tests of its report."""

from __future__ import annotations

import numpy as np

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.explanations.paired import compare
from softcam.evaluation.explanations.result import (
    Answer,
    Case,
    Curve,
    CurveSet,
    ExplanationBenchmark,
    GalleryCase,
    GalleryMap,
    Method,
    MethodRow,
    SizeRecall,
    Skipped,
)
from tests.report.sample import SIDE, draw_image, draw_map

HOSTILE = "<script>alert(1)</script>"
FORMULA = "=cmd()|' /C calc'!A0.png"
TEX = r"50%_of{all}\x & $5 #1 ~^ a|b*c*"
KEYS = (
    "activation_precision",
    "pixel_ap",
    "deletion_auc",
    "insertion_auc",
    "completeness_error",
    "gini",
)


def methods(count=6):
    """The native maps, as many other methods as asked for, and a floor."""
    own = [
        Method("SoftCAM", "native", "Evidence", "own"),
        Method("SoftCAM", "native", "Evidence", "contrast"),
        Method("Twin & co_1", "grad-cam", "Grad-CAM", "own"),
        Method("Twin & co_1", "grad-cam", "Grad-CAM", "contrast"),
        Method("Twin & co_1", "hostile", HOSTILE, "own"),
    ]
    more = [
        Method("Twin & co_1", f"method-{i}", f"Integrated gradients, variant {i}", kind)
        for i in range(count)
        for kind in ("own", "contrast")
    ]
    return [*(own + more)[: count - 1], Method("SoftCAM", "uniform", "Uniform map", "-")]


def make(count=6, *, keys=KEYS, gallery=1, cases=12, seed=0, annotated=True):
    """A benchmark of `count` methods; the first names of images are hostile."""
    rng = np.random.default_rng(seed)
    keys = [k for k in keys if annotated or MEASURE[k].group != "localisation"]
    chosen = methods(count)
    names = [FORMULA, TEX, HOSTILE] + [f"image_{i}.png" for i in range(cases)]
    who = [
        Case(names[i], f"@patient {i // 2}", "lesion", i % 2 == 0, annotated and i % 2 == 0)
        for i in range(cases)
    ]
    values, compared = {}, {}
    for key in keys:
        scores = np.clip(rng.normal(0.5, 0.1, (cases, len(chosen))), 0, 1)
        scores -= 0.02 * np.arange(len(chosen))
        if MEASURE[key].group == "localisation":
            scores[[not case.annotated for case in who]] = np.nan
        if key == "gini":
            scores[:, -1] = np.nan
        values[key] = scores
        compared[key] = compare(
            scores,
            [case.patient for case in who],
            higher_is_better=MEASURE[key].higher_is_better is not False,
            resamples=40,
        )
    rows = []
    for i, method in enumerate(chosen):
        ranked = [k for k in keys if MEASURE[k].higher_is_better is not None]
        rows.append(
            MethodRow(
                method,
                {k: compared[k].means[i] for k in keys},
                {k: compared[k].ranks[i] for k in ranked},
                {k: compared[k].differences[i] for k in keys},
                {k: compared[k].undefined[i] for k in keys},
                seconds=float("nan") if i == 1 else 0.01 * (i + 1),
                peak_mib=12.0 * i,
                flags=("its map survives random weights.",) if i == 2 else (),
                floor=method.name == "uniform",
            )
        )
    x = np.linspace(0, 1, 11)
    curves = []
    for key, higher in (("deletion_confidence", False), ("insertion_confidence", True)):
        lines = []
        for i, method in enumerate(chosen):
            start = 1 - x if not higher else x
            mean = start ** (0.4 + 0.15 * i)
            if i == 3:
                mean = np.where(x > 0.8, np.nan, mean)
            lines.append(Curve(method, mean, mean - 0.05, mean + 0.05))
        label = "p(class) / p(class, whole image)"
        curves.append(
            CurveSet(key, key.capitalize(), "Patches removed", label, x, tuple(lines), higher)
        )
    shown = []
    for number in range(gallery):
        pixels, mask = draw_image(number)
        maps = tuple(
            GalleryMap(
                method,
                np.zeros((SIDE, SIDE), np.float32)
                if method.name == "uniform"
                else draw_map(mask, 10 * number + i) * (1 if i % 3 else -0.001),
                "logit" if method.name == "native" else "relative",
            )
            for i, method in enumerate(chosen)
        )
        shown.append(
            GalleryCase(
                who[2 * number], pixels, mask if annotated else None,
                {"SoftCAM": 0.93, "Twin & co_1": 0.41}, maps,
            )
        )  # fmt: skip
    # Two findings, one with a hostile name; of the second no large lesion is there.
    recalls = [
        SizeRecall(
            method, finding, low, high, count, count // 2,
            Interval(0.5, 0.25, 0.75, count, 0) if count
            else Interval(float("nan"), float("nan"), float("nan"), 0, 0),
        )
        for method in chosen
        for finding, counts in (("spot", (4, 3, 2)), (f"b_{HOSTILE}", (6, 2, 0)))
        for low, high, count in zip((0.0, 0.001, 0.01), (0.001, 0.01, 1.0), counts, strict=True)
    ]  # fmt: skip
    return ExplanationBenchmark(
        rows=tuple(rows),
        reference=chosen[0],
        cases=tuple(who),
        values=values,
        curves=tuple(curves),
        recalls=tuple(recalls) if annotated else (),
        answers=(
            Answer(
                "SoftCAM",
                Interval(0.912, 0.871, 0.945, cases, 0),
                Interval(0.85, float("nan"), float("nan"), cases, 0),
            ),
            Answer(
                "Twin & co_1",
                Interval(float("nan"), float("nan"), float("nan"), cases, 0),
                Interval(0.85, 0.8, 0.9, cases, 0),
            ),
        ),
        skipped=(Skipped("Twin & co_1", "LRP 100%", f"no rule for {HOSTILE} or a_b | c"),),
        conclusions=(
            f"Grad-CAM of Twin & co_1 and {HOSTILE} are the same map by construction: 100 % of it.",
            "No method beats the floor in every measure.",
        ),
        gallery=tuple(shown),
        counts={"images": cases, "patients": (cases + 1) // 2},
        settings={"resamples": 40, "seed": 0, "table": HOSTILE, "size": (96, 96)},
    )
