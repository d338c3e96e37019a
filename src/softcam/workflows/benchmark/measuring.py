"""Measure the maps of one batch: localisation, deletion and insertion, shares and sparsity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.evaluation.consistency.shares import negative_share, positive_share
from softcam.evaluation.consistency.sparsity import gini, share_above
from softcam.evaluation.faithfulness.baselines import Baseline, Blur, Constant, LocalMean
from softcam.evaluation.faithfulness.curves import deletion, insertion
from softcam.evaluation.faithfulness.patches import Raster, patch_order
from softcam.evaluation.faithfulness.summaries import (
    accuracy_kept,
    area_under_curve,
    relative_confidence,
    target_probability,
)
from softcam.evaluation.lesions import SIZES, lesions, recall_by_size
from softcam.evaluation.localisation import (
    activation_precision,
    activation_sensitivity,
    energy_inside,
    pointing_game,
)
from softcam.evaluation.overlap import average_precision, best_overlap, overlap_at
from softcam.evaluation.patch_hits import patch_hits
from softcam.explanation.attributions.subject import Subject
from softcam.workflows.benchmark.choose import CaseBatch
from softcam.workflows.benchmark.settings import BenchmarkSettings

Floats = npt.NDArray[np.float64]

Known = dict[tuple[str | int, ...], Tensor]
"""Model, case, kind of curve, baseline and order of patches to the logits (S + 1, K)."""

TOP = 10
"""Patches of the top-k precision in the table."""


@dataclass(frozen=True)
class Asked:
    """What a map was asked for, and of whom.

    Attributes:
        subject: The classifier.
        signed: Whether the method tells evidence against the class.
        native: Whether the map is the class's own evidence, whose mean is the logit.
    """

    subject: Subject
    signed: bool
    native: bool


def layout(settings: BenchmarkSettings, findings: Iterable[str] = ()) -> dict[str, int]:
    """Name what is measured of every map, with its length: 1 for a number, more for a curve.

    Args:
        settings: How to measure.
        findings: Findings whose lesions are counted by size: how many there are, and are found.
    """
    numbers = (
        "activation_precision", "activation_sensitivity", "pointing_game", "topk_precision",
        "lesion_recall", "pixel_ap", "iou_best", "iou_fixed", "dice_best", "dice_fixed",
        "distractor_energy", "organ_energy", "deletion_auc", "deletion_accuracy", "insertion_auc",
        "sufficiency", "positive_share", "negative_share", "completeness_error", "gini",
        "area_above_half",
    )  # fmt: skip
    sizes = dict.fromkeys(numbers, 1)
    sizes |= {"topk_hits": settings.curve, "topk_taken": settings.curve}
    for baseline in settings.baselines:
        for kind in ("deletion", "insertion"):
            sizes[f"{kind}_confidence_{baseline}"] = len(settings.counts()) + 1
            sizes[f"{kind}_accuracy_{baseline}"] = len(settings.counts()) + 1
    for finding in findings:
        sizes |= {f"lesions of {finding}": len(SIZES) + 1, f"found of {finding}": len(SIZES) + 1}
    return sizes


def measure(
    asked: Asked,
    maps: npt.NDArray[np.float32],
    batch: CaseBatch,
    settings: BenchmarkSettings,
    baselines: Mapping[str, Baseline],
    known: Known,
    followed: npt.NDArray[np.bool_],
) -> dict[str, Floats]:
    """Measure the maps of a batch.

    Args:
        asked: What the maps are of.
        maps: Shape (B, h, w), at the method's own resolution.
        batch: The images with their masks.
        settings: How to measure.
        baselines: What stands in the place of a removed patch, by name.
        known: Logits along curves by what they depend on; what is new is added.
        followed: Which cases' curves are drawn, shape (B,).

    Returns:
        Name (a key of `layout`) to values of shape (B,) or (B, length), NaN where undefined.
    """
    geometry = batch.geometries[0]  # all have the input in common, and no more is asked of them
    full = torch.from_numpy(geometry.map_to_input(maps, interpolation="bicubic"))
    found = {
        name: np.full((len(maps), length) if length > 1 else len(maps), np.nan)
        for name, length in layout(settings, batch.findings).items()
    }
    _localise(found, full, batch, settings)
    _count_lesions(found, full, batch)
    _explain(found, asked, full, batch, settings, baselines, known, followed)
    _shape(found, asked, torch.from_numpy(maps), full, batch)
    return found


def _put(found: dict[str, Floats], name: str, rows: npt.NDArray[np.intp], values: Tensor) -> None:
    found[name][rows] = values.cpu().numpy()


def _localise(
    found: dict[str, Floats], full: Tensor, batch: CaseBatch, settings: BenchmarkSettings
) -> None:
    """Compare maps with what is marked, in the images where something is."""
    for name, marks in (
        ("distractor_energy", batch.distractors),
        ("organ_energy", batch.organs),
    ):
        rows = np.flatnonzero(marks.any(axis=(1, 2)) & batch.present)
        if rows.size:
            _put(found, name, rows, energy_inside(full[rows], torch.from_numpy(marks[rows])))
    rows = np.flatnonzero(batch.lesions.any(axis=(1, 2)))
    if not rows.size:
        return
    maps, masks = full[rows], torch.from_numpy(batch.lesions[rows])
    hits = patch_hits(maps, masks, settings.curve, settings.patch(tuple(full.shape[1:])))
    best, fixed = best_overlap(maps, masks), overlap_at(maps, masks, 0.5)
    scores = {
        "activation_precision": activation_precision(maps, masks),
        "activation_sensitivity": activation_sensitivity(maps, masks),
        "pointing_game": pointing_game(maps, masks),
        "topk_precision": hits.per_image[:, min(TOP, settings.curve) - 1],
        "lesion_recall": _recall(maps, masks),
        "pixel_ap": average_precision(maps, masks),
        "iou_best": best.iou,
        "iou_fixed": fixed.iou,
        "dice_best": best.dice,
        "dice_fixed": fixed.dice,
        "topk_hits": hits.hits.double().view(len(rows), -1),
        "topk_taken": hits.taken.double().view(len(rows), -1),
    }
    for name, values in scores.items():
        _put(found, name, rows, values.view(len(rows), *found[name].shape[1:]))


def _count_lesions(found: dict[str, Floats], full: Tensor, batch: CaseBatch) -> None:
    """Count each finding's lesions by size, and those that the map at half its maximum touches."""
    for finding, masks in batch.findings.items():
        for row in np.flatnonzero(masks.any(axis=(1, 2))):
            each = recall_by_size(lesions(full[[row]], torch.from_numpy(masks[[row]])))
            found[f"lesions of {finding}"][row] = [size.lesions for size in each]
            found[f"found of {finding}"][row] = [size.found for size in each]


