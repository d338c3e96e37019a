"""Is a run's map what it decides by? Patches go in the map's order, and in random order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.conversion.black_box import BlackBox
from softcam.data.records import Table
from softcam.evaluation.consistency.sparsity import gini, share_above
from softcam.evaluation.faithfulness.baselines import Baseline, Constant
from softcam.evaluation.faithfulness.curves import Curve, deletion
from softcam.evaluation.faithfulness.summaries import (
    area_under_curve,
    relative_confidence,
    target_probability,
)
from softcam.evaluation.localisation import (
    activation_precision,
    activation_sensitivity,
    pointing_game,
)
from softcam.evidence.info import Task
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.base import Attribution, class_scores
from softcam.explanation.attributions.floors import RANDOM
from softcam.explanation.attributions.methods import method
from softcam.explanation.attributions.subject import Subject, subject_of
from softcam.workflows.benchmark.choose import CaseBatch, Chosen, case_batches, choose
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.models import preprocessing_of

Floats = npt.NDArray[np.float64]

MEASURED = (
    "deletion_gain",
    "deletion_auc",
    "activation_precision",
    "activation_sensitivity",
    "pointing_game",
    "gini",
    "area_above_half",
)
"""What is measured of every map."""

_LOCATED = {
    "activation_precision": activation_precision,
    "activation_sensitivity": activation_sensitivity,
    "pointing_game": pointing_game,
}
_BATCH = 16


def chosen_cases(table: Table, model: SoftCAM | BlackBox, limit: int) -> Chosen:
    """Choose the images whose maps are judged: those of the class that is explained.

    Args:
        table: The images of one split. Of a table with annotations, annotated images come first.
        model: Its classes and task.
        limit: Most images; 0 for all.

    Returns:
        The images, the same for every model of the same classes.
    """
    every = choose(table, model.info, limit=0, seed=0)
    present = np.flatnonzero([case.present for case in every.cases])
    order = np.random.default_rng(0).permutation(present).tolist()
    order.sort(key=lambda row: not every.cases[row].annotated)
    rows = sorted(order[: limit or None])
    records = tuple(every.table.records[row] for row in rows)
    return Chosen(
        replace(every.table, records=records),
        tuple(every.cases[row] for row in rows),
        every.classes[rows],
        len(table) - len(rows),
    )


def measure_maps(
    model: SoftCAM | BlackBox,
    chosen: Chosen,
    logits: npt.NDArray[np.float32],
    *,
    contrast: bool,
) -> dict[str, Floats]:
    """Measure the maps of a model: a SoftCAM's evidence, a black box's Grad-CAM.

    The deletion gain is the mean over the curve of z(random order) - z(map's order). z is the
    class's logit less the mean of the others', in standard deviations of this number over the
    split. So it is the same for a model whose logits are all twice as large, as a penalty on
    evidence makes them smaller; and a model that any missing patch confuses gains nothing.

    Args:
        model: In eval mode, on the device that is to compute.
        chosen: The images.
        logits: The model's logits (N, K) of the whole split, for the standard deviation.
        contrast: Judge the contrast maps and not the class's own.

    Returns:
        Name (one of `MEASURED`) to values, one for each case, NaN where undefined.
    """
    subject = subject_of(model, "model")
    attribution = method("grad-cam" if isinstance(model, BlackBox) else "evidence")
    preprocessing = preprocessing_of(model)
    settings = BenchmarkSettings()
    patch = settings.patch(preprocessing.size)
    random = RANDOM.configured(cell=patch)
    found = {name: np.full(len(chosen.cases), np.nan) for name in MEASURED}
    if not chosen.cases or attribution.refusal(subject):
        return found
    spread = score_spread(logits, subject.task)
    baseline: Constant | None = None
    for batch in case_batches(
        chosen, preprocessing, batch_size=_BATCH, title="", show_progress=False
    ):
        if baseline is None:  # the images' mean colour, from the first of them
            mean = batch.pixels.mean(axis=(0, 2, 3), dtype=np.float64)
            baseline = Constant([float(value) for value in mean])
        small = _maps(attribution, subject, batch, contrast=contrast)
        full = _on_input(small, batch)
        own = _deleted(subject, batch, full, patch, baseline, settings.counts())
        by_chance = _on_input(_maps(random, subject, batch, contrast=contrast), batch)
        floor = _deleted(subject, batch, by_chance, patch, baseline, settings.counts())
        classes = torch.from_numpy(batch.classes)
        gain = _area(_score(floor, classes, subject.task), floor)
        gain = gain - _area(_score(own, classes, subject.task), own)
        found["deletion_gain"][batch.rows] = gain.numpy() / spread[batch.classes]
        found["deletion_auc"][batch.rows] = _confidence(own, classes, subject.task).numpy()
        found["gini"][batch.rows] = gini(full).numpy()
        found["area_above_half"][batch.rows] = share_above(full, 0.5).numpy()
        marked = np.flatnonzero(batch.lesions.any(axis=(1, 2)))
        if marked.size:
            masks = torch.from_numpy(batch.lesions[marked])
            for name, score in _LOCATED.items():
                found[name][batch.rows[marked]] = score(full[marked], masks).numpy()
    return found


def score_spread(logits: npt.NDArray[np.float32], task: Task) -> Floats:
    """Give the standard deviation of each class's score over images, (C,); NaN where it is 0."""
    values = torch.from_numpy(np.asarray(logits, dtype=np.float64))
    count = values.shape[1] if task is Task.MULTILABEL else max(2, values.shape[1])
    every = torch.arange(count).expand(len(values), -1)
    scores = class_scores(values, every, contrast=task is not Task.MULTILABEL)
    spread = scores.numpy().std(axis=0)
    # Rounding alone must not pass for a spread.
    return np.where(spread > 1e-9 * (1 + np.abs(scores.numpy()).max(initial=0.0)), spread, np.nan)


def _maps(
    attribution: Attribution, subject: Subject, batch: CaseBatch, *, contrast: bool
) -> Tensor:
    images = torch.from_numpy(batch.pixels).to(subject.device)
    classes = torch.from_numpy(batch.classes)[:, None]
    return attribution(subject, images, classes, contrast=contrast)[:, 0].cpu()


def _on_input(maps: Tensor, batch: CaseBatch) -> Tensor:
    """Bring maps to the input grid, (B, H, W); all geometries have it in common."""
    geometry = batch.geometries[0]
    return torch.from_numpy(geometry.map_to_input(maps.numpy(), interpolation="bicubic"))


def _deleted(
    subject: Subject,
    batch: CaseBatch,
    full: Tensor,
    patch: int,
    baseline: Baseline,
    steps: tuple[int, ...],
) -> Curve:
    with torch.inference_mode():
        return deletion(
            subject.classifier,
            torch.from_numpy(batch.pixels).to(subject.device),
            full.to(subject.device),
            patch=patch,
            baseline=baseline,
            steps=steps,
            batch_size=_BATCH,
        )


def _score(curve: Curve, classes: Tensor, task: Task) -> Tensor:
    """Give the class's score at every step, (B, S + 1)."""
    count, steps, outputs = curve.logits.shape
    every = classes.repeat_interleave(steps)
    scores = class_scores(
        curve.logits.reshape(-1, outputs).double(), every, contrast=task is not Task.MULTILABEL
    )
    return scores.reshape(count, steps)


def _area(scores: Tensor, curve: Curve) -> Tensor:
    return area_under_curve(scores, curve.fractions)


def _confidence(curve: Curve, classes: Tensor, task: Task) -> Tensor:
    probability = target_probability(curve.logits, classes, task)
    return area_under_curve(relative_confidence(probability, probability[:, 0]), curve.fractions)
