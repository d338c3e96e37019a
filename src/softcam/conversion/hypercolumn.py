"""A neck: the features of several stages joined into one map at the size of the finest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.conversion.family import Stages

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Hypercolumn(nn.Module):
    """A backbone whose stages are projected to the same channels, upsampled and added.

        Z = relu(sum_i upsample(norm_i(W_i * Z_i)))

    Each position sees the texture of early stages and the context of late ones, at the early
    stages' resolution; the evidence layer then reads it off as it does any feature map.

    Source: hypercolumns of Hariharan, Arbelaez, Girshick and Malik 2015, "Hypercolumns for object
    segmentation and fine-grained localization", Section 3; one projection per stage in front of
    the sum is the same as one on the joined column.

    Args:
        backbone: Module from images to a list of feature maps.
        channels: Channels of each map.
        width: Channels of the joined map.
        dims: Number of spatial dimensions.
    """

    def __init__(
        self, backbone: nn.Module, channels: Sequence[int], width: int, *, dims: int = 2
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projections = nn.ModuleList(
            nn.Sequential(
                _CONVOLUTIONS[dims](count, width, kernel_size=1, bias=False), _NORMS[dims](width)
            )
            for count in channels
        )
        self.mode = _LINEAR[dims]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the joined map of shape (B, width, h, w), h and w of the finest stage."""
        features = self.backbone(x)
        projected = [layer(stage) for layer, stage in zip(self.projections, features, strict=True)]
        size = max((item.shape[2:] for item in projected), key=lambda shape: shape.numel())
        same = [
            item if item.shape[2:] == size else self._enlarged(item, size) for item in projected
        ]
        total = same[0]
        for item in same[1:]:
            total = total + item
        return F.relu(total)

    def _enlarged(self, maps: Tensor, size: torch.Size) -> Tensor:
        return F.interpolate(maps, size=size, mode=self.mode, align_corners=False)


def with_hypercolumn(taken: Stages, width: int, *, dims: int) -> Stages:
    """Join the features of stages.

    Args:
        taken: A backbone that gives several stages, or one.
        width: Channels of the joined map.
        dims: Number of spatial dimensions.

    Returns:
        The backbone with its neck, which gives one map.
    """
    backbone = taken.backbone if len(taken.channels) > 1 else _Listed(taken.backbone)
    neck = Hypercolumn(backbone, taken.channels, width, dims=dims)
    return Stages(neck, (width,), taken.dropout)


class _Listed(nn.Module):
    """A backbone of one stage that gives it as a list."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.backbone(x)]
