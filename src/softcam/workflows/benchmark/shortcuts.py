"""Ask a model again with a distractor put in or painted over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.evaluation.explanations.shortcut import (
    Shortcut,
    flips,
    soft_cover,
    transplant,
    without,
)
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.localisation import energy_inside
from softcam.evidence.decision import decide, probabilities
from softcam.explanation.attributions.subject import Subject
from softcam.workflows.benchmark.assemble import interval_of
from softcam.workflows.benchmark.choose import CaseBatch, Chosen
from softcam.workflows.benchmark.settings import BenchmarkSettings

Floats = npt.NDArray[np.float64]

DONORS = 8
"""Images of which a finding is copied in turn: a single one may be a freak."""

_BORDER = 1 / 40
"""Soft border of a copy, as a share of the image's shorter side."""


@dataclass(frozen=True)
class _Donors:
    """Where copies come from.

    Attributes:
        pixels: Images of the class that have the finding, (D, C, H, W); none if lesions cover
            it in each.
        covers: How much of them is copied, (D, H, W).
        plain: Images with neither, of which as much is copied to compare, (E, C, H, W).
        plain_rows: Their numbers among all cases, (E,).
    """

    pixels: Tensor
    covers: Tensor
    plain: Tensor
    plain_rows: npt.NDArray[np.intp]

    def into(self, images: Tensor, rows: npt.NDArray[np.intp]) -> Tensor:
        """Copy the finding into images, whose numbers say from which donor."""
        turn = torch.from_numpy(rows % len(self.pixels))
        return transplant(images, self.pixels[turn], self.covers[turn])

    def beside(self, images: Tensor, rows: npt.NDArray[np.intp]) -> Tensor:
        """Copy as much, at the same places, of other images without it.

        An image is never its own donor; where it is the only one, nothing changes.
        """
        turn = torch.from_numpy(rows % len(self.pixels))
        choice = rows % len(self.plain_rows)
        own = self.plain_rows[choice] == rows
        choice = (choice + own) % len(self.plain_rows)
        return transplant(images, self.plain[torch.from_numpy(choice)], self.covers[turn])


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

    A distractor is copied, at its place and with soft borders, from images of the class (up to
    `DONORS`, in turn; never a lesion with it) into every image that is not of the class and has
    none; beside it as much of an image without it, which shows what copying alone does. It is
    painted over in every image of the class that has it.

    Args:
        subject: The classifier.
        chosen: The images.
        read: Gives their batches anew.
        explain: Gives the maps of a batch on the input grid, shape (B, H, W).
        baseline: What is painted.
        settings: Batch size, resamples and seed.
        method: What these maps are called.

    Returns:
        One entry per distractor that is marked in an image of the class; none without. Where
        lesions cover it in each of them, nothing is copied and those shares are NaN.
    """
    table = chosen.table
    if table.annotations is None:
        return []
    found = []
    patients = [case.patient for case in chosen.cases]
    for finding in table.spec.distractors():
        donors = _donors(finding, chosen, read)
        if donors is None:
            continue
        values = _Values(len(chosen.cases))
        patch = settings.patch(tuple(donors.pixels.shape[2:]))
        ask, called = partial(_probability, subject), partial(_called, subject)
        for batch in read():
            marks = _masks(finding, chosen, batch)
            has = np.asarray(marks.any(axis=(1, 2)))
            shown = np.flatnonzero(has & batch.present)
            if shown.size:
                carriers, masks = batch.take(shown), torch.from_numpy(marks[shown])
                maps = torch.from_numpy(explain(carriers))
                values.areas[carriers.rows] = masks.double().mean(dim=(1, 2)).numpy()
                values.energy[carriers.rows] = energy_inside(maps, masks).numpy()
                painted = without(torch.from_numpy(carriers.pixels), masks, baseline, patch)
                _ask_carriers(values, carriers, painted, ask, called)
            _ask_others(values, batch, has, donors, ask, called)
        interval = partial(interval_of, patients=patients, settings=settings)
        found.append(
            Shortcut(
                subject.name,
                chosen.cases[0].class_name,
                finding,
                method,
                float(np.nanmean(values.areas)),
                energy=interval(values.energy),
                inserted=interval(values.inserted),
                copied=interval(values.copied),
                beyond=interval(values.inserted - values.copied),
                carriers=interval(values.carriers),
                others=interval(values.others),
                removed=interval(values.removed),
                rise=interval(values.rise),
                fall=interval(values.fall),
            )
        )
    return found


class _Values:
    """One number per case of everything that is asked, NaN where it was not."""

    def __init__(self, count: int) -> None:
        self.areas, self.energy = np.full(count, np.nan), np.full(count, np.nan)
        self.inserted, self.copied = np.full(count, np.nan), np.full(count, np.nan)
        self.carriers, self.others = np.full(count, np.nan), np.full(count, np.nan)
        self.removed = np.full(count, np.nan)
        self.rise, self.fall = np.full(count, np.nan), np.full(count, np.nan)


def _ask_others(
    values: _Values,
    batch: CaseBatch,
    has: npt.NDArray[np.bool_],
    donors: _Donors,
    ask: Callable[[Tensor, npt.NDArray[np.int64]], Floats],
    called: Callable[[Floats], npt.NDArray[np.bool_]],
) -> None:
    """Ask images that are not of the class: as they are, with the finding, with a mere copy."""
    carrying = np.flatnonzero(~batch.present & has)
    if carrying.size:
        answers = ask(torch.from_numpy(batch.pixels[carrying]), batch.classes[carrying])
        values.carriers[batch.rows[carrying]] = called(answers)
    places = np.flatnonzero(~batch.present & ~has)
    if not places.size:
        return
    images, classes = torch.from_numpy(batch.pixels[places]), batch.classes[places]
    rows = batch.rows[places]
    before = ask(images, classes)
    values.others[rows] = called(before)
    if not len(donors.pixels):
        return
    after = ask(donors.into(images, rows), classes)
    beside = ask(donors.beside(images, rows), classes)
    values.inserted[rows] = flips(before, after, called, towards=True)
    values.copied[rows] = flips(before, beside, called, towards=True)
    values.rise[rows] = after - before


def _ask_carriers(
    values: _Values,
    batch: CaseBatch,
    painted: Tensor,
    ask: Callable[[Tensor, npt.NDArray[np.int64]], Floats],
    called: Callable[[Floats], npt.NDArray[np.bool_]],
) -> None:
    """Ask images of the class that have the finding, with it and with it painted over."""
    before = ask(torch.from_numpy(batch.pixels), batch.classes)
    after = ask(painted, batch.classes)
    values.removed[batch.rows] = flips(before, after, called, towards=False)
    values.fall[batch.rows] = after - before


def _masks(finding: str, chosen: Chosen, batch: CaseBatch) -> npt.NDArray[np.bool_]:
    """Where one distractor is marked in the images of a batch, boolean (B, H, W)."""
    annotations = chosen.table.annotations
    masks = np.zeros((len(batch.rows), *batch.pixels.shape[2:]), dtype=np.bool_)
    for place, (row, geometry) in enumerate(zip(batch.rows, batch.geometries, strict=True)):
        name = chosen.table.records[row].name
        if annotations is not None and annotations.has(name):
            masks[place] = annotations.mask(name, [finding], geometry)
    return masks


def _donors(
    finding: str, chosen: Chosen, read: Callable[[], Iterator[CaseBatch]]
) -> _Donors | None:
    """The first images of the class that have the distractor, and the first with neither."""
    pixels: list[Tensor] = []
    covers: list[Tensor] = []
    plain: list[Tensor] = []
    plain_rows: list[int] = []
    none, marked = torch.empty(0), False
    for batch in read():
        marks = _masks(finding, chosen, batch)
        has = marks.any(axis=(1, 2))
        images = torch.from_numpy(batch.pixels)
        none, marked = images[:0], marked or bool((has & batch.present).any())
        width = max(1, round(_BORDER * min(marks.shape[1:])))
        for place in np.flatnonzero(has & batch.present):
            cover = soft_cover(marks[place], batch.lesions[place], width)
            if len(pixels) < DONORS and cover.any():
                pixels.append(images[place])
                covers.append(torch.from_numpy(cover))
        for place in np.flatnonzero(~has & ~batch.present)[: DONORS - len(plain)]:
            plain.append(images[place])
            plain_rows.append(int(batch.rows[place]))
        if len(pixels) == len(plain) == DONORS:
            break
    if not marked:
        return None
    return _Donors(
        torch.stack(pixels) if pixels else none,
        torch.stack(covers) if covers else none[:, 0],
        torch.stack(plain) if plain else none,
        np.array(plain_rows, dtype=np.intp),
    )


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
