"""Draw a set of phantoms: images, labels and the exact masks of everything findable."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.data.phantom.chest import CHEST
from softcam.data.phantom.fundus import FUNDUS
from softcam.data.phantom.oct import OCT
from softcam.data.phantom.scene import CLASSES, POSITIVE, Drawing, Modality, Scene
from softcam.data.phantom.streams import Purpose, Streams
from softcam.errors import InputError

MODALITIES: Mapping[str, Modality] = {"fundus": FUNDUS, "oct": OCT, "chest": CHEST}

#: The smallest image in which anatomy and lesions still can be told apart.
SMALLEST = 32
_MOST_LESIONS = 64
#: Pixels drawn at once: few enough for the processor's cache, enough to be worth a batch.
_BATCH_PIXELS = 1 << 18


@dataclass(frozen=True)
class PhantomSet:
    """A drawn set of N images.

    Attributes:
        modality: "fundus", "oct" or "chest".
        images: uint8, (N, height, width, 3) for fundus and (N, height, width) else.
        labels: int64, (N,), index into the classes.
        masks: for each finding bool (N, height, width), true where its profile, which runs from
            0 (untouched) to 1 (fully the finding), is at least 0.25.
        findings: what each finding speaks for: a class, "distractor" or "organ".
        classes: the names of the classes, in the order of the labels.
        positive: the name of the class with lesions.
    """

    modality: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    masks: Mapping[str, npt.NDArray[np.bool_]]
    findings: Mapping[str, str]
    classes: tuple[str, ...] = CLASSES
    positive: str = POSITIVE

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)


def draw(
    modality: str,
    n: int,
    *,
    size: int = 128,
    prevalence: float = 0.5,
    difficulty: float = 0.5,
    lesions: tuple[int, int] | None = None,
    seed: int = 0,
) -> PhantomSet:
    """Draw n phantoms of a modality.

    Image i depends on the seed, i and the parameters alone, so that a larger set begins with the
    smaller one. A diseased image is its healthy twin with lesions added: the same seed with
    prevalence 0 gives the twin. Distractors are drawn without knowledge of the class.

    Args:
        modality: "fundus", "oct" or "chest".
        n: how many images, at least 1.
        size: height and width in pixels, at least 32.
        prevalence: the probability that an image is diseased, 0 to 1.
        difficulty: from 0 (large, strong lesions and little noise) to 1.
        lesions: the least and greatest number of lesions in a diseased image; by default
            (2, 8) for fundus, (1, 5) for oct and (1, 4) for chest. A cluster of exudates is one.
        seed: a whole number, at least 0.

    Returns:
        The set; images of one batch after the other are drawn, so memory is little more than it.

    Raises:
        InputError: an argument cannot be used.
    """
    batches = list(
        draw_batches(
            modality,
            n,
            size=size,
            prevalence=prevalence,
            difficulty=difficulty,
            lesions=lesions,
            seed=seed,
        )
    )
    first = batches[0]
    return PhantomSet(
        modality=modality,
        images=np.concatenate([batch.images for batch in batches]),
        labels=np.concatenate([batch.labels for batch in batches]),
        masks={
            finding: np.concatenate([batch.masks[finding] for batch in batches])
            for finding in first.masks
        },
        findings=first.findings,
    )


def draw_batches(
    modality: str,
    n: int,
    *,
    size: int = 128,
    prevalence: float = 0.5,
    difficulty: float = 0.5,
    lesions: tuple[int, int] | None = None,
    seed: int = 0,
) -> Iterator[PhantomSet]:
    """Draw the set of `draw` batch by batch, in order, in bounded memory.

    The arguments are those of `draw`, and they are checked at the call, not at the first batch.

    Raises:
        InputError: an argument cannot be used.
    """
    kind = _check(modality, n, size, prevalence, difficulty, lesions, seed)
    return _batches(modality, kind, n, size, prevalence, difficulty, lesions, seed)


def _batches(
    modality: str,
    kind: Modality,
    n: int,
    size: int,
    prevalence: float,
    difficulty: float,
    lesions: tuple[int, int] | None,
    seed: int,
) -> Iterator[PhantomSet]:
    step = max(1, _BATCH_PIXELS // size**2)
    for start in range(0, n, step):
        images = range(start, min(n, start + step))
        ill = Streams(seed, images, Purpose.LABEL).chance(prevalence)
        labels = ill.astype(np.int64)
        scene = Scene(images, labels, size, difficulty, lesions or kind.lesions, seed)
        drawing: Drawing = kind.draw(scene)
        yield PhantomSet(modality, drawing.images, labels, drawing.masks, dict(kind.findings))


def _check(
    modality: str,
    n: int,
    size: int,
    prevalence: float,
    difficulty: float,
    lesions: tuple[int, int] | None,
    seed: int,
) -> Modality:
    kind = MODALITIES.get(modality)
    if kind is None:
        known = ", ".join(MODALITIES)
        raise InputError(f"There is no phantom of modality {modality!r}; choose one of {known}.")
    for name, number, least in (("n", n, 1), ("size", size, SMALLEST), ("seed", seed, 0)):
        if not _whole(number) or number < least:
            raise InputError(f"{name} is {number!r}; give a whole number of at least {least}.")
    for name, share in (("prevalence", prevalence), ("difficulty", difficulty)):
        if not isinstance(share, (int, float)) or not math.isfinite(share) or not 0 <= share <= 1:
            raise InputError(f"{name} is {share!r}; give a number from 0 to 1.")
    if lesions is not None:
        pair = tuple(lesions) if isinstance(lesions, (tuple, list)) else ()
        usable = len(pair) == 2 and all(_whole(number) for number in pair)
        if not usable or not 1 <= pair[0] <= pair[1] <= _MOST_LESIONS:
            raise InputError(
                f"lesions is {lesions!r}; give the least and the greatest number in an image, "
                f"from 1 to {_MOST_LESIONS}."
            )
    return kind


def _whole(number: object) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)
