"""Which lesions the map finds, one by one, and how that depends on their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.inputs import require_pair

SIZES = (0.001, 0.01)
"""Default borders between small, middle and large lesions, as shares of the image's area."""

THRESHOLD = 0.5
"""Default share of the map's maximum that a lesion must reach to count as found."""


@dataclass(frozen=True)
class Lesions:
    """Annotated lesions, each with the evidence on it. All arrays have shape (L,).

    Attributes:
        image: Index of the image.
        area: Area in pixels.
        share: Area as a share of the image.
        mean: Mean of s on the lesion, where s is the positive part of the map, by its maximum.
        peak: Highest s on the lesion; NaN, as the mean, for a map without positive evidence.
        pointed: Whether the map's highest pixel (the first of equal ones) lies on the lesion.
    """

    image: npt.NDArray[np.int64]
    area: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    peak: npt.NDArray[np.float64]
    pointed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)

    def found(self, threshold: float = THRESHOLD) -> npt.NDArray[np.bool_]:
        """Tell which lesions the map touches where it is cut at a share of its maximum.

        Args:
            threshold: Share of the image's own maximum, above 0 and at most 1.

        Returns:
            Booleans of shape (L,); false where the map has no positive evidence.

        Raises:
            InputError: If the threshold is out of its range.
        """
        if not 0 < threshold <= 1:
            raise InputError(f"threshold is {threshold}; give a share above 0 and at most 1.")
        return np.asarray(self.peak >= threshold)


@dataclass(frozen=True)
class SizeClass:
    """How many lesions of one size were found.

    Attributes:
        low: Smallest share of the image's area, included.
        high: Largest share, not included (but 1 is).
        lesions: Number of lesions.
        found: Number of those that were found.
    """

    low: float
    high: float
    lesions: int
    found: int

    @property
    def recall(self) -> float:
        """Share of the lesions that were found; NaN without lesions."""
        return self.found / self.lesions if self.lesions else float("nan")


def lesions(maps: Tensor, masks: Tensor) -> Lesions:
    """Take masks apart into lesions and look at the evidence on each.

    A lesion is a connected part of the mask; pixels that touch at a corner belong together. Give
    the masks of one finding at a time: findings that touch would become one lesion.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; negative values count
            as zero.
        masks: Boolean tensor of the same shape, true on the pixels of the finding.

    Returns:
        The lesions in the order of the images; none for an empty mask.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Example:
        >>> maps = torch.tensor([[[4.0, 0.0, 1.0], [2.0, 0.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False, True], [True, False, False]]])
        >>> found = lesions(maps, masks)
        >>> found.area.tolist(), found.mean.tolist(), found.peak.tolist()
        ([2, 1], [0.75, 0.25], [1.0, 0.25])
        >>> found.found(0.5).tolist()
        [True, False]
    """
    require_pair(maps, masks)
    structure = np.ones((3,) * (maps.ndim - 1), dtype=bool)
    tables = []
    pairs = zip(maps.detach().cpu(), masks.cpu().numpy(), strict=True)
    for image, (values, inside) in enumerate(pairs):
        labels, count = ndimage.label(inside, structure=structure)
        if not count:
            continue
        positive = values.double().clamp_min(0).numpy()
        top = positive.max()
        # The lesions' pixels alone: most of an image belongs to none.
        owner, marked = labels[inside] - 1, positive[inside]
        area = np.bincount(owner, minlength=count)
        highest = np.zeros(count)
        np.maximum.at(highest, owner, marked)
        with np.errstate(invalid="ignore"):  # 0 / 0: no positive evidence
            mean = np.bincount(owner, weights=marked, minlength=count) / area / top
            peak = highest / top
        pointed = (labels.ravel()[positive.argmax()] == np.arange(1, count + 1)) & (top > 0)
        tables.append(Lesions(np.full(count, image), area, area / labels.size, mean, peak, pointed))
    if not tables:
        none = np.zeros(0)
        whole = none.astype(np.int64)
        return Lesions(whole, whole, none, none, none, none.astype(bool))
    columns = (field.name for field in fields(Lesions))
    return Lesions(*(np.concatenate([getattr(t, name) for t in tables]) for name in columns))


def recall_by_size(
    found: Lesions, threshold: float = THRESHOLD, sizes: Sequence[float] = SIZES
) -> list[SizeClass]:
    """Count found lesions by their size.

    Args:
        found: The lesions of one finding.
        threshold: Share of the map's maximum that a lesion must reach; see `Lesions.found`.
        sizes: Borders between the classes, as shares of the image's area, increasing and between
            0 and 1.

    Returns:
        The classes from the smallest up, one more than borders.

    Raises:
        InputError: If the borders do not increase, or an argument is out of its range.
    """
    borders = [0.0, *sizes, 1.0]
    if any(low >= high for low, high in pairwise(borders)):
        raise InputError(
            f"sizes are {tuple(sizes)}; give increasing shares of the area between 0 and 1."
        )
    hit = found.found(threshold)
    place = np.searchsorted(np.asarray(sizes, dtype=np.float64), found.share, side="right")
    return [
        SizeClass(low, high, int((place == row).sum()), int(hit[place == row].sum()))
        for row, (low, high) in enumerate(pairwise(borders))
    ]
