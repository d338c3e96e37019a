"""How much of a map's evidence speaks for the class, and how much against it."""

from __future__ import annotations

from torch import Tensor

from softcam.evaluation.inputs import by_chunks, require_maps


def positive_share(maps: Tensor) -> Tensor:
    """Share of the evidence that is positive: near 1 is meant where the class is there.

    sum(relu(map)) / sum(|map|). An attribution that is never negative always has 1.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for a map that is 0 everywhere.

    Raises:
        InputError: If shape or type differ from these, or a map holds NaN or infinity.

    Example:
        >>> positive_share(torch.tensor([[[3.0, -1.0], [0.0, 0.0]]]))
        tensor([0.7500], dtype=torch.float64)
    """
    require_maps(maps)
    return by_chunks(_share, maps)


def negative_share(maps: Tensor) -> Tensor:
    """Share of the evidence that is negative: near 1 is meant where the class is not there.

    sum(relu(-map)) / sum(|map|), which is 1 minus `positive_share`.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for a map that is 0 everywhere.

    Raises:
        InputError: If shape or type differ from these, or a map holds NaN or infinity.

    Example:
        >>> negative_share(torch.tensor([[[3.0, -1.0], [0.0, 0.0]]]))
        tensor([0.2500], dtype=torch.float64)
    """
    require_maps(maps)
    return by_chunks(lambda values: _share(-values), maps)


def _share(values: Tensor) -> Tensor:
    # Scaled first: the sum of large float64 values could overflow.
    scaled = values / values.abs().amax(1, keepdim=True) if len(values) else values
    return scaled.clamp_min(0).sum(1) / scaled.abs().sum(1)