def _recall(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of each image's lesions that the map at half its maximum touches."""
    parts = lesions(maps, masks)
    hit = np.bincount(parts.image, parts.found(), minlength=len(maps))
    total = np.bincount(parts.image, minlength=len(maps))
    with np.errstate(invalid="ignore"):  # no lesion: NaN
        return torch.from_numpy(hit / total)


def _explain(
    found: dict[str, Floats],
    asked: Asked,
    full: Tensor,
    batch: CaseBatch,
    settings: BenchmarkSettings,
    baselines: Mapping[str, Baseline],
    known: Known,
    followed: npt.NDArray[np.bool_],
) -> None:
    """Take away, and put in, what the map ranks highest, in the images of the class."""
    rows = np.flatnonzero(batch.present & followed)
    if not rows.size:
        return
    subject = asked.subject
    images = torch.from_numpy(batch.pixels[rows]).to(subject.device)
    classes = torch.from_numpy(batch.classes[rows])
    maps = full[rows].to(subject.device)
    with torch.inference_mode():
        untouched: Tensor = subject.classifier(images)
    start = target_probability(untouched[:, None], classes, subject.task)[:, 0]
    right = _kept(subject, untouched[:, None], classes)[:, 0] == 1
    patch = settings.patch(tuple(full.shape[1:]))
    order = patch_order(maps, patch)[:, : settings.steps].cpu()
    fractions = torch.tensor((0, *settings.counts()), dtype=torch.float64)
    fractions = fractions.clamp(max=_patches(full, patch)) / _patches(full, patch)
    for place, name in enumerate(settings.baselines):
        for kind, draw in (("deletion", deletion), ("insertion", insertion)):
            keys = [
                (subject.name, int(batch.rows[row]), kind, name, *order[i].tolist())
                for i, row in enumerate(rows)
            ]
            # Maps that rank the same patches first, such as those of CAM and Grad-CAM, share it.
            if new := [i for i, key in enumerate(keys) if key not in known]:
                curve = draw(
                    subject.classifier,
                    images[new],
                    maps[new],
                    patch=patch,
                    baseline=baselines[name],
                    steps=settings.counts(),
                    batch_size=settings.batch_size,
                    untouched=untouched[new] if kind == "deletion" else None,
                )
                known.update({keys[i]: curve.logits[n] for n, i in enumerate(new)})
            logits = torch.stack([known[key] for key in keys])
            confidence = relative_confidence(
                target_probability(logits, classes, subject.task), start
            )
            kept = _kept(subject, logits, classes)
            # What was wrong from the start has no right answer to keep.
            kept = kept.masked_fill(~right[:, None], torch.nan)
            _put(found, f"{kind}_confidence_{name}", rows, confidence)
            _put(found, f"{kind}_accuracy_{name}", rows, kept)
            if place == 0:
                area = area_under_curve(confidence, fractions)
                _put(found, f"{kind}_auc", rows, area)
                if kind == "deletion":
                    area = area_under_curve(kept, fractions)
                    _put(found, "deletion_accuracy", rows, area)
                else:
                    _put(found, "sufficiency", rows, confidence[:, -1])


def _patches(full: Tensor, patch: int) -> int:
    return Raster(tuple(full.shape[1:]), patch).count


def _kept(subject: Subject, logits: Tensor, classes: Tensor) -> Tensor:
    info = subject.info
    return accuracy_kept(
        logits, classes, subject.task, info.classes, info.positive, info.thresholds
    )


def _shape(
    found: dict[str, Floats], asked: Asked, maps: Tensor, full: Tensor, batch: CaseBatch
) -> None:
    """What needs no mask and no classifier: shares, sparsity, completeness."""
    ill, well = np.flatnonzero(batch.present), np.flatnonzero(~batch.present)
    if ill.size:
        _put(found, "positive_share", ill, positive_share(full[ill]))
    if well.size and asked.signed:
        _put(found, "negative_share", well, negative_share(full[well]))
    found["gini"][:] = gini(full).cpu().numpy()
    found["area_above_half"][:] = share_above(full, 0.5).cpu().numpy()
    if asked.native:
        subject = asked.subject
        with torch.inference_mode():
            logits = subject.classifier(torch.from_numpy(batch.pixels).to(subject.device)).cpu()
        wanted = torch.from_numpy(batch.classes)
        if logits.shape[1] == 1:
            own = logits[:, 0] * (2 * wanted - 1)
        else:
            own = logits.gather(1, wanted[:, None])[:, 0]
        size = logits.abs().amax(dim=1)
        gap = (maps.double().mean(dim=(1, 2)) - own.double()).abs()
        found["completeness_error"][:] = (gap / size).numpy()


def baselines_of(settings: BenchmarkSettings, mean: tuple[float, ...]) -> dict[str, Baseline]:
    """Make what stands in the place of removed patches.

    Args:
        settings: Which are wanted.
        mean: The images' mean colour in normalised units, one number per channel.

    Returns:
        Name to baseline.
    """
    made: dict[str, Baseline] = {"mean": Constant(mean), "blur": Blur(), "local": LocalMean()}
    return {name: made[name] for name in settings.baselines}
