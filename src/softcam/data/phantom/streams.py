"""Seeded random streams: one per image and purpose, so that no image depends on another."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Always float32. Said loosely because numpy's stubs call the product of a float32 array and a
# Python number float64, which it is not, and every line here would need a cast.
F32: TypeAlias = npt.NDArray[Any]


class Purpose(IntEnum):
    """What a stream is for; each purpose draws apart, so none can shift another."""

    LABEL = 0
    ANATOMY = 1
    LESIONS = 2
    ARTEFACTS = 3
    NOISE = 4


class Streams:
    """The random streams of a batch of images for one purpose.

    Args:
        seed: the seed of the whole set.
        images: the numbers of the images in the set, (N,).
        purpose: what the numbers are drawn for.
    """

    def __init__(self, seed: int, images: Sequence[int], purpose: Purpose) -> None:
        self._generators = [np.random.default_rng((seed, image, int(purpose))) for image in images]

    def uniform(self, low: float, high: float, *shape: int) -> F32:
        """Uniform numbers in [low, high), (N, *shape)."""
        return np.float32(low) + np.float32(high - low) * self._unit(shape)

    def normal(self, *shape: int) -> F32:
        """Standard normal numbers, (N, *shape)."""
        numbers = np.empty((len(self._generators), *shape), np.float32)
        for row, generator in enumerate(self._generators):
            numbers[row] = generator.standard_normal(shape, np.float32)
        return numbers

    def integers(self, low: int, high: int, *shape: int) -> npt.NDArray[np.int64]:
        """Whole numbers from low to high, both included, (N, *shape)."""
        span = high - low + 1
        steps = np.minimum(self._unit(shape) * span, span - 1)
        return np.asarray(low + steps.astype(np.int64))

    def chance(self, probability: float, *shape: int) -> npt.NDArray[np.bool_]:
        """True with the given probability, (N, *shape)."""
        return self._unit(shape) < np.float32(probability)

    def _unit(self, shape: tuple[int, ...]) -> F32:
        numbers = np.empty((len(self._generators), *shape), np.float32)
        for row, generator in enumerate(self._generators):
            numbers[row] = generator.random(shape, np.float32)
        return numbers
