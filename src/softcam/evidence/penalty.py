"""The ElasticNet penalty that shapes evidence maps during training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from softcam.errors import InputError


@dataclass(frozen=True)
class ElasticNet:
    """L1 for sparse evidence, L2 for smooth evidence, per element.

    penalty = l1 * mean |A| + l2 * mean A^2, the mean over batch, classes and positions, so that
    a weight means the same at any map size and number of classes.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3; Zou and Hastie 2005.

    Args:
        l1: Weight of the mean absolute evidence, at least 0.
        l2: Weight of the mean squared evidence, at least 0.

    Raises:
        InputError: If a weight is negative or not finite.

    Example:
        >>> import torch
        >>> ElasticNet(l1=0.5, l2=0.25)(torch.full((1, 2, 3, 3), -2.0))
        tensor(2.)
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("l1", self.l1), ("l2", self.l2)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be a finite number of at least 0, not {value}.")

    def __call__(self, evidence: Tensor) -> Tensor:
        """Compute the penalty.

        Args:
            evidence: Shape (B, K, ...), in logit units.

        Returns:
            A scalar tensor.
        """
        penalty = evidence.new_zeros(())
        if self.l1:
            penalty = penalty + self.l1 * evidence.abs().mean()
        if self.l2:
            penalty = penalty + self.l2 * evidence.square().mean()
        return penalty
