"""What maps and masks must be before they are scored, and how they are walked through."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from softcam.errors import InputError

_NAMED = 5  # so many bad images are named in an error
_AT_ONCE = {"cpu": 2**18}  # pixels in float64: 2 MiB stay in the cache and in the allocator
_ELSEWHERE = 2**25


def require_finite(maps: Tensor) -> None:
    """Refuse maps with NaN or infinity.

    Args:
        maps: Tensor of shape (N, ...).

    Raises:
        InputError: Naming the images, counted from 0.
    """
    if not maps.numel():
        return
    flat = maps.detach().flatten(1)
    # NaN and infinity come through as an extreme value, and no copy of the maps is needed.
    extremes = torch.stack([flat.amin(1), flat.amax(1)])
    bad = (~torch.isfinite(extremes)).any(0).nonzero()[:, 0].tolist()
    if bad:
        more = "" if len(bad) <= _NAMED else f" and {len(bad) - _NAMED} more"
        named = ", ".join(str(index) for index in bad[:_NAMED])
        raise InputError(
            f"The map holds NaN or infinity for image {named}{more} (counted from 0); "
            "check the model's output for it."
        )


def require_maps(maps: Tensor) -> None:
    """Refuse what is no batch of finite maps.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W).

    Raises:
        InputError: If the shape or type differs, or a map holds NaN or infinity.
    """
    if maps.ndim not in (3, 4):
        raise InputError(
            f"Maps of shape {tuple(maps.shape)}; they must be (N, H, W), or (N, D, H, W)."
        )
    _require_pixels(maps)
    require_finite(maps)


def require_pair(maps: Tensor, masks: Tensor) -> None:
    """Refuse maps and masks that do not belong together.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W).
        masks: Boolean tensor of the same shape.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.
    """
    if maps.ndim not in (3, 4) or masks.shape != maps.shape:
        raise InputError(
            f"Maps of shape {tuple(maps.shape)} and masks of shape {tuple(masks.shape)}; "
            "both must be (N, H, W), or (N, D, H, W), one map and one mask of the same size per "
            "image."
        )
    _require_pixels(maps)
    if masks.dtype != torch.bool:
        raise InputError(f"Masks are {masks.dtype}; give torch.bool (for example mask > 0).")
    require_finite(maps)


def _require_pixels(maps: Tensor) -> None:
    if 0 in maps.shape[1:]:
        raise InputError(f"Maps of shape {tuple(maps.shape)} have no pixels.")
    if not maps.is_floating_point():
        raise InputError(f"Maps are {maps.dtype}; give a floating-point type such as float32.")


def marked(masks: Tensor) -> Tensor:
    """Tell which images have an annotated pixel.

    Args:
        masks: Boolean tensor of shape (N, ...).

    Returns:
        Boolean tensor of shape (N,).
    """
    flat = masks.flatten(1)
    return flat.view(torch.uint8).amax(1) > 0  # many times faster than any() on booleans


def by_chunks(score: Callable[..., Tensor], *tensors: Tensor, exact: bool = True) -> Tensor:
    """Score a few images at a time, so that copies stay small.

    Args:
        score: Takes the tensors' chunks as (n, pixels) and gives values of shape (n, ...).
        tensors: Tensors of shape (N, ...), the maps first.
        exact: Whether the chunk of maps is a float64 copy, which the score may overwrite, or what
            was given, which it may not.

    Returns:
        Values of shape (N, ...).
    """
    flats = [tensor.detach().flatten(1) for tensor in tensors]
    count, pixels = flats[0].shape
    step = max(1, _AT_ONCE.get(flats[0].device.type, _ELSEWHERE) // max(1, pixels))
    parts = []
    for start in range(0, max(1, count), step):
        maps, *others = (flat[start : start + step] for flat in flats)
        if exact:
            # A convolution's output may be nowhere near float64, but the sums over it should be.
            maps = maps.to(torch.float64, copy=True)
        parts.append(score(maps, *others))
    return torch.cat(parts)


def unit_positive(maps: Tensor) -> Tensor:
    """Clip negative evidence and scale every map by its own maximum, in place.

    Args:
        maps: Float64 tensor of shape (n, pixels), which is overwritten.

    Returns:
        s = relu(map) / max(relu(map)), between 0 and 1; zeros for a map without positive evidence.
    """
    positive = maps.clamp_min_(0)
    if not positive.numel():
        return positive
    peak = positive.amax(1, keepdim=True)
    return positive.div_(torch.where(peak > 0, peak, 1))
