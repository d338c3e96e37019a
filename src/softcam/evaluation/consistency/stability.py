"""Does the map stay when the image hardly changes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from softcam.errors import InputError
from softcam.evaluation.inputs import require_finite

Explain = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) to maps (N, h, w)."""


def _as_they_are(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    return before, after


@dataclass(frozen=True)
class Perturbed:
    """Images that were changed a little.

    Attributes:
        images: Float tensor of shape (N, C, H, W).
        align: Brings the maps of the images as they were and as they are, (N, h, w) each, to the
            places that both show.
    """

    images: Tensor
    align: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = _as_they_are


Perturbation = Callable[[Tensor, torch.Generator], Perturbed]
"""Images (N, C, H, W) and a source of chance to changed images."""


def max_sensitivity(
    explain: Explain,
    images: Tensor,
    perturb: Perturbation,
    *,
    samples: int = 10,
    seed: int = 0,
) -> Tensor:
    """The largest relative change of the map over some small changes of the image.

    max over the samples of ||map(changed) - map|| / ||map||, with Euclidean norms.

    Args:
        explain: Images (N, C, H, W) to maps (N, h, w), at any resolution. It should give the map
            of the same class for the changed image.
        images: Float tensor of shape (N, C, H, W), as the model takes it.
        perturb: What is done to the images; see `uniform_noise`, `gaussian_noise`, `shift` and
            `jpeg`.
        samples: How often it is done; once is enough where there is no chance in it.
        seed: Seed of the draws.

    Returns:
        Float64 tensor of shape (N,), from 0 up; NaN where the map of the image is 0 everywhere.

    Raises:
        InputError: If there is no sample, or a map has another shape or holds NaN or infinity.

    Source: Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019,
        section 3; relative to the map's norm as in captum.

    Example:
        A map that is the image itself changes by 0.25 of its norm 2 if 0.5 is added to one pixel.

        >>> images = torch.tensor([[[[2.0, 0.0]]]])
        >>> add = lambda images, generator: Perturbed(images + torch.tensor([0.5, 0.0]))
        >>> max_sensitivity(lambda images: images[:, 0], images, add, samples=1)
        tensor([0.2500], dtype=torch.float64)
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; give 1 or more.")
    generator = torch.Generator().manual_seed(seed)
    before = _maps(explain, images)
    largest = torch.zeros(len(images), dtype=torch.float64, device=before.device)
    for _ in range(samples):
        changed = perturb(images, generator)
        old, new = changed.align(before, _maps(explain, changed.images))
        norm = old.flatten(1).norm(dim=1)
        change = (new - old).flatten(1).norm(dim=1) / norm
        # maximum keeps NaN: a map that is 0 everywhere has no relative change.
        largest = torch.maximum(largest, change.masked_fill(norm == 0, torch.nan))
    return largest


def uniform_noise(radius: float) -> Perturbation:
    """Add noise that is uniform between -radius and radius.

    Args:
        radius: In the unit of the images as the model takes them.

    Returns:
        The perturbation.

    Raises:
        InputError: If the radius is not positive.
    """
    _require_positive("radius", radius)

    def perturb(images: Tensor, generator: torch.Generator) -> Perturbed:
        noise = 2 * torch.rand(images.shape, generator=generator) - 1
        return Perturbed(images + radius * noise.to(images))

    return perturb


def gaussian_noise(std: float) -> Perturbation:
    """Add Gaussian noise.

    Args:
        std: Standard deviation, in the unit of the images as the model takes them.

    Returns:
        The perturbation.

    Raises:
        InputError: If the standard deviation is not positive.
    """
    _require_positive("std", std)

    def perturb(images: Tensor, generator: torch.Generator) -> Perturbed:
        return Perturbed(images + std * torch.randn(images.shape, generator=generator).to(images))

    return perturb


def shift(pixels: int) -> Perturbation:
    """Move the images by up to some pixels; the border is repeated where nothing comes in.

    Maps are brought to the images' size (bilinearly), moved back and compared where both show the
    image. Every draw moves all images alike and never by nothing.

    Args:
        pixels: The farthest move along each axis, in pixels.

    Returns:
        The perturbation.

    Raises:
        InputError: If there is nothing to move by; on use, if images are not larger than that.
    """
    _require_positive("pixels", pixels)

    def perturb(images: Tensor, generator: torch.Generator) -> Perturbed:
        height, width = images.shape[-2:]
        if min(height, width) <= pixels:
            raise InputError(f"Images of {height} x {width} px cannot be moved by {pixels} px.")
        # All places but the middle one, which is no move.
        side = 2 * pixels + 1
        place = int(torch.randint(side * side - 1, (1,), generator=generator))
        down, right = divmod(place + (place >= side * side // 2), side)
        down, right = down - pixels, right - pixels
        wide = pad(images, (pixels, pixels, pixels, pixels), mode="replicate")
        moved = wide[
            ...,
            pixels - down : pixels - down + height,
            pixels - right : pixels - right + width,
        ]

        def align(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
            old, new = _resized(before, height, width), _resized(after, height, width)
            for axis, step in ((1, down), (2, right)):
                length = old.shape[axis] - abs(step)
                old = old.narrow(axis, max(0, -step), length)
                new = new.narrow(axis, max(0, step), length)
            return old, new

        return Perturbed(moved, align)

    return perturb


def jpeg(
    quality: int, to_pixels: Callable[[Tensor], Tensor], to_input: Callable[[Tensor], Tensor]
) -> Perturbation:
    """Write the images as JPEG and read them again. There is no chance in it: one sample will do.

    Args:
        quality: Pillow's quality, 1 to 95.
        to_pixels: What the model takes, (N, C, H, W), to uint8 pixels of the same shape; C is 1
            (grey) or 3 (RGB).
        to_input: The way back. Both take one image too; what they lose is not the JPEG's: the
            change is added to the images as given.

    Returns:
        The perturbation.

    Raises:
        InputError: If the quality is out of its range; on use, if pixels are not as above.
    """
    if not 1 <= quality <= 95:
        raise InputError(f"quality is {quality}; give 1 to 95.")

    def perturb(images: Tensor, generator: torch.Generator) -> Perturbed:
        pixels = to_pixels(images)
        if (
            pixels.shape != images.shape
            or pixels.dtype != torch.uint8
            or pixels.shape[1] not in (1, 3)
        ):
            raise InputError(
                f"Pixels are {pixels.dtype} of shape {tuple(pixels.shape)}; JPEG takes uint8 of "
                "shape (N, 1, H, W) or (N, 3, H, W)."
            )
        coded = torch.stack([_through_jpeg(image, quality) for image in pixels.cpu()])
        change = to_input(coded.to(pixels.device)) - to_input(pixels)
        return Perturbed(images + change.to(images))

    return perturb


def _through_jpeg(pixels: Tensor, quality: int) -> Tensor:
    """Write (C, H, W) uint8 and read it again."""
    array = pixels.permute(1, 2, 0).numpy()
    coded = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(
        coded, "JPEG", quality=quality
    )
    with Image.open(coded) as image:
        read = np.asarray(image).reshape(array.shape)
    return torch.from_numpy(read.copy()).permute(2, 0, 1)


def _maps(explain: Explain, images: Tensor) -> Tensor:
    """Explain, and check what comes; float64 (N, h, w)."""
    maps = explain(images).detach()
    if maps.ndim != 3 or len(maps) != len(images):
        raise InputError(
            f"The explanation of {len(images)} images has shape {tuple(maps.shape)}; "
            "it must be (N, h, w), one map per image."
        )
    require_finite(maps)
    return maps.double()


def _resized(maps: Tensor, height: int, width: int) -> Tensor:
    return interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def _require_positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{name} is {value}; give a positive number.")
