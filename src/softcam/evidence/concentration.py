"""Concentrated evidence: positions weighted by their own evidence, the mean still the logit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcam.errors import InputError


def concentrate(plain: Tensor, sharpness: float) -> Tensor:
    """Weight each position of a map by how much evidence it holds.

    For each image and class, with n positions i and the plain evidence a of the read-out,

        A_i = n w_i a_i    with    w_i = exp(s a_i) / sum_j exp(s a_j)

    The mean of A, the logit, is the weighted mean of a: the plain mean at s = 0, the maximum as s
    grows. A place with little evidence for its class counts for little in the logit, and so it is
    nearly zero in the map. Between the two the logit asks what a reader asks, whether there is a
    lesion somewhere, and not how much of the image is lesion.

    Source: the operator is softmax-weighted pooling (McFee, Salamon and Bello 2018, "Adaptive
    pooling operators for weakly labeled sound event detection", Section III, there of
    probabilities); its weighted terms as the evidence map are ours.

    Args:
        plain: Evidence of shape (B, K, ...), float32 or float64, in logit units.
        sharpness: s, at least 0, per logit unit; 0 gives `plain` itself.

    Returns:
        Evidence of the same shape, in logit units.

    Example:
        >>> concentrate(torch.tensor([[[0.0, 0.0, 4.0]]]), 1.0).round(decimals=2)
        tensor([[[ 0.0000,  0.0000, 11.5800]]])
    """
    if sharpness == 0:
        return plain
    flat = plain.flatten(2)
    weights = torch.softmax(sharpness * flat, dim=2) * flat.shape[2]
    return (weights * flat).view_as(plain)


def require_sharpness(value: float) -> float:
    """Check a sharpness.

    Args:
        value: What was given.

    Returns:
        The same as a float.

    Raises:
        InputError: If it is negative or not finite.
    """
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"concentration must be a finite number of at least 0, not {value}.")
    return float(value)
