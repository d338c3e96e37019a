"""The class-evidence layer: the linear classifier, moved in front of the pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.evidence.concentration import concentrate, require_sharpness
from softcam.evidence.spatial import SpatialHead

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_DROP_CHANNELS = {1: F.dropout1d, 2: F.dropout2d, 3: F.dropout3d}


class EvidenceLayer(SpatialHead):
    """A 1x1 convolution from features to one evidence map per class.

    Computes A = W * Z + b. It runs in float32 (float64 for float64 weights) even under autocast
    or with half-precision weights, so that the mean of a map stays the logit to the last digits.

    Head dropout becomes per-channel dropout: a dropped channel is dropped at every position,
    which is what dropping that element of the pooled vector does in the black box.

    With a concentration the positions are weighted by their own evidence, see
    `softcam.evidence.concentration.concentrate`; `plain` gives A before that.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3.

    Args:
        in_channels: C, the number of feature channels.
        num_classes: K, the number of evidence maps.
        dims: Number of spatial dimensions: 1, 2 or 3.
        bias: Whether the layer has a bias (one number per class).
        dropout: Probability that a feature channel is dropped in training.
        activation: An elementwise module behind the convolution, as SqueezeNet's ReLU.
        concentration: Sharpness of the weights of the positions; 0 for the plain mean.

    Raises:
        ValueError: If `dims` is not 1, 2 or 3, or `dropout` is not in [0, 1).
        InputError: If `concentration` is negative or not finite.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        dims: int = 2,
        bias: bool = True,
        dropout: float = 0.0,
        activation: nn.Module | None = None,
        concentration: float = 0.0,
    ) -> None:
        super().__init__()
        if dims not in _CONVOLUTIONS:
            raise ValueError(f"dims must be 1, 2 or 3, not {dims}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, not {dropout}")
        self.dims = dims
        self.dropout = dropout
        self.num_outputs = num_classes
        self.conv = _CONVOLUTIONS[dims](in_channels, num_classes, kernel_size=1, bias=bias)
        self.activation = activation
        self.concentration = require_sharpness(concentration)

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Say how evidence depends on the features, see `SoftCAM.evidence_kind`."""
        return "concentrated" if self.concentration else "affine"

    @classmethod
    def from_linear(
        cls,
        linear: nn.Module,
        *,
        dims: int = 2,
        dropout: float = 0.0,
        activation: nn.Module | None = None,
    ) -> EvidenceLayer:
        """Reshape a linear classifier's weights into an evidence layer that shares them.

        Args:
            linear: The classifier, a linear layer or a 1x1 convolution: weight (K, C) or
                (K, C, 1, ...), bias (K,) or None.
            dims: Number of spatial dimensions of the features.
            dropout: The head's dropout probability.
            activation: An elementwise module behind the classifier and in front of the pool.

        Returns:
            A layer whose evidence has the classifier's logits as its mean.
        """
        weight: Tensor = linear.weight  # type: ignore[assignment]
        outputs, channels = int(weight.shape[0]), int(weight.shape[1])
        layer = cls(
            channels,
            outputs,
            dims=dims,
            bias=linear.bias is not None,
            dropout=dropout,
            activation=activation,
        )
        shape = (outputs, channels, *(1,) * dims)
        layer.conv.weight = nn.Parameter(
            weight.detach().view(shape), requires_grad=weight.requires_grad
        )
        if linear.bias is not None:
            given: Tensor = linear.bias  # type: ignore[assignment]
            layer.conv.bias = nn.Parameter(given.detach(), requires_grad=given.requires_grad)
        return layer

    def extra_repr(self) -> str:
        """Say how sharp it is: two heads of the same weights may differ in that."""
        return f"concentration={self.concentration!r}"

    def forward(self, features: Tensor) -> Tensor:
        """Give every position its evidence.

        Args:
            features: Shape (B, C, ...) with `dims` spatial dimensions.

        Returns:
            Evidence of shape (B, K, ...) in float32 or float64.

        Raises:
            ValueError: If the features have another number of dimensions.
        """
        return concentrate(self.plain(features), self.concentration)

    def plain(self, features: Tensor) -> Tensor:
        """Give every position its evidence before it is concentrated, see `forward`."""
        return super().forward(features)

    def _evidence(self, features: Tensor) -> Tensor:
        weight = self.conv.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        bias = None if self.conv.bias is None else self.conv.bias.to(dtype)
        dropped = _DROP_CHANNELS[self.dims](features.to(dtype), self.dropout, self.training)
        evidence: Tensor = _CONVOLVE[self.dims](dropped, weight.to(dtype), bias)
        return evidence if self.activation is None else self.activation(evidence)


class StageEvidence(nn.Module):
    """Evidence from several backbone stages: one layer each, upsampled and added.

    Coarser maps are repeated (nearest) to the size of the finest one, so that each cell of a
    coarse map keeps its value. Where the sizes do not divide, cells are repeated unequally often;
    the map is then shifted by a constant to keep its mean. So the logits, the mean of the sum,
    are the sum of the stages' means.

    Args:
        in_channels: Channels of each stage's features, in the order that the backbone gives them.
        num_classes: K, the number of evidence maps.
        dims: Number of spatial dimensions.
        dropout: Probability that a feature channel is dropped in training.
        concentration: As in `EvidenceLayer`, of the sum.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        dims: int = 2,
        dropout: float = 0.0,
        concentration: float = 0.0,
    ) -> None:
        super().__init__()
        self.dims = dims
        self.dropout = dropout
        self.num_outputs = num_classes
        self.concentration = require_sharpness(concentration)
        # One bias is enough for a sum; it stands with the first stage.
        self.layers = nn.ModuleList(
            EvidenceLayer(channels, num_classes, dims=dims, bias=i == 0, dropout=dropout)
            for i, channels in enumerate(in_channels)
        )

    @property
    def kind(self) -> str:
        """Say how evidence depends on the features, see `SoftCAM.evidence_kind`."""
        return "concentrated" if self.concentration else "affine"

    @classmethod
    def from_layers(cls, layers: Sequence[EvidenceLayer]) -> StageEvidence:
        """Add evidence layers that there are already; the first takes over all biases.

        Args:
            layers: One for each stage, with the same number of outputs.

        Returns:
            Their sum, with their weights.
        """
        first = layers[0]
        head = cls(
            [layer.conv.in_channels for layer in layers],
            first.num_outputs,
            dims=first.dims,
            dropout=first.dropout,
        )
        biases = [layer.conv.bias.detach() for layer in layers if layer.conv.bias is not None]
        with torch.no_grad():
            for own, layer in zip(head.layers, layers, strict=True):
                own.conv.weight = layer.conv.weight  # type: ignore[union-attr]
            total = sum(biases, first.conv.weight.new_zeros(first.num_outputs))
            head.layers[0].conv.bias = nn.Parameter(total)  # type: ignore[union-attr]
        return head

    def extra_repr(self) -> str:
        """Say how sharp it is: two heads of the same weights may differ in that."""
        return f"concentration={self.concentration!r}"

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Add the stages' evidence at the finest resolution.

        Args:
            features: One tensor of shape (B, C_i, h_i, w_i) for each stage.

        Returns:
            Evidence of shape (B, K, h, w) with the h, w of the finest stage.

        Raises:
            ValueError: If the number of tensors is not the number of stages.
        """
        return concentrate(self.plain(features), self.concentration)

    def plain(self, features: Sequence[Tensor]) -> Tensor:
        """Add the stages' evidence and do not concentrate it, see `forward`."""
        if len(features) != len(self.layers):
            raise ValueError(f"expected features of {len(self.layers)} stages, got {len(features)}")
        maps = [layer(stage) for layer, stage in zip(self.layers, features, strict=True)]
        finest = max(maps, key=lambda item: math.prod(item.shape[2:]))
        size = tuple(finest.shape[2:])
        total = torch.zeros_like(finest)
        for item in maps:
            same = item is finest or tuple(item.shape[2:]) == size
            total = total + (item if same else _repeated(item, size))
        return total


def _repeated(coarse: Tensor, size: tuple[int, ...]) -> Tensor:
    """Upsample maps to a size and keep the mean of each."""
    fine = F.interpolate(coarse, size=size, mode="nearest")
    # A graph for any size cannot ask whether the sizes divide: there the shift is always added.
    if not torch.compiler.is_exporting() and all(
        new % old == 0 for new, old in zip(size, coarse.shape[2:], strict=True)
    ):
        return fine
    spatial = tuple(range(2, coarse.ndim))
    return fine + (coarse.mean(spatial, keepdim=True) - fine.mean(spatial, keepdim=True))
