"""Heads that normalise or gate the pooled vector, given their exact spatial form.

Behind the average pool such a head is not linear: a LayerNorm divides by the pooled vector's
spread, an activation bends its units. But for one image the spread is one number, and an
activation is act(u) = act(0) + g u with one gate g per unit. With these factors held at the
values that the pooled vector gives them, the head is an affine map, and an affine map of a mean is
the mean of the affine map at every position: evidence whose mean is the logit, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from softcam.evidence.spatial import SpatialHead
from softcam.evidence.steps import (
    DropoutStep,
    Held,
    LinearStep,
    Step,
    multiplied_out,
    through,
)

PULL_LIMIT = 64
"""Up to so many outputs the held head is multiplied out to one matrix per image; for more it is
cheaper to take every position through the head's layers."""


class PooledEvidence(SpatialHead):
    """The exact spatial form of a head that normalises or gates the pooled vector.

    The steps run once on the pooled vector, which gives every normalisation its mean and scale
    and every activation its gates. With these held, the head is affine; evidence is its value at
    every position, with what is constant (biases, act(0)) spread evenly. It runs in float32
    (float64 for float64 weights) even under autocast, as `EvidenceLayer` does.

    `kind` is "normalised" if only normalisations hold factors, "gated" if an activation does.

    Args:
        steps: The head's steps behind the pool, in order; the last one is a `LinearStep`.
        dims: Number of spatial dimensions.

    Raises:
        ValueError: If the last step is not linear.
    """

    def __init__(self, steps: Sequence[Step], *, dims: int = 2) -> None:
        super().__init__()
        if not steps or not isinstance(steps[-1], LinearStep):
            raise ValueError("the last step of a head must be linear")
        self.dims = dims
        self.steps = nn.ModuleList(steps)
        self.num_outputs = int(steps[-1].weight.shape[0])
        rates = [step.p for step in steps if isinstance(step, DropoutStep)]
        self.dropout = rates[-1] if rates else 0.0
        kinds = {step.kind for step in steps}
        self.kind = next(k for k in ("gated", "normalised", "affine") if k in kinds)

    def _evidence(self, features: Tensor) -> Tensor:
        last: LinearStep = self.steps[-1]  # type: ignore[assignment]
        wide = features.to(torch.promote_types(last.weight.dtype, torch.float32))
        positions = wide.flatten(2)
        held = self._hold(positions.mean(2))
        if self.num_outputs <= PULL_LIMIT:
            matrix, shift = multiplied_out(held)
            evidence = torch.matmul(matrix, positions) + shift.unsqueeze(-1)
        else:
            evidence = through(held, positions)
        return torch.unflatten(evidence, 2, features.shape[2:])

    def _hold(self, pooled: Tensor) -> list[Held]:
        held = []
        for module in self.steps:
            step: Step = module  # type: ignore[assignment]
            held.append(step.hold(pooled))
            pooled = through(held[-1:], pooled.unsqueeze(-1)).squeeze(-1)
        return held
