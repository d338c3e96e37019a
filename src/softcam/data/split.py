"""Train, validation and test by patient: no patient is in two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from softcam.data.records import Record
from softcam.errors import InputError

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
"""How the images are shared out when a table gives no splits."""


def split_by_patient(
    records: Sequence[Record], fractions: Mapping[str, float] = FRACTIONS, *, seed: int = 0
) -> list[str]:
    """Share images out to splits, whole patients at a time, each class as evenly as can be.

    Patients are taken class by class, the rarest class first, and within a class those with most
    images first; each goes to the split that is furthest below its share of that class (the
    Sainte-Lague method of seat allocation, weighted by images). A split that was left without a
    class then takes the smallest patient with it that another split can spare. The outcome
    depends on the seed and not on the order of the records.

    Args:
        records: The images with their patients and labels; None labels are one class of their own.
        fractions: Split name to its share of the images; scaled to sum to 1.
        seed: Decides among patients and splits that are alike.

    Returns:
        The split of each record, in order.

    Raises:
        InputError: A fraction is negative or not finite, or all are zero.

    Source:
        The greedy order follows iterative stratification: Sechidis, Tsoumakas and Vlahavas, "On
        the stratification of multi-label data", ECML PKDD 2011, algorithm 1.
    """
    shares = _shares(fractions)
    names = list(shares)
    patients = sorted({record.patient for record in records})
    if not patients:
        return []
    place = {patient: i for i, patient in enumerate(patients)}
    counts = _count(records, place)
    order = np.random.default_rng(seed).permutation(len(patients))
    quota = np.outer(list(shares.values()), counts.sum(axis=0))
    given = np.zeros_like(quota)
    chosen = np.full(len(patients), -1)
    for kind in np.argsort(counts.sum(axis=0), kind="stable"):
        waiting = [i for i in order if counts[i, kind] and chosen[i] < 0]
        for i in sorted(waiting, key=lambda i: -counts[i, kind]):
            after = (given[:, kind] + counts[i, kind] / 2) / quota[:, kind]
            chosen[i] = int(np.argmin(after))
            given[chosen[i]] += counts[i]
    _cover(chosen, given, quota, counts)
    return [names[chosen[place[record.patient]]] for record in records]


def straddling(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Find the patients that are in more than one split, which leaks between them.

    Args:
        records: The images; those without a split are left out.

    Returns:
        Patient to its images, for those patients only, in order.
    """
    images: dict[str, list[Record]] = {}
    for record in records:
        if record.split is not None:
            images.setdefault(record.patient, []).append(record)
    return {patient: own for patient, own in images.items() if len({r.split for r in own}) > 1}


def straddling_note(count: int) -> str:
    """Say how many patients are in more than one split."""
    return f"{count} patient(s) are in more than one given split, which leaks between them"


def _shares(fractions: Mapping[str, float]) -> dict[str, float]:
    total = sum(fractions.values())
    wrong = [f for f in fractions.values() if not (math.isfinite(f) and f >= 0)]
    if wrong or total <= 0:
        raise InputError(f"The split fractions {dict(fractions)} are no shares; use 0.7 or alike.")
    return {name: fraction / total for name, fraction in fractions.items() if fraction}


def _count(records: Sequence[Record], place: Mapping[str, int]) -> npt.NDArray[np.float64]:
    """Images of every patient (row) with every class (column)."""
    kinds: dict[int | None, int] = {}
    cells: list[tuple[int, int]] = []
    for record in records:
        label = record.label
        if isinstance(label, tuple):
            present: list[int | None] = [i for i, value in enumerate(label) if value == 1]
            present = present or [None]
        else:
            present = [label]
        for kind in present:
            cells.append((place[record.patient], kinds.setdefault(kind, len(kinds))))
    columns = sorted(kinds, key=lambda kind: -1 if kind is None else kind)
    rank = {kinds[kind]: i for i, kind in enumerate(columns)}
    counts = np.zeros((len(place), len(kinds)))
    for patient, kind_index in cells:
        counts[patient, rank[kind_index]] += 1
    return counts


def _cover(
    chosen: npt.NDArray[np.int_],
    given: npt.NDArray[np.float64],
    quota: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
) -> None:
    """Give each split a patient of each class where the patients allow, in place."""
    for kind in np.argsort(counts.sum(axis=0), kind="stable"):
        for split in range(len(quota)):
            if given[split, kind] > 0:
                continue
            spare = [
                i
                for i in map(int, np.flatnonzero(counts[:, kind]))
                if (given[chosen[i]] - counts[i])[counts[i] > 0].min() > 0
            ]
            if not spare:
                continue

            surplus = given[:, kind] - quota[:, kind]
            best = min((float(counts[i].sum()), -float(surplus[chosen[i]]), i) for i in spare)[2]
            given[chosen[best]] -= counts[best]
            given[split] += counts[best]
            chosen[best] = split
