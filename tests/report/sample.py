"""A small, made-up evaluation for the report's tests."""

from __future__ import annotations

import numpy as np

from softcam.evaluation.classification import classification
from softcam.evaluation.result import LocalisationRow, Metrics
from softcam.evaluation.scoring import score_maps, uniform_reference
from softcam.evidence.decision import decide
from softcam.evidence.info import Task
from softcam.report.cases import choose_cases
from softcam.report.content import (
    CaseFigure,
    CaseSection,
    DataDescription,
    FindingCount,
    Predictions,
    ReportData,
    SplitCount,
)
from softcam.report.gallery import MapPanel, draw_case

CLASSES = {
    Task.BINARY: ("healthy", "lesion"),
    Task.MULTICLASS: ("normal", "drusen", "oedema"),
    Task.ORDINAL: ("none", "mild", "moderate", "severe"),
    Task.MULTILABEL: ("effusion", "nodule", "mass"),
}
SIDE = 96


def draw_image(seed):
    """A dark disc with bright spots, and the mask of the spots."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    disc = np.clip(1.3 - 2.6 * np.hypot(x - 0.5, y - 0.5), 0, 0.6)
    image = np.stack([disc, 0.5 * disc, 0.25 * disc], axis=-1)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    for cx, cy in 0.3 + 0.4 * rng.random((3, 2)):
        mask |= np.hypot(x - cx, y - cy) < 0.035
    image[mask] += 0.35
    image += rng.normal(0, 0.02, image.shape)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8), mask


def draw_map(mask, seed, cells=12):
    """Coarse evidence that mostly follows the mask."""
    rng = np.random.default_rng(seed)
    step = SIDE // cells
    coarse = mask.reshape(cells, step, cells, step).mean(axis=(1, 3)) * 6
    coarse += rng.normal(-0.1, 0.4, coarse.shape)
    return np.kron(coarse, np.ones((step, step))).astype(np.float32)


def predictions(task, n=160, seed=0, skill=1.0):
    rng = np.random.default_rng(seed)
    count = len(CLASSES[task])
    if task is Task.MULTILABEL:
        labels = (rng.random((n, count)) < 0.3).astype(float)
        scores = 1 / (1 + np.exp(-(skill * 2.4 * labels - 1.4 + rng.normal(size=labels.shape))))
        labels[rng.random(labels.shape) < 0.1] = np.nan
        return labels, scores
    labels = rng.integers(0, count, n)
    logits = rng.normal(size=(n, count))
    logits[np.arange(n), labels] += 2.0 * skill
    scores = np.exp(logits)
    return labels, scores / scores.sum(axis=1, keepdims=True)


def make(task=Task.BINARY, *, twin=True, cases=1, resamples=50):
    """A whole report of one task, with or without a twin."""
    classes = CLASSES[task]
    labels, scores = predictions(task)
    _, other = predictions(task, skill=0.8)
    patients = [f"p{i // 2}" for i in range(len(scores))]

    def score(probabilities):
        return classification(
            probabilities, labels, task=task, classes=classes, patients=patients,
            resamples=resamples,
        )  # fmt: skip

    found = score(scores)
    masks = np.stack([draw_image(i)[1] for i in range(20)])
    maps = np.stack([draw_map(mask, i) for i, mask in enumerate(masks)])
    vague = np.stack([draw_map(mask, 50 + i, cells=4) for i, mask in enumerate(masks)])
    rows = [
        LocalisationRow(name, kind, 20, score_maps(values, masks, patients[:20], resamples))
        for name, kind, values in (
            ("SoftCAM", "own", maps),
            ("SoftCAM", "contrast", maps - 0.2),
            ("Grad-CAM on the twin", "own", vague),
        )
    ]
    rows.append(
        LocalisationRow("Uniform map", "-", 20, uniform_reference(masks, patients[:20], resamples))
    )
    metrics = Metrics(
        found,
        score(other) if twin else None,
        tuple(rows),
        {"images": len(scores), "patients": len(set(patients)), "skipped rows": 1},
        {"resamples": resamples, "bootstrap seed": 0},
    )
    history = [
        {
            "epoch": e,
            "train_loss": 0.7 * 0.8**e + 0.05,
            "val_loss": 0.7 * 0.85**e + 0.1 + 0.004 * e,
            "val_auc": 0.97 - 0.3 * 0.75**e + 0.004 * (e % 3),
            "lr": 1e-4,
        }
        for e in range(12)
    ]
    return ReportData(
        title=f"Synthetic eyes, {task.value}",
        summary=[
            "A ResNet-18 was turned into a SoftCAM and trained for 12 epochs beside its black-box "
            "twin, then both were held against 160 images that neither had seen."
        ],
        data=DataDescription(
            ["Drawn images of eyes with bright spots; no patient is behind them."],
            [
                SplitCount("train", 480, 240, dict.fromkeys(classes, 480 // len(classes))),
                SplitCount("test", 160, 80, dict.fromkeys(classes, 160 // len(classes))),
            ],
            [FindingCount("spots", classes[-1], 81), FindingCount("disc", "distractor", 160)],
            ["1 row without an image was skipped."],
        ),
        training={"Backbone": "resnet18", "Epochs": "12", "Learning rate": "1e-4"},
        history=history,
        twin_history=[{**e, "val_auc": e["val_auc"] - 0.02} for e in history] if twin else [],
        metrics=metrics,
        predictions=Predictions(labels, scores, other if twin else None, patients),
        cases=sections(task, labels, scores, cases) if cases else [],
        provenance={"softcam": "0.1.0", "Command": "softcam demo", "Seed": "0"},
    )


def sections(task, labels, scores, k):
    classes = CLASSES[task]
    calls = decide(scores, task, classes)
    result = []
    for group in choose_cases(scores, labels, calls, k, task=task, classes=classes):
        figures = []
        for case in group.cases:
            image, mask = draw_image(case.index)
            name = classes[case.class_index]
            own = draw_map(mask, case.index)
            panels = [
                MapPanel(f"Evidence for {name}, own", own),
                MapPanel("Contrast to the rest", own * 1.4),
                MapPanel("Grad-CAM on the twin", np.maximum(draw_map(mask, 9, 4), 0), "relative"),
            ]
            if task is Task.MULTILABEL:
                truth, call = (
                    name if yes else f"not {name}"
                    for yes in (
                        labels[case.index, case.class_index] == 1,
                        calls[case.index, case.class_index],
                    )
                )
            else:
                truth, call = classes[labels[case.index]], classes[calls[case.index]]
            figures.append(
                CaseFigure(
                    f"image_{case.index:03}.png",
                    truth,
                    call,
                    float(scores[case.index, case.class_index]),
                    draw_case(image, panels, lesions=mask, title="Image and true lesions"),
                    "Evidence on a grid of 12 x 12 cells, shown without smoothing.",
                    name,
                )
            )
        result.append(CaseSection(group.title, group.rule, figures))
    return result
