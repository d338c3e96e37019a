"""The charts of a report: which curves it shows, from its numbers to SVG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.classification import Classification
from softcam.evaluation.curves import reliability, roc_band
from softcam.evaluation.result import Metrics
from softcam.evidence.info import Task
from softcam.report.content import Predictions, ReportData
from softcam.report.figures import draw_auc, draw_loss, draw_reliability, draw_roc

_MOST_CURVES = 6

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Chart:
    """A drawn chart.

    Attributes:
        svg: The picture.
        alt: What it shows, for who cannot see it.
        caption: What the reader should know, for example what a band is.
    """

    svg: str
    alt: str
    caption: str


def training_charts(data: ReportData) -> list[Chart]:
    """Draw loss and validation AUC over the epochs; empty without a history."""
    if not data.history:
        return []
    known = [
        (epoch["val_auc"], epoch.get("epoch"))
        for epoch in data.history
        if epoch.get("val_auc") is not None
    ]
    charts = [
        Chart(
            draw_loss(data.history, data.twin_history, subject=data.subject),
            f"Training and validation loss over {len(data.history)} epochs.",
            "Loss. Dashed: training; solid: validation.",
        )
    ]
    if known:
        best, epoch = max(known, key=lambda pair: pair[0] or 0.0)
        charts.append(
            Chart(
                draw_auc(data.history, data.twin_history, subject=data.subject),
                f"Validation AUC over the epochs; the model's best is {best:.3f}.",
                f"Validation AUC. The dot is the best epoch ({epoch:g} for the model)."
                if epoch is not None
                else "Validation AUC. The dot is the best epoch.",
            )
        )
    return charts


def result_charts(data: ReportData, resamples: int = 500, seed: int = 0) -> list[Chart]:
    """Draw ROC and reliability from the predictions; empty without them.

    Args:
        data: The report.
        resamples: Resamples of the bands.
        seed: Seed of the bands.

    Returns:
        Up to two charts; a ROC that no class allows is left out.
    """
    given, found = data.predictions, data.metrics.classification
    if given is None:
        return []
    patients = given.patients or [str(row) for row in range(len(given.probabilities))]
    curves = {}
    for name, (score, truth, rows) in _questions(given, found, data.subject).items():
        who = [patients[row] for row in np.flatnonzero(rows).tolist()]
        if truth.any() and not truth.all():
            area = _areas(data.metrics).get(name)
            label = name if area is None else f"{name}, AUC {area.value:.3f}"
            curves[label] = roc_band(score, truth, who, resamples=resamples, seed=seed)
    charts = []
    if curves:
        several = found.task is not Task.BINARY
        charts.append(
            Chart(
                draw_roc(curves),
                f"ROC curves: {'; '.join(curves)}.",
                ("ROC of each class against the rest" if several else "ROC")
                + " with 95 % bands from a bootstrap over patients.",
            )
        )
    models = {data.subject: reliability(*_forecast(given.probabilities, given.labels, found))}
    if given.twin_probabilities is not None:
        models["Twin"] = reliability(*_forecast(given.twin_probabilities, given.labels, found))
    error = found.intervals["calibration_error"]
    about = {
        Task.BINARY: f"probability of {found.positive}",
        Task.MULTILABEL: "probability of each label",
    }.get(found.task, "probability of the called class")
    charts.append(
        Chart(
            draw_reliability(models),
            f"Reliability diagram; the model's calibration error is {error}.",
            f"Reliability of the {about}. On the line, what is stated is "
            "what happens; larger dots hold more images.",
        )
    )
    return charts


def _areas(metrics: Metrics) -> dict[str, Interval]:
    """Give the AUC behind each ROC curve by the curve's name."""
    found, twin = metrics.classification, metrics.twin_classification
    if found.positive is None:
        return {name: own["auc"] for name, own in found.per_class.items()}
    areas = {metrics.subject: found.intervals["auc"]}
    if twin is not None:
        areas["Twin"] = twin.intervals["auc"]
    return areas


def _questions(
    given: Predictions, found: Classification, subject: str
) -> dict[str, tuple[Floats, Bools, Bools]]:
    """Give each ROC curve's name, scores, truth and the rows that they stand for."""
    labels, scores = given.labels, given.probabilities
    every = np.ones(len(scores), dtype=bool)
    if found.positive is not None:
        column = found.classes.index(found.positive)
        truth = np.asarray(labels == column)
        questions = {subject: (scores[:, column], truth, every)}
        if given.twin_probabilities is not None:
            questions["Twin"] = (given.twin_probabilities[:, column], truth, every)
        return questions
    # Too many curves hide each other: the most frequent classes stand for all.
    if labels.ndim == 2:
        often = np.nansum(labels, axis=0)
    else:
        often = np.bincount(labels.astype(np.int64), minlength=len(found.classes))
    columns = sorted(np.argsort(-often, kind="stable")[:_MOST_CURVES].tolist())
    if labels.ndim == 2:
        rows = {c: ~np.isnan(labels[:, c]) for c in columns}
        return {
            found.classes[c]: (scores[rows[c], c], labels[rows[c], c] == 1, rows[c])
            for c in columns
        }
    return {found.classes[c]: (scores[:, c], np.asarray(labels == c), every) for c in columns}


def _forecast(
    scores: Floats, labels: npt.NDArray[np.int64] | Floats, found: Classification
) -> tuple[Floats, Bools]:
    """Give what was stated and what happened, as the calibration error takes them."""
    if found.positive is not None:
        column = found.classes.index(found.positive)
        return scores[:, column], np.asarray(labels == column)
    if labels.ndim == 2:
        known = ~np.isnan(labels)
        return scores[known], np.asarray(labels[known] == 1)
    return scores.max(axis=1), np.asarray(scores.argmax(axis=1) == labels)
