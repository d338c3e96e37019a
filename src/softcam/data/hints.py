"""Hints that give the label away without a look at what the image shows, such as its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

EFFECT = 0.1
"""Share of the label's uncertainty that a property must explain to be called a hint."""

PERMUTATIONS = 999
"""Shuffles of the labels that a hint must beat, every one of them: p <= 0.001."""

_MANY = 8  # different values of a number, from which on they are sorted into bins
_BINS = 5


@dataclass(frozen=True)
class Hint:
    """A property that predicts the label.

    Attributes:
        explained: Share of the label's entropy that knowing the property takes away, less what it
            takes away of shuffled labels.
        examples: The most frequent values: (value, its most frequent label, images with both,
            images with the value).
    """

    explained: float
    examples: tuple[tuple[str, int, int, int], ...]


def find_hint(values: Sequence[str], labels: Sequence[int], patients: Sequence[str]) -> Hint | None:
    """Tell whether a property of the images predicts their labels.

    The rule: of each patient one image per label is taken, since a patient's images are alike.
    I is the mutual information of property and label, H the label's entropy. The property is a
    hint if I is larger than after each of 999 shuffles of the labels (p <= 0.001) and if
    (I - mean of the shuffled I) / H is 0.1 or more. Of ten images, five of each class, a shuffle
    fits as well as the best property once in 126 times, so that a few images do not trigger it; the
    share keeps out what is certain in a large data set and of no use. Shuffles have a fixed seed.

    Args:
        values: The property of each image.
        labels: Class indices.
        patients: Whom each image shows.

    Returns:
        The hint, or None.
    """
    first: dict[tuple[str, int], int] = {}
    for index, key in enumerate(zip(patients, labels, strict=True)):
        first.setdefault(key, index)
    kept = list(first.values())
    if not kept:
        return None
    names, codes = np.unique(np.array([values[i] for i in kept]), return_inverse=True)
    kinds, classes = np.unique(np.array([labels[i] for i in kept]), return_inverse=True)
    if len(names) < 2 or len(kinds) < 2:
        return None
    shape = (len(names), len(kinds))
    entropy = _entropy(np.bincount(classes))
    observed = _information(codes, classes, shape)
    if observed < EFFECT * entropy:
        return None
    generator = np.random.default_rng(0)
    total = 0.0
    for _ in range(PERMUTATIONS):
        by_luck = _information(codes, generator.permutation(classes), shape)
        if by_luck > observed - 1e-9:
            return None
        total += by_luck
    explained = (observed - total / PERMUTATIONS) / entropy
    return Hint(explained, _examples(values, labels)) if explained >= EFFECT else None


def _information(
    codes: npt.NDArray[np.intp], classes: npt.NDArray[np.intp], shape: tuple[int, int]
) -> float:
    """Mutual information in nats."""
    joint = np.bincount(codes * shape[1] + classes, minlength=shape[0] * shape[1])
    square = joint.reshape(shape)
    return _entropy(square.sum(axis=0)) + _entropy(square.sum(axis=1)) - _entropy(joint)


def _entropy(counts: npt.NDArray[np.intp]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _examples(
    values: Sequence[str], labels: Sequence[int]
) -> tuple[tuple[str, int, int, int], ...]:
    found = []
    for value, count in sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))[:2]:
        own = Counter(label for v, label in zip(values, labels, strict=True) if v == value)
        label, times = min(own.items(), key=lambda pair: (-pair[1], pair[0]))
        found.append((value, label, times, count))
    return tuple(found)


def in_words(numbers: Sequence[float], words: Sequence[str]) -> list[str]:
    """Name the values of a number, in up to five bins where there are many different ones.

    Args:
        numbers: What the bins are made of.
        words: What the numbers are called, one each.

    Returns:
        The words, or "A to B" with the words of the smallest and largest number of the bin.
    """
    if len(set(words)) <= _MANY:
        return list(words)
    array = np.asarray(numbers, dtype=np.float64)
    edges = np.unique(np.quantile(array, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, array, side="left")
    called = {}
    for number in np.unique(bins):
        own = np.flatnonzero(bins == number)
        low, high = own[np.argmin(array[own])], own[np.argmax(array[own])]
        called[int(number)] = f"{words[low]} to {words[high]}"
    return [called[int(number)] for number in bins]
