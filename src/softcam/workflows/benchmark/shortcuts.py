"""Ask a model again with a distractor put in or painted over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from softcam.evaluation.explanations.shortcut import Shortcut, flips, transplant, without
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.localisation import energy_inside
from softcam.evidence.decision import decide, probabilities
from softcam.explanation.attributions.subject import Subject
from softcam.workflows.benchmark.assemble import interval_of
from softcam.workflows.benchmark.choose import CaseBatch, Chosen
from softcam.workflows.benchmark.settings import BenchmarkSettings

Floats = npt.NDArray[np.float64]


def shortcuts_of(
    subject: Subject,
    chosen: Chosen,
    read: Callable[[], Iterator[CaseBatch]],
    explain: Callable[[CaseBatch], npt.NDArray[np.float32]],
    baseline: Baseline,
    settings: BenchmarkSettings,
    *,
    method: str,
) -> list[Shortcut]:
    """Test whether a binary model's answers hang on findings that are no evidence.

    A distractor is copied, at its place, from an image of the class into every image that is
    not of the class and has none; and painted over in every image of the class that has it.

    Args:
        subject: The classifier.
        chosen: The images.
        read: Gives their batches anew.
        explain: Gives the maps of a batch on the input grid, shape (B, H, W).
        baseline: What is painted.
        settings: Batch size, resamples and seed.
        method: What these maps are called.

    Returns:
        One entry per distractor that is marked in an image of the class; none without.
    """
    table = chosen.table
    annotations = table.annotations
    if annotations is None:
        return []
    found = []
    patients = [case.patient for case in chosen.cases]
    for finding in table.spec.distractors():
        donor = _donor(finding, chosen, read)
        if donor is None:
            continue
        pixels, mask = donor
        count = len(chosen.cases)
        turned_on, turned_off, rise, fall, areas, energy = (
            np.full(count, np.nan) for _ in range(6)
        )
        patch = settings.patch(tuple(pixels.shape[1:]))
        for batch in read():
            marks = _masks(finding, chosen, batch)
            has = marks.any(axis=(1, 2))
            shown = np.flatnonzero(has & batch.present)
            if shown.size:
                masks = torch.from_numpy(marks[shown])
                areas[batch.rows[shown]] = masks.double().mean(dim=(1, 2)).numpy()
                maps = torch.from_numpy(explain(batch.take(shown)))
                energy[batch.rows[shown]] = energy_inside(maps, masks).numpy()
            images = torch.from_numpy(batch.pixels)
            for rows, changed, flipped, moved, towards in (
                (
                    np.flatnonzero(~batch.present & ~has),
                    transplant(images, torch.from_numpy(pixels), torch.from_numpy(mask)),
                    turned_on,
                    rise,
                    True,
                ),
                (
                    np.flatnonzero(batch.present & has),
                    without(images, torch.from_numpy(marks), baseline, patch),
                    turned_off,
                    fall,
                    False,
                ),
            ):
                if not rows.size:
                    continue
                classes = batch.classes[rows]
                before = _probability(subject, images[rows], classes)
                after = _probability(subject, changed[rows], classes)
                flipped[batch.rows[rows]] = flips(
                    before, after, lambda p: _called(subject, p), towards=towards
                )
                moved[batch.rows[rows]] = after - before
        found.append(
            Shortcut(
                subject.name,
                chosen.cases[0].class_name,
                finding,
                method,
                float(np.nanmean(areas)),
                interval_of(energy, patients, settings),
                interval_of(turned_on, patients, settings),
                interval_of(turned_off, patients, settings),
                interval_of(rise, patients, settings),
                interval_of(fall, patients, settings),
            )
        )
    return found


def _masks(finding: str, chosen: Chosen, batch: CaseBatch) -> npt.NDArray[np.bool_]:
    """Where one distractor is marked in the images of a batch, boolean (B, H, W)."""
    annotations = chosen.table.annotations
    masks = np.zeros((len(batch.rows), *batch.pixels.shape[2:]), dtype=np.bool_)
    for place, (row, geometry) in enumerate(zip(batch.rows, batch.geometries, strict=True)):
        name = chosen.table.records[row].name
        if annotations is not None and annotations.has(name):
            masks[place] = annotations.mask(name, [finding], geometry)
    return masks


def _donor(
    finding: str, chosen: Chosen, read: Callable[[], Iterator[CaseBatch]]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None:
    """The first image of the class that has the distractor, with its mask."""
    for batch in read():
        marks = _masks(finding, chosen, batch)
        rows = np.flatnonzero(marks.any(axis=(1, 2)) & batch.present)
        if rows.size:
            return batch.pixels[rows[0]], marks[rows[0]]
    return None


def _probability(subject: Subject, images: torch.Tensor, classes: npt.NDArray[np.int64]) -> Floats:
    with torch.inference_mode():
        logits = subject.classifier(images.to(subject.device)).float().cpu().numpy()
    scores = probabilities(logits, subject.task)
    return np.asarray(scores[np.arange(len(scores)), classes])


def _called(subject: Subject, positive: Floats) -> npt.NDArray[np.bool_]:
    """Whether a binary model calls its positive class at a probability of it."""
    info = subject.info
    index = info.classes.index(info.positive) if info.positive in info.classes else 1
    pair = np.empty((len(positive), 2))
    pair[:, index], pair[:, 1 - index] = positive, 1 - positive
    calls = decide(pair, subject.task, info.classes, info.positive, info.thresholds)
    return np.asarray(calls == index)
