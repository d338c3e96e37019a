"""Does the answer hang on something that is no evidence: put it in, take it out, and ask again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.faithfulness.patches import replace

Floats = npt.NDArray[np.float64]

FLIPS = 0.1
"""Share of answers from which on flips are told as a shortcut."""

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
    removed: Interval
    rise: Interval
    fall: Interval

    @property
    def found(self) -> bool:
        """Whether the finding flips answers: the interval of either share lies above `FLIPS`."""
        return any(
            share.n >= FEWEST and share.low > FLIPS for share in (self.inserted, self.removed)
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it, intervals with their ends and numbers of images."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {
            name: value.to_dict() if isinstance(value, Interval) else value
            for name, value in found.items()
        }
        return {**plain, "found": self.found}

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
                f"{self.rise.value:+.2f})"
            )
        if not np.isnan(self.removed.value):
            flips.append(
                f"painted over, it takes {self.removed.format(2)} of "
                f"{self.removed.n} answers {self.class_name!r} away (probability "
                f"{self.fall.value:+.2f})"
            )
        verdict = (
            f"{self.subject} uses {self.finding!r} as a shortcut"
            if self.found
            else f"{self.subject} is not seen to hang on {self.finding!r}"
        )
        return f"{verdict}: {'; '.join(flips)}."


def transplant(images: Tensor, donor: Tensor, mask: Tensor) -> Tensor:
    """Copy what a mask covers out of one image into others, at the same place.

    Args:
        images: Shape (N, C, H, W).
        donor: Shape (C, H, W), in the same units.
        mask: Boolean (H, W): what is copied.

    Returns:
        Shape (N, C, H, W).

    Example:
        >>> transplant(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 2), torch.tensor([[True, False]]))
        tensor([[[[1., 0.]]]])
    """
    return torch.where(mask, donor[None], images)


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
