"""Maps and masks that are awkward to score, and slow scores of single pixels in float64."""

from __future__ import annotations

import itertools
import math

import torch
from hypothesis import strategies as st
from torch import Tensor

LEVELS = [-2.0, -0.0, 0.0, 0.5, 1.0, 3.0]


@st.composite
def cases(draw, dims=(2, 3)):
    """Small maps with many equal values, some all negative, and masks that may be empty."""
    sides = draw(st.sampled_from(dims))
    shape = [draw(st.integers(1, 3)), *(draw(st.integers(1, 6 - sides)) for _ in range(sides))]
    cells = math.prod(shape)
    value = st.one_of(st.sampled_from(LEVELS), st.floats(-5, 5, width=32))
    values = draw(st.lists(value, min_size=cells, max_size=cells))
    lesion = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    maps = torch.tensor(values, dtype=dtype).view(shape)
    masks = torch.tensor(lesion).view(shape)
    if draw(st.booleans()):
        masks[0] = False
    if draw(st.booleans()):
        maps[-1] = -maps[-1].abs()
    if draw(st.booleans()):
        maps[0] = maps[0].flatten()[0]
    return maps, masks


def pairs(maps: Tensor, masks: Tensor) -> list[tuple[list[float], list[bool]]]:
    """The pixels of each image in raster order: positive evidence and whether on the lesion."""
    return [
        ([max(value, 0.0) for value in row.double().flatten().tolist()], mask.flatten().tolist())
        for row, mask in zip(maps, masks, strict=True)
    ]


def scaled(values: list[float]) -> list[float]:
    """Divide by the maximum, if there is one."""
    peak = max(values)
    return [value / peak for value in values] if peak > 0 else values


def gini_of(values: list[float]) -> float:
    """Mean absolute difference of all pairs by twice the mean: the index's other definition."""
    if not sum(values):
        return math.nan
    differences = sum(abs(a - b) for a, b in itertools.product(values, repeat=2))
    return differences / (2 * len(values) * sum(values))


def ranks_of(values: list[float]) -> list[float]:
    """Mean ranks: how many are less, and half of those that are equal."""
    return [
        sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2
        for value in values
    ]


def correlation(first: list[float], second: list[float]) -> float:
    """Pearson's correlation; NaN if one is constant."""
    mean_a, mean_b = sum(first) / len(first), sum(second) / len(second)
    centred = [(a - mean_a, b - mean_b) for a, b in zip(first, second, strict=True)]
    norm = math.sqrt(sum(a * a for a, _ in centred) * sum(b * b for _, b in centred))
    return sum(a * b for a, b in centred) / norm if norm else math.nan
