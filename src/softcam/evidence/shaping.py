"""Small functions of evidence maps that training may ask to be small, beside the ElasticNet."""

from __future__ import annotations

from torch import Tensor


def contrast_maps(evidence: Tensor) -> Tensor:
    """Give each class's map minus the mean of the others: what decides under a softmax.

    The twin on tensors of `softcam.evidence.decision.contrast`.

    Args:
        evidence: Shape (B, K, ...), in logit units.

    Returns:
        The same shape; a single map (K = 1) as it is.
    """
    count = evidence.shape[1]
    if count == 1:
        return evidence
    return (evidence * count - evidence.sum(1, keepdim=True)) / (count - 1)


def total_variation(evidence: Tensor) -> Tensor:
    """Average the absolute steps between neighbouring cells.

    Source: Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms",
    Physica D 60, 1992; the anisotropic form, per pair of neighbours.

    Args:
        evidence: Shape (B, K, ...), in logit units.

    Returns:
        A scalar tensor: the mean over all pairs along all axes; 0 for maps of one cell.
    """
    steps = [evidence.diff(dim=dim).abs() for dim in range(2, evidence.ndim)]
    pairs = sum(step.numel() for step in steps)
    total = evidence.new_zeros(())
    for step in steps:
        total = total + step.sum()
    return total / max(1, pairs)


def flip_disagreement(evidence: Tensor, flipped: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Measure how far the maps of mirrored images are from the mirrored maps.

    Args:
        evidence: Maps of the images, shape (B, K, ...), in logit units.
        flipped: Maps of the same images mirrored along `axes`, same shape.
        axes: The mirrored axes of the tensor, as -1 for left to right.

    Returns:
        A scalar tensor: the mean squared difference.
    """
    return (flipped - evidence.flip(axes)).square().mean()
