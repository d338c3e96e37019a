"""A neck: the features of several stages joined into one map at the size of the finest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from softcam.conversion.family import Stages
from softcam.errors import InputError
from softcam.evidence.info import EvidenceForm
from softcam.evidence.placement import Placement, placements, resampling

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Hypercolumn(nn.Module):
    """A backbone whose stages are projected to the same channels, enlarged and added.

        Z = relu(sum_i enlarged(norm_i(W_i * Z_i)))

    Each position sees the texture of early stages and the context of late ones, at the early
    stages' resolution; the evidence layer then reads it off as it does any feature map. Stages are
    enlarged to where their cells really look (`softcam.evidence.placement`), so that they lie on
    each other, and a cell of the map lies on its share of the image.

    Source: hypercolumns of Hariharan, Arbelaez, Girshick and Malik 2015, "Hypercolumns for object
    segmentation and fine-grained localization", Section 3; one projection per stage in front of
    the sum is the same as one on the joined column.

    Args:
        backbone: Module from images to a list of feature maps.
        channels: Channels of each map.
        width: Channels of the joined map.
        dims: Number of spatial dimensions.
        placed: Where the cells of each map look, along each axis.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: Sequence[int],
        width: int,
        *,
        dims: int = 2,
        placed: Sequence[Sequence[Sequence[float]]],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projections = nn.ModuleList(
            nn.Sequential(
                _CONVOLUTIONS[dims](count, width, kernel_size=1, bias=False), _NORMS[dims](width)
            )
            for count in channels
        )
        self.placed = [[Placement(*axis) for axis in stage] for stage in placed]
        self.relu = nn.ReLU()

    def extra_repr(self) -> str:
        """Say where the stages lie: two necks of the same weights may differ in that."""
        return f"placed={[[tuple(axis) for axis in stage] for stage in self.placed]}"

    def forward(self, x: Tensor) -> Tensor:
        """Compute the joined map of shape (B, width, h, w), h and w of the finest stage."""
        features = self.backbone(x)
        projected = [layer(stage) for layer, stage in zip(self.projections, features, strict=True)]
        size = max((tuple(item.shape[2:]) for item in projected), key=math.prod)
        enlarged = [
            _resampled(item, size, x.shape[2:], placed)
            for item, placed in zip(projected, self.placed, strict=True)
        ]
        total = enlarged[0]
        for item in enlarged[1:]:
            total = total + item
        return cast(Tensor, self.relu(total))


def _resampled(
    maps: Tensor, size: Sequence[int], pixels: Sequence[int], placed: Sequence[Placement]
) -> Tensor:
    """Bring maps to other cells, axis by axis; matrices do it the same on every device."""
    for axis, (cells, length, place) in enumerate(zip(size, pixels, placed, strict=True), start=2):
        matrix = resampling(cells, maps.shape[axis], length, place)
        matrix = matrix.to(maps.device, maps.dtype)
        maps = torch.matmul(maps.movedim(axis, -1), matrix.T).movedim(-1, axis)
    return maps


def with_hypercolumn(
    taken: Stages,
    form: EvidenceForm,
    *,
    channels: int,
    dims: int,
    sizes: Sequence[Sequence[int]] = (),
) -> Stages:
    """Join the features of stages.

    Args:
        taken: A backbone that gives several stages, or one.
        form: Width of the joined map, and where the stages' cells look, which is measured if it
            is not known.
        channels: Number of input channels.
        dims: Number of spatial dimensions.
        sizes: Image sizes that the backbone may take, if it does not take any.

    Returns:
        The backbone with its neck, which gives one map.
    """
    backbone = taken.backbone if len(taken.channels) > 1 else _Listed(taken.backbone)
    placed: Sequence[Sequence[Sequence[float]]] | None = form.placed
    if placed is None or [len(stage) for stage in placed] != [dims] * len(taken.channels):
        placed = _measured(backbone, channels, dims, sizes)
    neck = Hypercolumn(backbone, taken.channels, form.neck_width, dims=dims, placed=placed)
    return Stages(neck, (form.neck_width,), taken.dropout)


def _measured(
    backbone: nn.Module, channels: int, dims: int, sizes: Sequence[Sequence[int]]
) -> list[tuple[Placement, ...]]:
    """Measure with a large image, or with the first that the backbone takes."""
    refusal: InputError | None = None
    for size in (None, *sizes):
        try:
            return placements(backbone, channels, dims=dims, size=size)
        except InputError as error:
            refusal = refusal or error
    raise refusal or InputError("the backbone takes no image.")


def measured(model: nn.Module, form: EvidenceForm) -> EvidenceForm:
    """Complete a form with what its model's neck has measured.

    Args:
        model: The backbone of a SoftCAM.
        form: What it was built from.

    Returns:
        The form with the stages' places; without a neck, the form as it is.
    """
    if not isinstance(model, Hypercolumn):
        return form
    placed = tuple(tuple((axis.stride, axis.offset) for axis in stage) for stage in model.placed)
    return form.model_copy(update={"placed": placed})


class _Listed(nn.Module):
    """A backbone of one stage that gives it as a list."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.backbone(x)]
