"""Does the explanation add up to what it explains."""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.inputs import require_finite


def evidence_error(evidence: Tensor, logits: Tensor) -> Tensor:
    """How far the mean of the maps is from the logits, which for a SoftCAM are one.

    max over classes of |mean(map) - logit|, by the largest |logit| of the batch.

    Args:
        evidence: Float tensor of shape (N, K, h, w) or (N, K, d, h, w), in logit units.
        logits: Float tensor of shape (N, K).

    Returns:
        Float64 tensor of shape (N,); NaN if all logits of the batch are 0.

    Raises:
        InputError: If shapes do not fit, or a value is NaN or infinite.

    Example:
        >>> evidence = torch.tensor([[[[1.0, 3.0]]], [[[4.0, 4.0]]]])
        >>> evidence_error(evidence, torch.tensor([[2.0], [5.0]]))
        tensor([0.0000, 0.2000], dtype=torch.float64)
    """
    if evidence.ndim < 4 or evidence.shape[:2] != logits.shape or not evidence[:1].numel():
        raise InputError(
            f"Evidence of shape {tuple(evidence.shape)} and logits of shape "
            f"{tuple(logits.shape)}; give (N, K, h, w) and (N, K)."
        )
    require_finite(evidence)
    require_finite(logits)
    expected = logits.detach().double()
    gap = (evidence.detach().flatten(2).mean(2, dtype=torch.float64) - expected).abs()
    return gap.amax(1) / expected.abs().amax()


def attribution_error(attributions: Tensor, output: Tensor, baseline: Tensor) -> Tensor:
    """How far attributions are from summing up to what the model gained over a baseline.

    |sum(attributions) - (f(x) - f(baseline))| / |f(x) - f(baseline)|.

    Args:
        attributions: Float tensor of shape (N, ...), in the unit of the output.
        output: Float tensor of shape (N,): the model's output for the images, f(x).
        baseline: Float tensor of shape (N,): its output for the baseline of each.

    Returns:
        Float64 tensor of shape (N,); NaN where the two outputs are equal.

    Raises:
        InputError: If shapes do not fit, or a value is NaN or infinite.

    Source: Sundararajan et al., "Axiomatic attribution for deep networks", ICML 2017, section 3
        (completeness).

    Example:
        >>> attributions = torch.tensor([[[1.0, 2.0]], [[1.0, 2.0]]])
        >>> attribution_error(attributions, torch.tensor([4.0, 5.0]), torch.tensor([1.0, 1.0]))
        tensor([0.0000, 0.2500], dtype=torch.float64)
    """
    shape = (len(attributions),)
    if attributions.ndim < 2 or output.shape != shape or baseline.shape != shape:
        raise InputError(
            f"Attributions of shape {tuple(attributions.shape)} with outputs of shapes "
            f"{tuple(output.shape)} and {tuple(baseline.shape)}; give (N, ...), (N,) and (N,)."
        )
    for values in (attributions, output[:, None], baseline[:, None]):
        require_finite(values)
    gained = output.detach().double() - baseline.detach().double()
    total = attributions.detach().flatten(1).sum(1, dtype=torch.float64)
    return ((total - gained) / gained).abs().masked_fill(gained == 0, torch.nan)
