"""Fully connected layers over a window of positions (VGG, AlexNet), position by position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.evidence.pooled import PULL_LIMIT
from softcam.evidence.spatial import SpatialHead
from softcam.evidence.steps import (
    DropoutStep,
    LinearStep,
    Step,
    multiplied_out,
    through,
)


class WindowStep(Step):
    """A fully connected layer over all positions of a window, one matrix for each position.

    The matrices stand one after the other, (kh * kw, C, D), so that one pass over them (400 MB in
    VGG) gives every position's part in the units, as fast as the layer itself gives their sum.

    Args:
        weight: Shape (D, C, kh, kw), as of a convolution; copied into the other order.
        bias: Shape (D,), or None.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.window = (int(weight.shape[2]), int(weight.shape[3]))
        matrices = weight.detach().permute(2, 3, 1, 0).flatten(0, 1).contiguous()
        self.weight = nn.Parameter(matrices, requires_grad=weight.requires_grad)
        self.bias = bias

    def parts(self, windows: Tensor) -> Tensor:
        """Compute every position's part in the units, without the bias.

        Args:
            windows: Shape (N, C, kh * kw).

        Returns:
            Shape (kh * kw, N, D).
        """
        weight = self.weight.to(windows.dtype)
        return torch.bmm(windows.permute(2, 0, 1).contiguous(), weight)


class WindowedEvidence(SpatialHead):
    """The exact share of every position in a fully connected head.

    The first layer reads a whole window of positions (7x7 in VGG, 6x6 in AlexNet) and gives each
    its own weights, so what a position adds to the hidden units is known. The activations behind
    it are held as gates taken from the forward pass; each position's share of the logits follows,
    biases are spread evenly, and the mean of the map is the logit.

    Torchvision's models pool the feature map to the size of one window. timm's slide the window
    over a larger map and average; shares of a position in several windows are added.

    Source: the gates are those of `PooledEvidence`; the paper's own way for VGG is new 1x1
    layers (Djoumessi and Berens, MIDL 2026, arXiv 2505.17748, Section 3).

    Maps are (B, K, kh, kw) where they are pooled to one window, else (B, K, h, w) with h, w at
    least the window's.

    Args:
        steps: The head's steps: first the `WindowStep`, last a `LinearStep`.
        slides: True when the window slides over larger maps, False when they are pooled to it.
        input_dropout: Dropout probability of single features in front of the first layer.
    """

    kind = "gated"

    def __init__(
        self, steps: Sequence[Step], *, slides: bool = False, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not isinstance(steps[0], WindowStep) or not isinstance(steps[-1], LinearStep):
            raise ValueError("the first step must be a WindowStep and the last a LinearStep")
        self.steps = nn.ModuleList(steps)
        self.window = steps[0].window
        self.num_outputs = int(steps[-1].weight.shape[0])
        self.slides = slides
        self.input_dropout = input_dropout
        rates = [step.p for step in steps if isinstance(step, DropoutStep)]
        self.dropout = rates[-1] if rates else 0.0

    def _evidence(self, features: Tensor) -> Tensor:
        first: WindowStep = self.steps[0]  # type: ignore[assignment]
        features = features.to(torch.promote_types(first.weight.dtype, torch.float32))
        rows, columns = self.window
        if self.slides:
            rows, columns = max(rows, features.shape[2]), max(columns, features.shape[3])
        features = F.adaptive_avg_pool2d(features, (rows, columns))
        features = F.dropout(features, self.input_dropout, self.training)
        batch, channels = features.shape[:2]
        one_window = (rows, columns) == self.window
        if one_window:
            windows = features.flatten(2)
        else:
            flat = F.unfold(features, self.window).transpose(1, 2).flatten(0, 1)
            windows = torch.unflatten(flat, 1, (channels, -1))
        shares, constant = self._shares(windows)
        if one_window:
            return (
                torch.unflatten(shares, 2, self.window) * (rows * columns)
                + constant[..., None, None]
            )
        count = windows.shape[0] // batch
        stacked = torch.unflatten(shares, 0, (batch, count)).permute(0, 2, 3, 1).flatten(1, 2)
        added = F.fold(stacked, (rows, columns), self.window)
        mean = torch.unflatten(constant, 0, (batch, count)).mean(1)
        return added * (rows * columns / count) + mean[..., None, None]

    def _shares(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Split the logits of windows (N, C, P) into shares (N, K, P) and a constant (N, K)."""
        first: WindowStep = self.steps[0]  # type: ignore[assignment]
        parts = first.parts(windows)
        # Summed over the first axis: OpenVINO adds a bias along the middle axis of three wrongly
        # to a sum over another (its issue 23616).
        vector = parts.sum(0)
        units = parts.permute(1, 2, 0)
        if first.bias is not None:
            vector = vector + first.bias.to(vector.dtype)
        held = []
        for module in list(self.steps)[1:]:
            step: Step = module  # type: ignore[assignment]
            held.append(step.hold(vector))
            vector = through(held[-1:], vector.unsqueeze(-1)).squeeze(-1)
        if self.num_outputs <= PULL_LIMIT:
            matrix, _ = multiplied_out(held)
            shares = torch.matmul(matrix, units)
        else:
            shares = through([step._replace(shift=None) for step in held], units)
        return shares, vector - shares.sum(2)
