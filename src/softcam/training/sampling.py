"""In which order an epoch shows the training images: each once, or the classes equally often."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.training.seeds import ORDER, derive

Sampling = Literal["natural", "balanced", "progressive"]


def epoch_order(
    rule: Sampling, seed: int, epoch: int, labels: npt.NDArray[Any], *, epochs: int = 1
) -> npt.NDArray[np.int64]:
    """Give the order of one epoch, which depends on these arguments and on nothing else.

    An epoch always has as many images as the table. "natural" shows each once. "balanced" shows
    every class equally often: the images of a rare class are repeated, of a common one some are
    left out, and no image comes again before the others of its class have come. "progressive"
    goes from the first to the second over the epochs, class j having the share
    (1 - t) n_j / n + t / K with t from 0 in the first epoch to 1 in the last.

    Source: Kang et al., "Decoupling representation and classifier for long-tailed recognition",
    ICLR 2020 (arXiv 1910.09217), Section 3; there classes are drawn at random, here their counts
    are the expected ones, rounded.

    Args:
        rule: "natural", "balanced" or "progressive".
        seed: The run's seed.
        epoch: Number of the epoch, from 0.
        labels: Class index of every image, shape (N,); one row per image for multi-label, which
            only "natural" takes.
        epochs: Number of epochs of the run, for "progressive".

    Returns:
        N indices of images.

    Raises:
        InputError: If the labels are multi-label and the rule is not "natural".

    Example:
        >>> labels = np.array([0, 0, 0, 1])
        >>> sorted(labels[epoch_order("balanced", 0, 0, labels)].tolist())
        [0, 0, 1, 1]
    """
    random = np.random.default_rng(derive(seed, ORDER, epoch))
    if rule == "natural":
        return random.permutation(len(labels))
    require_one_class(rule, labels)
    share = 1.0 if rule == "balanced" else min(1.0, epoch / max(1, epochs - 1))
    present, counts = np.unique(labels, return_counts=True)
    wanted = (1 - share) * counts + share * len(labels) / len(present)
    drawn = [
        _repeated(np.flatnonzero(labels == label), number, random)
        for label, number in zip(present, _rounded(wanted, random), strict=True)
    ]
    return random.permutation(np.concatenate(drawn))


def turns(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the repetitions of each image, so that each is augmented in its own way.

    Args:
        order: Indices of images, shape (N,).

    Returns:
        For each place how often its image stood in the order before, shape (N,).

    Example:
        >>> turns(np.array([3, 1, 3, 3])).tolist()
        [0, 0, 1, 2]
    """
    places = np.argsort(order, kind="stable")
    values = order[places]
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    lengths = np.diff(np.r_[starts, len(values)])
    result = np.empty(len(order), np.int64)
    result[places] = np.arange(len(order)) - np.repeat(starts, lengths)
    return result


def require_one_class(rule: Sampling, labels: npt.NDArray[Any]) -> None:
    """Refuse to balance classes where an image has several.

    Args:
        rule: The sampling rule.
        labels: The labels of the training images.

    Raises:
        InputError: If the labels are multi-label and the rule is not "natural".
    """
    if rule != "natural" and labels.ndim != 1:
        raise InputError(
            f"sampling: {rule} shows classes equally often, and an image of a multi-label table "
            "belongs to several; leave it out, or use class_weights: balanced (--class-weights)."
        )


def _rounded(wanted: npt.NDArray[Any], random: np.random.Generator) -> list[int]:
    """Round counts and keep their sum; which of equal remainders goes up is drawn."""
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    missing = round(float(wanted.sum())) - int(counts.sum())
    order = np.lexsort((random.random(len(wanted)), -np.round(wanted - counts, 9)))
    counts[order[:missing]] += 1
    return [int(count) for count in counts]


def _repeated(
    images: npt.NDArray[np.int64], number: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw images of one class; each comes once before any comes again."""
    rounds = -(-number // len(images))
    drawn = [random.permutation(images) for _ in range(rounds)]
    return np.concatenate([images[:0], *drawn])[:number]
