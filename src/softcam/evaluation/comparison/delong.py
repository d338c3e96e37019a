"""DeLong's test of AUCs on the same images, with Obuchowski's variance where images share patients.

An AUC is a mean over pairs of an example and another image. Its structural components say how much
each image adds: V10 of an example is the share of the others that it beats, V01 of another image
the share of examples that beat it, ties counting half. Their spread gives the variance. Midranks
give all components in O(n log n).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from softcam.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_ROUNDING = 1e-12  # far below what one pair of images adds to an AUC


@dataclass(frozen=True)
class DeLong:
    """AUCs of several models on the same images, and their differences to one of them.

    Attributes:
        method: "DeLong 1988" if every image is its own patient, "Obuchowski 1997" if not; for the
            mean over several classes the components of each patient are added up.
        aucs: Shape (G,); NaN where undefined.
        errors: Their standard errors, (G,).
        differences: Each AUC minus the reference's, (G,).
        difference_errors: The standard errors of the differences, (G,).
        p: Two-sided p-values of no difference, (G,): 1 where the models rank alike, NaN where the
            variance is unknown (fewer than two patients with an example, or without), or 0 although
            the AUCs differ.
    """

    method: str
    aucs: Floats
    errors: Floats
    differences: Floats
    difference_errors: Floats
    p: Floats

    def interval(self, group: int, level: float = 0.95) -> tuple[float, float]:
        """Give the normal interval of a difference; NaN where its error is."""
        reach = float(norm.ppf((1 + level) / 2) * self.difference_errors[group])
        return float(self.differences[group]) - reach, float(self.differences[group]) + reach


def delong(
    scores: Floats,
    truth: Bools,
    *,
    known: Bools | None = None,
    patients: Sequence[str] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    reference: int = 0,
) -> DeLong:
    """Test whether models differ in AUC.

    Args:
        scores: Shape (M, N), higher for the class; (M, N, C) for the mean AUC of several classes.
        truth: Whether the image is of the class, (N,) or (N, C).
        known: Whether that is known, of the same shape; None for all.
        patients: N patient names; None if every image is its own patient.
        groups: Models whose AUCs are averaged, such as seeds; None for each on its own.
        reference: The group that the others are compared with.

    Returns:
        AUCs, differences and p-values.

    Raises:
        InputError: If the shapes do not fit.

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated
        receiver operating characteristic curves", Biometrics 44 (1988); Sun and Xu, "Fast
        implementation of DeLong's algorithm", IEEE Signal Processing Letters 21 (2014), for
        midranks; Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53
        (1997).

    Example:
        >>> scores = np.array([[0.9, 0.8, 0.4, 0.1], [0.2, 0.8, 0.4, 0.1]])
        >>> found = delong(scores, np.array([True, True, False, False]))
        >>> found.aucs.tolist(), found.differences.tolist()
        ([1.0, 0.75], [0.0, -0.25])
    """
    values = scores[..., None] if scores.ndim == 2 else scores
    kinds = truth[:, None] if truth.ndim == 1 else truth
    count = np.ones(kinds.shape, dtype=bool)
    if known is not None:
        count = known[:, None] if known.ndim == 1 else known
    if values.ndim != 3 or values.shape[1:] != kinds.shape or count.shape != kinds.shape:
        raise InputError(
            f"Scores of shape {scores.shape} and truth of shape {truth.shape}; give (models, "
            "images) and (images,), or (models, images, classes) and (images, classes)."
        )
    if patients is not None and len(patients) != len(kinds):
        raise InputError(f"{len(patients)} patients for {len(kinds)} images; give one per image.")
    names = np.arange(len(kinds)) if patients is None else np.asarray(patients, dtype=np.str_)
    owner = np.unique(names, return_inverse=True)[1]
    members = [[model] for model in range(len(values))] if groups is None else groups
    columns = range(len(kinds.T))
    parts = [_Part.of(values[..., c], kinds[:, c], count[:, c]) for c in columns]
    parts = [part.averaged(members) for part in parts]
    aucs = np.mean([part.aucs for part in parts], axis=0)
    every = [part.minus(None) for part in parts]
    gaps = [part.minus(reference) for part in parts]
    errors = np.sqrt(_variances(every, owner))
    differences, spread = aucs - aucs[reference], np.sqrt(_variances(gaps, owner))
    p = np.full(len(aucs), np.nan)
    for group, (gap, error) in enumerate(zip(differences, spread, strict=True)):
        if error > _ROUNDING:
            p[group] = float(2 * norm.sf(abs(gap) / error))
        elif error <= _ROUNDING and abs(gap) <= _ROUNDING:
            p[group] = 1.0
    clustered = int(owner.max(initial=-1)) + 1 < len(owner)
    method = "Obuchowski 1997" if clustered else "DeLong 1988"
    return DeLong(method, aucs, errors, differences, spread, p)


@dataclass(frozen=True)
class _Part:
    """One class: AUCs (G,), and how far each image's component is from them, (G, N), by kind."""

    aucs: Floats
    v10: Floats  # of examples, 0 elsewhere
    v01: Floats  # of the others, 0 elsewhere
    example: Bools
    other: Bools

    @classmethod
    def of(cls, scores: Floats, truth: Bools, known: Bools) -> _Part:
        example, other = truth & known, ~truth & known
        m, n = int(example.sum()), int(other.sum())
        v10, v01 = np.zeros(scores.shape), np.zeros(scores.shape)
        if not m or not n:
            return cls(np.full(len(scores), np.nan), v10, v01, example, other)
        # How many others an image is above: its rank among all less that among its own kind.
        among_all = np.zeros(scores.shape)
        among_all[:, known] = rankdata(scores[:, known], axis=1)
        among_examples = rankdata(scores[:, example], axis=1)
        among_others = rankdata(scores[:, other], axis=1)
        v10[:, example] = (among_all[:, example] - among_examples) / n
        v01[:, other] = 1 - (among_all[:, other] - among_others) / m
        # From the sum of ranks, which are exact, so that equal AUCs are equal to the last digit.
        above = among_all[:, example].sum(axis=1) - m * (m + 1) / 2
        return cls(above / (m * n), v10, v01, example, other)

    def averaged(self, groups: Sequence[Sequence[int]]) -> _Part:
        def average(values: Floats) -> Floats:
            return np.stack([values[list(group)].mean(axis=0) for group in groups])

        return _Part(
            average(self.aucs), average(self.v10), average(self.v01), self.example, self.other
        )

    def minus(self, reference: int | None) -> _Part:
        """Subtract one model's AUC and components (None: nothing), and centre the components."""
        base = slice(0, 0) if reference is None else slice(reference, reference + 1)
        zero = reference is None
        aucs = self.aucs if zero else self.aucs - self.aucs[base]
        v10 = self.v10 if zero else self.v10 - self.v10[base]
        v01 = self.v01 if zero else self.v01 - self.v01[base]
        centre = aucs[:, None]
        return _Part(
            aucs,
            np.where(self.example, v10 - centre, 0.0),
            np.where(self.other, v01 - centre, 0.0),
            self.example,
            self.other,
        )


