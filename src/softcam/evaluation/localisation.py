"""Does the evidence lie on the lesion: scores of a map against a mask, per image."""

from __future__ import annotations

import torch
from torch import Tensor, linalg

from softcam.errors import InputError
from softcam.evaluation.inputs import by_chunks, marked, require_pair, unit_positive
from softcam.evaluation.patch_hits import patch_hits


def activation_precision(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the positive evidence that lies on the lesion.

    With s = relu(map) / max(relu(map)) and mask M: sum(s M) / sum(s). A uniform positive map
    scores the area fraction of the mask.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; negative values count
            as zero.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.

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
    require_pair(maps, masks)
    return by_chunks(_share_inside, maps, masks)


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the positive evidence on a structure that is no lesion: a distractor, an organ.

    The formula is that of `activation_precision`; what differs is what a good value is. On a
    distractor (a marker, an optic disc) it should be low: compare with the structure's share of
    the area. Inside an organ it should be near 1.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; negative values count
            as zero.
        masks: Boolean tensor of the same shape, true on the structure, on the same device.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for an image without the structure or
        a map without positive evidence.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0], [-4.0, 0.0]]])
        >>> disc = torch.tensor([[[False, True], [True, False]]])
        >>> energy_inside(maps, disc)
        tensor([0.2500], dtype=torch.float64)
    """
    return activation_precision(maps, masks)


def activation_sensitivity(maps: Tensor, masks: Tensor) -> Tensor:
    """Mean normalised evidence over the lesion: how much of it the map lights up.

    With s = relu(map) / max(relu(map)) and mask M: sum(s M) / sum(M). A uniform positive map
    scores 1, so read it beside the precision.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; negative values count
            as zero.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; 0 for a map without positive evidence, NaN
        for an empty mask.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Source: after Djoumessi and Berens, "SoftCAM", MIDL 2026 (arXiv 2505.17748); what is computed
        is the formula above.

    Example:
        The lesion has two pixels, one at the map's maximum and one without evidence.

        >>> maps = torch.tensor([[[2.0, 1.0], [-4.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> activation_sensitivity(maps, masks)
        tensor([0.5000], dtype=torch.float64)
    """
    require_pair(maps, masks)
    return by_chunks(_mean_inside, maps, masks)


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether the map's highest pixel lies on the lesion.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; among equal maxima the
            first in raster order (row by row) counts.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.

    Returns:
        Float64 tensor of shape (N,): 1 for a hit, 0 for a miss or a map without positive
        evidence, NaN for an empty mask.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Source: Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016, section
        4.1, without its tolerance of 15 pixels.

    Example:
        >>> maps = torch.tensor([[[2.0, 1.0], [-4.0, 1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> pointing_game(maps, masks)
        tensor([1.], dtype=torch.float64)
    """
    require_pair(maps, masks)
    flat = maps.detach().flatten(1)
    if not len(flat):
        return flat.new_zeros(0, dtype=torch.float64)
    first = flat.argmax(1, keepdim=True)  # among equal values torch gives the first
    hit = masks.flatten(1).gather(1, first) & (flat.gather(1, first) > 0)
    return hit[:, 0].double().masked_fill(~marked(masks), torch.nan)


def topk_precision(maps: Tensor, masks: Tensor, k: int, patch: int = 33) -> Tensor:
    """Share of the k strongest patches that touch the lesion.

    The image is cut into a raster of patches that do not overlap; those of the last row and
    column are cut off by the border. A patch scores its highest pixel.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; only patches with
            positive evidence are taken, among equal ones the first in raster order.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.
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

    Example:
        Of the two strongest pixels (patches of one pixel) the first lies on the lesion.

        >>> maps = torch.tensor([[[2.0, 1.0], [-4.0, 0.5]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> topk_precision(maps, masks, k=2, patch=1)
        tensor([0.5000], dtype=torch.float64)
    """
    return patch_hits(maps, masks, k, patch).per_image[:, -1]


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


def _share_inside(maps: Tensor, inside: Tensor) -> Tensor:
    """Sum of s over the mask by the sum of s, (n,); the scale of s cancels."""
    saliency = unit_positive(maps)
    hit: Tensor = linalg.vecdot(saliency, inside.double())
    precision = hit / saliency.sum(1)  # 0 / 0: no evidence
    return precision.masked_fill(~marked(inside), torch.nan)


def _mean_inside(maps: Tensor, inside: Tensor) -> Tensor:
    """Mean of s over the mask, (n,)."""
    weights = inside.double()
    hit: Tensor = linalg.vecdot(unit_positive(maps), weights)
    return hit / weights.sum(1)  # 0 / 0: an empty mask
