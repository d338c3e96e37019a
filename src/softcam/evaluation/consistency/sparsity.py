"""How concentrated a map is."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.inputs import by_chunks, require_maps, unit_positive


def gini(maps: Tensor, of: Literal["absolute", "positive"] = "absolute") -> Tensor:
    """Gini index of a map: 0 if all positions are alike, 1 - 1/n if one of n has everything.

    With the n values x in increasing order: sum((2 i - n - 1) x_i) / (n sum(x)), i from 1 to n.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.
        of: The magnitudes of all values, or the positive part alone.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN if there is nothing to share out.

    Raises:
        InputError: If shape or type differ from these, a map holds NaN or infinity, or `of` is
            unknown.

    Source: Hurley and Rickard, "Comparing measures of sparsity", IEEE Transactions on Information
        Theory 55 (2009); for attributions Chalasani et al., ICML 2020.

    Example:
        >>> gini(torch.tensor([[[0.0, 0.0], [0.0, -2.0]], [[1.0, 1.0], [1.0, 1.0]]]))
        tensor([0.7500, 0.0000], dtype=torch.float64)
    """
    if of not in ("absolute", "positive"):
        raise InputError(f"of is {of!r}; give 'absolute' or 'positive'.")
    require_maps(maps)

    def score(values: Tensor) -> Tensor:
        shared = unit_positive(values.abs() if of == "absolute" else values).sort(1).values
        count = shared.shape[1]
        rank = torch.arange(1, count + 1, dtype=torch.float64, device=shared.device)
        return ((2 * rank - count - 1) * shared).sum(1) / (count * shared.sum(1))

    return by_chunks(score, maps)


def share_above(maps: Tensor, threshold: float = 0.5) -> Tensor:
    """Share of the positions whose evidence reaches a share of the map's maximum.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.
        threshold: Share of the image's own maximum, above 0 and at most 1.

    Returns:
        Float64 tensor of shape (N,), above 0 and at most 1; NaN for a map without positive
        evidence.

    Raises:
        InputError: If shape or type differ from these, a map holds NaN or infinity, or the
            threshold is out of its range.

    Example:
        >>> share_above(torch.tensor([[[4.0, 2.0], [1.0, -9.0]]]))
        tensor([0.5000], dtype=torch.float64)
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}; give a share above 0 and at most 1.")
    require_maps(maps)

    def score(values: Tensor) -> Tensor:
        reached = (unit_positive(values) >= threshold).double().mean(1)
        return reached.masked_fill(reached == 0, torch.nan)

    return by_chunks(score, maps)