def _variances(parts: list[_Part], owner: npt.NDArray[np.intp]) -> Floats:
    """Variance of the mean over classes, from centred components, patient by patient."""
    clusters = int(owner.max(initial=-1)) + 1
    groups = len(parts[0].aucs)
    examples = _sums([part.v10 / max(1, part.example.sum()) for part in parts], owner, clusters)
    others = _sums([part.v01 / max(1, part.other.sum()) for part in parts], owner, clusters)
    if any(np.isnan(part.aucs).any() for part in parts):
        return np.full(groups, np.nan)
    with_example = min(np.unique(owner[part.example]).size for part in parts)
    with_other = min(np.unique(owner[part.other]).size for part in parts)
    if with_example < 2 or with_other < 2:
        return np.full(groups, np.nan)
    whole = clusters / (clusters - 1)
    if len(parts) > 1:
        # An image is an example of one class and an other of the rest: what it adds up to.
        total = (examples + others) / len(parts)
        return np.asarray(whole * (total**2).sum(axis=1))
    variance = (
        with_example / (with_example - 1) * (examples**2).sum(axis=1)
        + with_other / (with_other - 1) * (others**2).sum(axis=1)
        + 2 * whole * (examples * others).sum(axis=1)
    )
    # With few patients of both kinds the last term can outweigh the others; that is no variance.
    return np.where(variance < 0, math.nan, variance)


def _sums(components: list[Floats], owner: npt.NDArray[np.intp], clusters: int) -> Floats:
    """Add up components over classes and over each patient's images: (G, patients)."""
    total = np.sum(components, axis=0)
    return np.stack([np.bincount(owner, row, clusters) for row in total])
