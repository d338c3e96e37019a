"""Patches of an image, and the order in which a map ranks them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, max_pool3d

from softcam.errors import InputError
from softcam.evaluation.inputs import require_finite

_CHUNK = 32  # maps looked at together, so that memory does not grow with their number


@dataclass(frozen=True)
class Raster:
    """A cut of an image into patches that do not overlap, numbered in raster order.

    The patches of the last row and column (and plane) are cut off by the border.

    Attributes:
        shape: Spatial size of the image in pixels, (H, W) or (D, H, W).
        patch: Side of a patch in pixels.

    Raises:
        InputError: If a length is below 1, or there are not two or three of them.

    Example:
        >>> raster = Raster((3, 5), patch=2)
        >>> raster.grid, raster.count
        ((2, 3), 6)
        >>> raster.numbers().tolist()
        [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
        >>> raster.slices(5)
        (slice(2, 3, None), slice(4, 5, None))
    """

    shape: tuple[int, ...]
    patch: int

    def __post_init__(self) -> None:
        if len(self.shape) not in (2, 3) or min(self.shape) < 1 or self.patch < 1:
            raise InputError(
                f"Images of {self.shape} px and patches of {self.patch} px; give images with two "
                "or three sides and a patch, all of 1 px or more."
            )

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of patches along each side."""
        return tuple(math.ceil(side / self.patch) for side in self.shape)

    @property
    def count(self) -> int:
        """Number of patches P."""
        return math.prod(self.grid)

    def numbers(self, device: torch.device | None = None) -> Tensor:
        """Number the pixels by their patch.

        Args:
            device: Where the tensor is made.

        Returns:
            Int64 tensor of the image's shape, values 0 to P - 1.
        """
        numbers = torch.zeros((), dtype=torch.int64, device=device)
        for side, patches in zip(self.shape, self.grid, strict=True):
            along = torch.arange(side, device=device) // self.patch
            numbers = numbers[..., None] * patches + along
        return numbers

    def spread(self, values: Tensor) -> Tensor:
        """Give each pixel the value of its patch.

        Args:
            values: Tensor of shape (B, P).

        Returns:
            Tensor of shape (B, H, W) or (B, D, H, W), contiguous.
        """
        spread = values.reshape(-1, *self.grid)
        for axis in range(len(self.shape), 0, -1):  # rows last: they are copied whole
            side = self.shape[axis - 1]
            spread = spread.repeat_interleave(min(self.patch, side), axis).narrow(axis, 0, side)
        return spread.contiguous()

    def slices(self, number: int) -> tuple[slice, ...]:
        """Give the pixels of one patch.

        Args:
            number: The patch, 0 to P - 1.

        Returns:
            One slice per side of the image.
        """
        found = []
        for side, patches in zip(reversed(self.shape), reversed(self.grid), strict=True):
            number, place = divmod(number, patches)
            found.append(slice(place * self.patch, min((place + 1) * self.patch, side)))
        return tuple(reversed(found))


def check_maps(maps: Tensor) -> None:
    """Refuse what cannot be ranked.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W).

    Raises:
        InputError: If the shape or the type differs, or a map holds NaN or infinity; the images
            are named, counted from 0.
    """
    if maps.ndim not in (3, 4) or 0 in maps.shape[1:]:
        raise InputError(
            f"Maps of shape {tuple(maps.shape)}; they must be (N, H, W), or (N, D, H, W) for "
            "volumes, and have pixels."
        )
    if not maps.is_floating_point():
        raise InputError(f"Maps are {maps.dtype}; give a floating-point type such as float32.")
    starts = range(0, len(maps), _CHUNK)
    if not all(bool(torch.isfinite(maps[i : i + _CHUNK]).all()) for i in starts):
        require_finite(maps)  # names them


def patch_peaks(maps: Tensor, patch: int) -> Tensor:
    """Score each patch by its highest pixel, as `topk_precision` does, but with its sign.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.
        patch: Side of a patch in pixels.

    Returns:
        Tensor of shape (N, P) in raster order; half precision comes back as float32.

    Raises:
        InputError: As `check_maps`, or if the patch is below 1 px.

    Example:
        >>> patch_peaks(torch.tensor([[[1.0, -2.0, -3.0], [0.0, 5.0, -4.0]]]), patch=2).tolist()
        [[5.0, -3.0]]
    """
    check_maps(maps)
    raster = Raster(tuple(maps.shape[1:]), patch)
    # Not more than the image: pooling reserves its kernel beyond the border.
    kernel = tuple(min(patch, side) for side in raster.shape)
    pool = max_pool2d if len(kernel) == 2 else max_pool3d
    peaks = maps.new_empty(len(maps), raster.count, dtype=_ranked_type(maps.dtype))
    for start in range(0, len(maps), _CHUNK):
        part = maps[start : start + _CHUNK].detach().to(peaks.dtype)
        pooled = pool(part[:, None], kernel, kernel, ceil_mode=True)
        peaks[start : start + _CHUNK] = pooled.flatten(1)
    return peaks


def patch_order(maps: Tensor, patch: int) -> Tensor:
    """Rank the patches of each image by its map, the highest first.

    Every patch has a place, those with negative evidence too, so that a curve exists for a map
    that is negative everywhere: give the signed map, as it is. Among equal patches the first in
    raster order comes first, so that a constant map takes them in raster order.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit.
        patch: Side of a patch in pixels; see `scaled_patch` for images of another size than 512.

    Returns:
        Int64 tensor of shape (N, P): patch numbers.

    Raises:
        InputError: As `check_maps`, or if the patch is below 1 px.

    Example:
        >>> patch_order(torch.tensor([[[0.0, -1.0, 2.0, 0.0]]]), patch=1).tolist()
        [[2, 0, 3, 1]]
    """
    return patch_peaks(maps, patch).sort(dim=1, descending=True, stable=True).indices


def patch_ranks(order: Tensor) -> Tensor:
    """Turn an order into the place of each patch.

    Args:
        order: Int64 tensor of shape (N, P): patch numbers, the first ranked first.

    Returns:
        Int32 tensor of shape (N, P): for each patch in raster order its place, from 0.

    Example:
        >>> patch_ranks(torch.tensor([[2, 0, 3, 1]])).tolist()
        [[1, 3, 0, 2]]
    """
    places = torch.arange(order.shape[1], dtype=torch.int32, device=order.device)
    return torch.empty_like(order, dtype=torch.int32).scatter_(1, order, places.expand_as(order))


def replace(images: Tensor, replaced: Tensor, baseline: Tensor) -> Tensor:
    """Put the baseline where pixels are replaced.

    Args:
        images: Tensor of shape (B, C, H, W) or (B, C, D, H, W).
        replaced: Boolean tensor of shape (B, H, W) or (B, D, H, W), true where replaced.
        baseline: Tensor that broadcasts to the images' shape, in their units.

    Returns:
        Tensor of the images' shape.

    Example:
        >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> replaced = torch.tensor([[[True, False], [False, True]]])
        >>> replace(image, replaced, torch.zeros(1, 1, 1, 1)).tolist()
        [[[[0.0, 2.0], [3.0, 0.0]]]]
    """
    return torch.where(replaced[:, None], baseline, images)


def _ranked_type(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype in (torch.float32, torch.float64) else torch.float32
