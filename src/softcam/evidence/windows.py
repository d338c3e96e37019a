"""Fully connected layers over a window of positions (VGG, AlexNet), position by position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.evidence.pooled import (
    PULL_LIMIT,
    DropoutStep,
    Held,
    LinearStep,
    Step,
    multiplied_out,
    through,
)


class WindowStep(Step):
    """A fully connected layer over all positions of a window.

    Args:
        weight: Shape (D, C, kh, kw): one matrix (D, C) for each position of the window.
        bias: Shape (D,), or None.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def hold(self, pooled: Tensor) -> Held:
        """Give the layer for flattened windows (B, C * kh * kw)."""
        bias = None if self.bias is None else self.bias.to(pooled.dtype)
        return Held(matrix=self.weight.flatten(1).to(pooled.dtype), shift=bias)


class WindowedEvidence(nn.Module):
    """The exact share of every position in a fully connected head.

    The first layer reads a whole window of positions (7x7 in VGG, 6x6 in AlexNet) and gives each
    its own weights, so what a position adds to the hidden units is known. The activations behind
    it are held as gates taken from the forward pass; each position's share of the logits follows,
    biases are spread evenly, and the mean of the map is the logit.

    Torchvision's models pool the feature map to the size of one window. timm's slide the window
    over a larger map and average; shares of a position in several windows are added.

    Source: the gates are those of `PooledEvidence`; the paper's own way for VGG is new 1x1
    layers (Djoumessi and Berens, MIDL 2026, arXiv 2505.17748, Section 3).

    Args:
        steps: The head's steps: first the `WindowStep`, last a `LinearStep`.
        slides: True when the window slides over larger maps, False when they are pooled to it.
        input_dropout: Dropout probability of single features in front of the first layer.
    """

    kind = "gated"
    dims = 2

    def __init__(
        self, steps: Sequence[Step], *, slides: bool = False, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not isinstance(steps[0], WindowStep) or not isinstance(steps[-1], LinearStep):
            raise ValueError("the first step must be a WindowStep and the last a LinearStep")
        self.steps = nn.ModuleList(steps)
        self.window = tuple(int(length) for length in steps[0].weight.shape[2:])
        self.num_outputs = int(steps[-1].weight.shape[0])
        self.slides = slides
        self.input_dropout = input_dropout
        rates = [step.p for step in steps if isinstance(step, DropoutStep)]
        self.dropout = rates[-1] if rates else 0.0

    def forward(self, features: Tensor) -> Tensor:
        """Give every position its evidence.

        Args:
            features: Shape (B, C, h, w).

        Returns:
            Evidence in float32 or float64: (B, K, kh, kw) where maps are pooled to one window,
            else (B, K, h, w) with h, w at least the window's.

        Raises:
            ValueError: If the features have another number of dimensions.
        """
        if features.ndim != self.dims + 2:
            raise ValueError(
                "evidence head over windows expects features of 4 dimensions, got shape "
                f"{tuple(features.shape)}"
            )
        device = features.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._evidence(features)
        return self._evidence(features)

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
            windows = features.flatten(1)
        else:
            columns_of_windows = F.unfold(features, self.window)
            windows = columns_of_windows.transpose(1, 2).flatten(0, 1)
        shares, constant = self._shares(windows, channels)
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

    def _shares(self, windows: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """Split the logits of windows (N, C * P) into shares (N, K, P) and a constant (N, K)."""
        held, vector = [], windows
        for module in self.steps:
            step: Step = module  # type: ignore[assignment]
            held.append(step.hold(vector))
            vector = through(held[-1:], vector.unsqueeze(-1)).squeeze(-1)
        matrix = held[0].matrix
        assert matrix is not None
        split = torch.unflatten(windows, 1, (channels, -1))
        if self.num_outputs <= PULL_LIMIT:
            # One matrix per window: (N, K, D) times (D, C * P), then each position's channels.
            behind, _ = multiplied_out(held[1:])
            pulled = torch.matmul(behind, matrix)
            if pulled.ndim == 2:  # no step holds factors of its own for each window
                pulled = pulled.unsqueeze(0)
            shares = (torch.unflatten(pulled, 2, (channels, -1)) * split.unsqueeze(1)).sum(2)
        else:
            by_position = torch.unflatten(matrix, 1, (channels, -1)).permute(2, 0, 1)
            units = torch.bmm(by_position, split.permute(2, 1, 0)).permute(2, 1, 0)
            shares = through([step._replace(shift=None) for step in held[1:]], units)
        return shares, vector - shares.sum(2)
