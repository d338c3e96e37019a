"""What a SoftCAM returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Logits and the evidence that they are the mean of.

    Attributes:
        logits: Shape (B, K): for every class the mean of its evidence map over all positions.
        evidence: Shape (B, K, h, w), or (B, K, l) or (B, K, d, h, w) for 1-D and 3-D models:
            one signed map per class, in logit units.
    """

    logits: Tensor
    evidence: Tensor
