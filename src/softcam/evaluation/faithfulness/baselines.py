"""What stands where a patch was taken away: a constant, a blur, the surroundings' mean.

A baseline is called with images and the side of a patch, and answers with what to put in their
place. None is neutral: a constant may be far from any image the model has seen, a blur keeps
what is larger than its width, and the surroundings of a lesion may hold more of it. Report more
than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, conv3d, pad

from softcam.errors import InputError
from softcam.evaluation.faithfulness.patches import Raster

_REACH = 4.0  # standard deviations after which the Gaussian is cut off


class Baseline(Protocol):
    """What replaces a patch: called with images (B, C, H, W) or (B, C, D, H, W) and a patch."""

    def __call__(self, images: Tensor, patch: int) -> Tensor:
        """Give a tensor with B rows that broadcasts to the images' shape, in their units."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same colour everywhere: the mean of the data set, or any other.

    Attributes:
        values: One number, or one per channel, in the units of the normalised images; with
            images that were normalised by the data set's mean, that mean is 0.

    Example:
        >>> Constant((0.5, -1.0))(torch.zeros(1, 2, 4, 4), patch=2).flatten().tolist()
        [0.5, -1.0]
    """

    values: float | Sequence[float] = 0.0

    def __call__(self, images: Tensor, patch: int) -> Tensor:
        """Give the colour, shape (B, C, 1, 1), or with one more 1 for volumes.

        Raises:
            InputError: If there is not one value per channel.
        """
        channels = images.shape[1]
        given = self.values
        values = list(given) if isinstance(given, Sequence) else [given] * channels
        if len(values) != channels:
            raise InputError(
                f"The baseline has {len(values)} values for images with {channels} channels; "
                "give one number, or one per channel."
            )
        colour = torch.tensor(values, dtype=images.dtype, device=images.device)
        shape = (1, channels) + (1,) * (images.ndim - 2)
        return colour.view(shape).expand(len(images), *shape[1:])


@dataclass(frozen=True)
class Blur:
    """The image under a Gaussian, its border continued outwards.

    Attributes:
        sigma: Standard deviation in pixels; None for the side of a patch, which wipes out what a
            patch shows.

    Example:
        >>> edge = torch.tensor([[[[0.0, 0.0, 8.0, 8.0]]]], dtype=torch.float64)
        >>> Blur(sigma=0.5)(edge, patch=1).round(decimals=2).tolist()
        [[[[0.0, 0.85, 7.15, 8.0]]]]
    """

    sigma: float | None = None

    def __call__(self, images: Tensor, patch: int) -> Tensor:
        """Give the blurred images.

        Raises:
            InputError: If sigma is not above 0.
        """
        sigma = float(patch) if self.sigma is None else self.sigma
        if not sigma > 0:
            raise InputError(f"The blur's sigma is {sigma}; it must be above 0 px.")
        radius = int(_REACH * sigma + 0.5)
        steps = torch.arange(-radius, radius + 1, dtype=torch.float64)
        weights = torch.exp(-0.5 * (steps / sigma) ** 2)
        kernel = (weights / weights.sum()).to(images)[None, None]
        blurred = images
        for axis in range(2, images.ndim):
            rows = blurred.movedim(axis, -1)
            lines = pad(rows.reshape(-1, 1, rows.shape[-1]), (radius, radius), mode="replicate")
            blurred = conv1d(lines, kernel).reshape(rows.shape).movedim(-1, axis)
        return blurred.contiguous()


@dataclass(frozen=True)
class LocalMean:
    """Each patch in the mean colour of the patches around it.

    Around are the patches that touch it, corners included: eight inside an image, fewer at its
    border. Their pixels are those of the untouched image, even where they are taken away too.

    Example:
        >>> image = torch.tensor([[[[9.0, 1.0, 2.0, 6.0]]]])
        >>> LocalMean()(image, patch=1).tolist()
        [[[[1.0, 5.5, 3.5, 2.0]]]]
    """

    def __call__(self, images: Tensor, patch: int) -> Tensor:
        """Give images that are constant in each patch.

        Raises:
            InputError: If the image is a single patch, which has no surroundings.
        """
        raster = Raster(tuple(images.shape[2:]), patch)
        if raster.count == 1:
            raise InputError(
                f"A patch of {patch} px covers the whole image of {raster.shape} px, which leaves "
                "no surroundings to take the mean of; give a smaller patch."
            )
        sums = _patch_sums(images.double(), patch).flatten(0, 1)[:, None]
        pixels = _patch_sums(torch.ones_like(images[:1, :1], dtype=torch.float64), patch)
        means = (_with_neighbours(sums) - sums) / (_with_neighbours(pixels) - pixels)
        values = means.flatten(1).to(images.dtype)
        return raster.spread(values).view_as(images)


def _patch_sums(values: Tensor, patch: int) -> Tensor:
    """Sum (B, C, *sides) over each patch: (B, C, *grid)."""
    for axis in range(2, values.ndim):
        rows = values.movedim(axis, -1)
        filled = pad(rows, (0, -rows.shape[-1] % patch))
        values = filled.reshape(*filled.shape[:-1], -1, patch).sum(-1).movedim(-1, axis)
    return values


def _with_neighbours(sums: Tensor) -> Tensor:
    """Add to each cell of (B, 1, *grid) those that touch it."""
    sides = sums.ndim - 2
    kernel = torch.ones((1, 1) + (3,) * sides, dtype=sums.dtype, device=sums.device)
    return conv2d(sums, kernel, padding=1) if sides == 2 else conv3d(sums, kernel, padding=1)
