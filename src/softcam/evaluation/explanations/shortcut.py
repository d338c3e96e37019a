"""Does the answer hang on something that is no evidence: put it in, take it out, and ask again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.faithfulness.patches import replace

Floats = npt.NDArray[np.float64]

FLIPS = 0.1
"""Share of answers from which on flips, beyond those of a mere copy, are told as a shortcut."""

FEWEST = 5
"""Answers that could have turned, below which nothing is told: one patient has no interval."""


@dataclass(frozen=True)
class Shortcut:
    """What a finding that is no evidence does to a model's answers.

    Attributes:
        subject: The model.
        class_name: The class that is asked about.
        finding: The finding, such as "corner_mark".
        method: Whose maps `energy` is of.
        area: Mean share of the image that it covers: what a uniform map puts on it.
        energy: Share of a map's positive part on it, mean over the images of the class that have
            it.
        inserted: Share of the answers "not the class" that turn into the class when the finding
            is copied into images without it; NaN without such images.
        copied: Share of the same answers that turn when as much of an image without the finding
            is copied there: what copying alone does.
        beyond: The first share less the second.
        carriers: Share of the images that have the finding, and not the class, which are called
            the class; nothing is copied here.
        others: The same of images with neither.
        removed: Share of the answers "the class" that are lost when it is painted over.
        rise: Mean change of the class's probability on insertion.
        fall: Mean change on removal.
    """

    subject: str
    class_name: str
    finding: str
    method: str
    area: float
    energy: Interval
    inserted: Interval
    copied: Interval
    beyond: Interval
    carriers: Interval
    others: Interval
    removed: Interval
    rise: Interval
    fall: Interval

    @property
    def found(self) -> bool:
        """Whether the finding flips answers: the interval of either share lies above `FLIPS`.

        Of insertion it is the share beyond what copying alone does: the border of a copy, or
        the tissue that comes with it, can turn an answer by itself. It does not count where
        images that have the finding by nature are called the class no more often than others.
        """
        by_nature = min(self.carriers.n, self.others.n) >= FEWEST
        contradicted = by_nature and self.carriers.value <= self.others.value
        return self._clear(self.removed) or (self._clear(self.beyond) and not contradicted)

    @staticmethod
    def _clear(share: Interval) -> bool:
        return share.n >= FEWEST and share.low > FLIPS

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it, intervals with their ends and numbers of images."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {
            name: value.to_dict() if isinstance(value, Interval) else value
            for name, value in found.items()
        }
        return {**plain, "found": self.found}

    def _beside(self) -> str:
        if np.isnan(self.copied.value):
            return ""
        return f", where a copy of an image without it turns {self.copied.value:.2f}"

    def sentence(self) -> str:
        """Say what was found."""
        flips = []
        if not np.isnan(self.energy.value):
            flips.append(
                f"{self.energy.value:.0%} of the positive part of its maps ({self.method}) lies on "
                f"it, where it covers {self.area:.1%} of the image"
            )
        if not np.isnan(self.inserted.value):
            flips.append(
                f"copied into images without it, it turns {self.inserted.format(2)} of "
                f"{self.inserted.n} other answers into {self.class_name!r} (probability "
                f"{self.rise.value:+.2f}){self._beside()}"
            )
        if not np.isnan(self.removed.value):
            flips.append(
                f"painted over, it takes {self.removed.format(2)} of "
                f"{self.removed.n} answers {self.class_name!r} away (probability "
                f"{self.fall.value:+.2f})"
            )
        if self.carriers.n and self.others.n:
            flips.append(
                f"of images that are not {self.class_name!r}, {self.carriers.value:.2f} of "
                f"{self.carriers.n} that have it are called so, and {self.others.value:.2f} of "
                f"{self.others.n} that have it not"
            )
        verdict = (
            f"{self.subject} uses {self.finding!r} as a shortcut"
            if self.found
            else f"{self.subject} is not seen to hang on {self.finding!r}"
        )
        return f"{verdict}: {'; '.join(flips)}."


def soft_cover(
    mask: npt.NDArray[np.bool_], keep_out: npt.NDArray[np.bool_], width: int
) -> npt.NDArray[np.float32]:
    """Give a mask soft borders, so that a copy of what it covers has no cut edge.

    Args:
        mask: Boolean (H, W): what is covered in full.
        keep_out: Boolean (H, W): what is never covered, such as lesions.
        width: Pixels over which the cover falls from one to nothing outside of the mask.

    Returns:
        Shape (H, W), 0..1; all zero if nothing of the mask may be covered.

    Example:
        >>> one = np.array([[False, True, False, False]])
        >>> soft_cover(one, np.zeros((1, 4), dtype=bool), width=1).tolist()
        [[0.5, 1.0, 0.5, 0.0]]
    """
    allowed = mask & ~keep_out
    if not allowed.any():
        return np.zeros(mask.shape, dtype=np.float32)
    away = ndimage.distance_transform_edt(~allowed)
    cover = np.clip(1 - away / (width + 1), 0, 1) * ~keep_out
    return np.asarray(cover, dtype=np.float32)


def transplant(images: Tensor, donors: Tensor, covers: Tensor) -> Tensor:
    """Copy what a cover covers out of other images, at the same place.

    Args:
        images: Shape (N, C, H, W).
        donors: Shape (N, C, H, W), in the same units.
        covers: Shape (N, H, W), 0..1: how much of the donor is seen.

    Returns:
        Shape (N, C, H, W).

    Example:
        >>> transplant(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2), torch.tensor([[[1.0, 0]]]))
        tensor([[[[1., 0.]]]])
    """
    return torch.lerp(images, donors, covers[:, None])


def without(images: Tensor, masks: Tensor, baseline: Baseline, patch: int) -> Tensor:
    """Paint over what masks cover.

    Args:
        images: Shape (N, C, H, W).
        masks: Boolean (N, H, W).
        baseline: What is painted.
        patch: Side of a patch, which some baselines go by.

    Returns:
        Shape (N, C, H, W).
    """
    return replace(images, masks, baseline(images, patch))


def flips(
    before: Floats,
    after: Floats,
    called: Callable[[Floats], npt.NDArray[np.bool_]],
    *,
    towards: bool,
) -> Floats:
    """Say which answers turned.

    Args:
        before: Probability of the class of N images, shape (N,).
        after: The same after a change of the images.
        called: Tells from probabilities whether the class is called.
        towards: Count turns towards the class; else away from it.

    Returns:
        Shape (N,): 1 where the answer turned, 0 where it stayed, NaN where it could not turn
        because it was there already.
    """
    was, now = called(before), called(after)
    able = was if not towards else ~was
    turned = (now == towards).astype(np.float64)
    return np.where(able, turned, np.nan)
