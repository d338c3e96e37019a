"""Where in the image a feature map's cells look: their distance, and the first one's centre.

A map of n cells over N pixels is drawn as if cell i lay over the pixels i N / n to (i + 1) N / n.
Convolutions of odd kernels with a stride do not keep to that: their outputs are centred on the
pixels 0, s, 2s and so on, half a stride up and left of the middle of that cell. At stride 32 these
are 15.5 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from softcam.evidence.geometry import UNUSABLE, unusable
from softcam.evidence.probe import evaluating

_SIDES = {1: 1024, 2: 256, 3: 96}
_IMAGES = 2
_FAINT = 1e-3
"""Brightness of the image: no activation saturates, ReLU6 neither."""


class Placement(NamedTuple):
    """Where a feature map's cells are along one axis.

    Attributes:
        stride: Pixels from a cell's centre to the next one's.
        offset: Pixels from the middle of the cell's share of the image to its true centre; negative
            for up or left. -1.5 for a ResNet's stride 4, 0 for patches.
    """

    stride: float
    offset: float


def placements(
    backbone: nn.Module, channels: int, *, dims: int = 2, size: Sequence[int] | None = None
) -> list[tuple[Placement, ...]]:
    """Measure where the cells of a backbone's feature maps look.

    The gradient of the middle cells at the pixels has its centre of mass where they look. To
    see the layers' geometry and not their training, the weights are replaced by random positive
    ones, which are the same at each place of a kernel, for the measurement; its result is rounded
    to half pixels. The random numbers are seeded.

    Args:
        backbone: Module from images (B, C, ...) to a feature map, or to a list of them.
        channels: Number of input channels.
        dims: Number of spatial dimensions.
        size: Spatial size of an image that it takes, in pixels; None for a large square.

    Returns:
        For each feature map, its placement along each axis; that of patches where a cell looks at
        nothing.

    Raises:
        InputError: If the backbone takes no image of that size.
    """
    shape = tuple(size or (_SIDES[dims],) * dims)
    generator = torch.Generator().manual_seed(0)
    with evaluating(backbone), torch.inference_mode(False), torch.enable_grad():
        image = torch.rand((_IMAGES, channels, *shape), generator=generator) + 0.5
        image *= _FAINT
        parameter = next(backbone.parameters(), image)
        image = image.to(parameter.device).requires_grad_()
        try:
            found = torch.func.functional_call(backbone, _positive(backbone, generator), (image,))
        except UNUSABLE as error:
            raise unusable(shape, error) from error
        maps = [found] if isinstance(found, Tensor) else list(found)
        return [_placed(item, image) for item in maps]


def _placed(features: Tensor, image: Tensor) -> tuple[Placement, ...]:
    sizes = features.shape[2:]
    middle = [size // 2 for size in sizes]
    # Around it as many on either side: what a max pool picks is chance, which averages out.
    block = features
    for axis, (size, cell) in enumerate(zip(sizes, middle, strict=True), start=2):
        around = size // 8
        block = block.narrow(axis, cell - around, 2 * around + 1)
    (gradient,) = torch.autograd.grad(block.sum(), image, retain_graph=True)
    weights = gradient.detach().abs().double().sum(dim=(0, 1))
    result = []
    for axis, (cells, cell) in enumerate(zip(sizes, middle, strict=True)):
        others = [other for other in range(weights.ndim) if other != axis]
        line = weights.sum(dim=others) if others else weights
        stride = 2.0 ** round(math.log2(len(line) / cells))
        centres = torch.arange(len(line), dtype=torch.float64, device=line.device) + 0.5
        centre = float((line * centres).sum() / line.sum())
        offset = round(2 * (centre - (cell + 0.5) * stride)) / 2 if math.isfinite(centre) else 0.0
        result.append(Placement(stride, max(-stride / 2, min(stride / 2, offset))))
    return tuple(result)


def _positive(module: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Give positive weights that are the same all over a kernel, and norms that do nothing.

    In float32: half precision would lose the gradient on its way.
    """
    values: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2:
            shape = (*parameter.shape[:2], *(1,) * (parameter.ndim - 2))
            drawn = torch.rand(shape, generator=generator).to(parameter.device) + 0.5
            fan_in = parameter.numel() // parameter.shape[0]
            values[name] = (drawn / fan_in).expand_as(parameter).contiguous()
        else:
            value = float(not name.endswith("bias"))
            values[name] = torch.full_like(parameter, value, dtype=torch.float32)
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value = float(name.endswith("running_var"))
            values[name] = torch.full_like(buffer, value, dtype=torch.float32)
        elif buffer.is_floating_point():
            values[name] = buffer.float()
    return values


def resampling(
    cells: int, source: int, pixels: int, placement: Placement | Sequence[float]
) -> Tensor:
    """Give the matrix that brings a feature map to the cells of another along one axis.

    Args:
        cells: Number of cells wanted; cell j is centred at (j + 0.5) pixels / cells.
        source: Number of cells there are.
        pixels: Length of the image.
        placement: Where these look.

    Returns:
        Weights (cells, source), float32: linear interpolation between the two nearest true
        centres, the outermost value beyond them; rows add up to 1.
    """
    stride, offset = placement
    centres = (torch.arange(cells) + 0.5) * (pixels / cells)
    place = ((centres - offset) / stride - 0.5).clamp(0, source - 1)
    lower = place.floor().clamp(max=max(source - 2, 0))
    share = (place - lower)[:, None]
    columns = torch.arange(source)
    below = (columns == lower[:, None]).float()
    above = (columns == lower[:, None] + 1).float()
    return below * (1 - share) + above * share
