"""What a modality is told to draw, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from softcam.data.phantom.streams import Purpose, Streams

#: A pixel belongs to a finding where the finding's profile, which runs from 0 (untouched) to 1
#: (fully the finding), is at least this much.
MASK_LEVEL = 0.25

CLASSES = ("healthy", "diseased")
POSITIVE = "diseased"


@dataclass(frozen=True)
class Scene:
    """A batch of images to draw.

    Attributes:
        images: the numbers of the images in the set, N of them.
        labels: 1 where the image gets lesions, (N,).
        size: height and width in pixels.
        difficulty: 0 (large, strong lesions, little noise) to 1.
        lesions: the least and the greatest number of lesions in a diseased image.
        seed: the seed of the whole set.
    """

    images: range
    labels: npt.NDArray[np.int64]
    size: int
    difficulty: float
    lesions: tuple[int, int]
    seed: int

    def streams(self, purpose: Purpose) -> Streams:
        """The batch's random streams for one purpose."""
        return Streams(self.seed, self.images, purpose)

    def between(self, easy: float, hard: float) -> float:
        """The value at this difficulty of what goes from easy (0) to hard (1)."""
        return easy + (hard - easy) * self.difficulty

    def lesion_slots(self, streams: Streams) -> npt.NDArray[np.bool_]:
        """Which of the greatest number of lesions each image has, (N, greatest); none if healthy.

        The count is drawn for healthy images too, so that the stream does not know the label.
        """
        least, greatest = self.lesions
        count = streams.integers(least, greatest) * self.labels
        return np.arange(greatest)[None, :] < count[:, None]


class Drawing(NamedTuple):
    """A drawn batch: uint8 (N, H, W) or (N, H, W, 3), and bool (N, H, W) for each finding."""

    images: npt.NDArray[np.uint8]
    masks: dict[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Modality:
    """One kind of image that can be drawn.

    Attributes:
        draw: draws a batch.
        findings: what is marked, and what it speaks for: a class, "distractor" or "organ".
        lesions: the usual least and greatest number of lesions.
    """

    draw: Callable[[Scene], Drawing]
    findings: Mapping[str, str]
    lesions: tuple[int, int]
