"""Does the evidence lie on the lesion: four scores of a map against a mask, per image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from softcam.errors import InputError

_NAMED = 5  # so many bad images are named in an error


def activation_precision(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the positive evidence that lies on the lesion.

    With s = relu(map) / max(relu(map)) and mask M: sum(s M) / sum(s). A uniform positive map
    scores the area fraction of the mask.

    Args:
        maps: Float tensor of shape (N, H, W), in any unit; negative values count as zero.
        masks: Boolean tensor of shape (N, H, W), true on annotated pixels, on the same device.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for an empty mask or a map without
        positive evidence.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Source: after Djoumessi and Berens, "SoftCAM", MIDL 2026 (arXiv 2505.17748); what is computed
        is the formula above.

    Example:
        >>> maps = torch.tensor([[[2.0, 1.0], [-4.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> activation_precision(maps, masks)
        tensor([0.5000], dtype=torch.float64)
    """
    saliency, inside = _prepare(maps, masks)
    precision = (saliency * inside).sum((1, 2)) / saliency.sum((1, 2))  # 0 / 0 without evidence
    return precision.masked_fill(~inside.any(2).any(1), torch.nan)


def activation_sensitivity(maps: Tensor, masks: Tensor) -> Tensor:
    """Mean normalised evidence over the lesion: how much of it the map lights up.

    With s = relu(map) / max(relu(map)) and mask M: sum(s M) / sum(M). A uniform positive map
    scores 1, so read it beside the precision.

    Args:
        maps: Float tensor of shape (N, H, W), in any unit; negative values count as zero.
        masks: Boolean tensor of shape (N, H, W), true on annotated pixels, on the same device.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; 0 for a map without positive evidence, NaN
        for an empty mask.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Source: after Djoumessi and Berens, "SoftCAM", MIDL 2026 (arXiv 2505.17748); what is computed
        is the formula above.
    """
    saliency, inside = _prepare(maps, masks)
    return (saliency * inside).sum((1, 2)) / inside.sum((1, 2))  # 0 / 0 is NaN: an empty mask


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether the map's highest pixel lies on the lesion.

    Args:
        maps: Float tensor of shape (N, H, W), in any unit; among equal maxima the first in raster
            order (row by row) counts.
        masks: Boolean tensor of shape (N, H, W), true on annotated pixels, on the same device.

    Returns:
        Float64 tensor of shape (N,): 1 for a hit, 0 for a miss or a map without positive
        evidence, NaN for an empty mask.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Source: Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016, section
        4.1, without its tolerance of 15 pixels.
    """
    saliency, inside = _prepare(maps, masks)
    flat = saliency.flatten(1)
    if flat.shape[0] == 0:
        return flat.new_zeros(0)
    raster = torch.arange(flat.shape[1], device=flat.device)
    peak = flat.amax(1, keepdim=True)
    first = torch.where(flat == peak, raster, flat.shape[1]).amin(1, keepdim=True)
    hit = inside.flatten(1).gather(1, first) & (peak > 0)
    return hit[:, 0].double().masked_fill(~inside.flatten(1).any(1), torch.nan)


def topk_precision(maps: Tensor, masks: Tensor, k: int, patch: int = 33) -> Tensor:
    """Share of the k strongest patches that touch the lesion.

    The image is cut into a raster of patches that do not overlap; those of the last row and
    column are cut off by the border. A patch scores its highest pixel.

    Args:
        maps: Float tensor of shape (N, H, W), in any unit; only patches with positive evidence
            are taken, among equal ones the first in raster order.
        masks: Boolean tensor of shape (N, H, W), true on annotated pixels, on the same device.
        k: How many patches are taken; fewer where fewer have positive evidence.
        patch: Side of a patch in pixels; see `scaled_patch` for images of another size than 512.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for an empty mask or a map without
        positive evidence.

    Raises:
        InputError: If shapes or types differ from these, a map holds NaN or infinity, or k or
            patch is below 1.

    Source: after Djoumessi and Berens, "SoftCAM", MIDL 2026 (arXiv 2505.17748); what is computed
        is the rule above.
    """
    if k < 1 or patch < 1:
        raise InputError(f"k is {k} and patch is {patch}; both must be 1 or more.")
    saliency, inside = _prepare(maps, masks)
    scores = _per_patch(saliency, patch)
    touched = _per_patch(inside.double(), patch)
    ranked, order = scores.sort(dim=1, descending=True, stable=True)
    taken = (ranked > 0) & (torch.arange(ranked.shape[1], device=ranked.device) < k)
    hits = (touched.gather(1, order) * taken).sum(1)
    return (hits / taken.sum(1)).masked_fill(~inside.any(2).any(1), torch.nan)


def scaled_patch(size: int, patch: int = 33, reference: int = 512) -> int:
    """Scale a patch with the image: 33 px at 512 px stay the same part of the picture.

    Args:
        size: Side of the image in pixels.
        patch: Side of the patch in pixels at the reference size.
        reference: Image side in pixels for which `patch` is meant.

    Returns:
        Side of the patch in pixels, rounded, at least 1.

    Raises:
        InputError: If a length is below 1.
    """
    if min(size, patch, reference) < 1:
        raise InputError(
            f"Image side {size}, patch {patch} and reference {reference} must be 1 px or more."
        )
    return max(1, round(patch * size / reference))


def require_finite(maps: Tensor) -> None:
    """Refuse maps with NaN or infinity.

    Args:
        maps: Float tensor of shape (N, H, W).

    Raises:
        InputError: Naming the images, counted from 0.
    """
    bad = (~torch.isfinite(maps)).flatten(1).any(1).nonzero()[:, 0].tolist()
    if bad:
        more = "" if len(bad) <= _NAMED else f" and {len(bad) - _NAMED} more"
        named = ", ".join(str(index) for index in bad[:_NAMED])
        raise InputError(
            f"The map holds NaN or infinity for image {named}{more} (counted from 0); "
            "check the model's output for it."
        )


def _prepare(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Check both tensors; give s = relu(map) / max(relu(map)) in float64 (0 where none) and M."""
    if maps.ndim != 3 or masks.shape != maps.shape:
        raise InputError(
            f"Maps of shape {tuple(maps.shape)} and masks of shape {tuple(masks.shape)}; "
            "both must be (N, H, W), one map and one mask of the same size per image."
        )
    if 0 in maps.shape[1:]:
        raise InputError(f"Maps of shape {tuple(maps.shape)} have no pixels.")
    if not maps.is_floating_point():
        raise InputError(f"Maps are {maps.dtype}; give a floating-point type such as float32.")
    if masks.dtype != torch.bool:
        raise InputError(f"Masks are {masks.dtype}; give torch.bool (for example mask > 0).")
    # A convolution's output may be nowhere near float64, but the sums over it should be.
    values = maps.detach().double()
    require_finite(values)
    positive = values.clamp_min(0)
    peak = positive.flatten(1).amax(1)[:, None, None] if len(values) else positive[:, :1, :1]
    return positive / torch.where(peak > 0, peak, 1), masks


def _per_patch(values: Tensor, patch: int) -> Tensor:
    """Give the highest value of each patch, (N, patches) in raster order; border ones partial."""
    # Not more than the image: pooling reserves its kernel beyond the border.
    height, width = (min(patch, side) for side in values.shape[1:])
    pooled = max_pool2d(values[:, None], (height, width), (height, width), ceil_mode=True)
    return pooled.flatten(1)
