"""Pixels ranked or cut by the map, against the mask: average precision, IoU and Dice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.inputs import by_chunks, marked, require_pair, unit_positive

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """How well the area of strong evidence covers the lesion.

    Attributes:
        iou: Float64 tensor of shape (N,): intersection over union, between 0 and 1.
        dice: Float64 tensor of shape (N,): twice the intersection by the sum of both areas.
        threshold: Float64 tensor of shape (N,): the area is where s reaches it; s is the positive
            part of the map, by its maximum.
    """

    iou: Tensor
    dice: Tensor
    threshold: Tensor


def average_precision(maps: Tensor, masks: Tensor) -> Tensor:
    """Average precision of the pixels, ranked by their positive evidence.

    The sum over distinct values of (recall - recall before) times precision, without
    interpolation; pixels of one value are taken together, those without positive evidence last.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; negative values count
            as zero.
        masks: Boolean tensor of the same shape, true on annotated pixels.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for an empty mask. A map that ranks
        nothing (constant, or without positive evidence) has the lesion's share of the area.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Example:
        Taken one after another, the lesion's pixels are first and third: 1/2 + 1/2 times 2/3.

        >>> maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> average_precision(maps, masks)
        tensor([0.8333], dtype=torch.float64)
    """
    values = []
    for _, found, taken, lesion in _cuts(maps, masks):
        gain = np.diff(found, prepend=0)
        with np.errstate(invalid="ignore"):  # 0 / 0: an empty mask
            values.append(np.float64((gain * (found / taken)).sum()) / lesion)
    return _as_tensor(values, maps)


def best_overlap(maps: Tensor, masks: Tensor) -> Overlap:
    """IoU and Dice at the threshold that suits the image best.

    All distinct positive values of the map are tried, so the mask chooses the threshold: an upper
    bound, to be read beside `overlap_at`. IoU and Dice have the same best threshold.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.
        masks: Boolean tensor of the same shape, true on annotated pixels.

    Returns:
        Values of each image; among equal ones the highest threshold. NaN for an empty mask; 0 at
        a threshold of NaN for a map without positive evidence.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Example:
        At 2 of 4 the three strongest pixels hold both of the lesion's.

        >>> maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> best = best_overlap(maps, masks)
        >>> best.iou, best.dice, best.threshold
        (tensor([0.6667], dtype=torch.float64), tensor([0.8000], dtype=torch.float64), \
tensor([0.5000], dtype=torch.float64))
    """
    rows = []
    for levels, found, taken, lesion in _cuts(maps, masks):
        positive = levels > 0
        if not lesion:
            rows.append((np.nan, np.nan, np.nan))
        elif not positive.any():
            rows.append((0.0, 0.0, np.nan))
        else:
            shared, area = found[positive], taken[positive]
            iou = shared / (area + lesion - shared)
            best = int(iou.argmax())
            dice = 2 * shared[best] / (area[best] + lesion)
            rows.append((float(iou[best]), float(dice), float(levels[best] / levels[0])))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Overlap(*(_as_tensor(table[:, column], maps) for column in range(3)))


def overlap_at(maps: Tensor, masks: Tensor, threshold: float = 0.5) -> Overlap:
    """IoU and Dice of the area where the map reaches a share of its maximum.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.
        threshold: Share of the image's own maximum, above 0 and at most 1.

    Returns:
        Values of each image; NaN for an empty mask, 0 for a map without positive evidence.

    Raises:
        InputError: If shapes or types differ from these, a map holds NaN or infinity, or the
            threshold is out of its range.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> overlap_at(maps, masks, 0.6).iou  # of 4 and 3, one is in the lesion of two pixels
        tensor([0.3333], dtype=torch.float64)
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}; give a share above 0 and at most 1.")
    require_pair(maps, masks)

    def areas(values: Tensor, inside: Tensor) -> Tensor:
        cut = unit_positive(values) >= threshold
        return torch.stack([(cut & inside).sum(1), cut.sum(1), inside.sum(1)], dim=1).double()

    shared, area, lesion = by_chunks(areas, maps, masks).unbind(1)
    empty = lesion == 0
    iou = (shared / (area + lesion - shared)).masked_fill(empty, torch.nan)
    dice = (2 * shared / (area + lesion)).masked_fill(empty, torch.nan)
    return Overlap(iou, dice, torch.full_like(iou, threshold).masked_fill(empty, torch.nan))


def topk_intersection(maps: Tensor, masks: Tensor, k: int = 1000) -> Tensor:
    """Share of the k highest pixels that lie on the lesion.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit, negative values
            included; of the pixels that share the k-th highest value, as many as there is room
            for count, at the mean of all of them.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.
        k: How many pixels are taken; all, if the image has fewer.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for an empty mask.

    Raises:
        InputError: If shapes or types differ from these, a map holds NaN or infinity, or k is
            below 1.

    Source: Theiner et al., "Interpretable semantic photo geolocation", WACV 2022.

    Example:
        >>> maps = torch.tensor([[[4.0, 3.0], [3.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> topk_intersection(maps, masks, k=2)  # 4 is a hit, of the two 3s one is
        tensor([0.7500], dtype=torch.float64)
    """
    if k < 1:
        raise InputError(f"k is {k}; give 1 or more.")
    require_pair(maps, masks)
    if not len(maps):
        return torch.zeros(0, dtype=torch.float64, device=maps.device)

    def score(values: Tensor, inside: Tensor) -> Tensor:
        taken = min(k, values.shape[1])
        highest, where = values.topk(taken, dim=1, sorted=False)
        last = highest.amin(1, keepdim=True)
        above = highest > last
        hits = (inside.gather(1, where) & above).sum(1)
        ties = values == last
        share = (ties & inside).count_nonzero(dim=1).double() / ties.count_nonzero(dim=1)
        return (hits + (taken - above.sum(1)) * share) / taken

    return by_chunks(score, maps, masks, exact=False).masked_fill(~marked(masks), torch.nan)


def _cuts(
    maps: Tensor, masks: Tensor
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64], int]]:
    """Cut every map at all its distinct values, negative ones as zero, from the highest down.

    Yields:
        For each image the values (float64), how many of the lesion's pixels and how many pixels
        at all reach them, and the size of the lesion.
    """
    require_pair(maps, masks)
    values = maps.detach().cpu().flatten(1)
    wide = values.dtype == torch.float64
    number: Any
    key: Any
    number, key = (np.float64, np.uint64) if wide else (np.float32, np.uint32)
    for row, inside in zip(values, masks.cpu().flatten(1).numpy(), strict=True):
        saliency = row.numpy() if wide else row.float().numpy()
        saliency = np.where(saliency > 0, saliency, number(0))
        # Bits of numbers from zero up sort as the numbers do and leave the sign bit free: the
        # lesion goes there in their stead, so that one plain sort takes the pairs along.
        keys = np.sort(saliency.view(key) << key(1) | inside)[::-1]
        last = np.flatnonzero(np.append(keys[1:] >> key(1) != keys[:-1] >> key(1), True))
        found = np.cumsum(keys & key(1), dtype=np.int64)[last]
        levels = (keys[last] >> key(1)).view(number).astype(np.float64)
        yield levels, found, last + 1, int(found[-1])


def _as_tensor(values: list[Any] | Floats, like: Tensor) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float64), device=like.device)
