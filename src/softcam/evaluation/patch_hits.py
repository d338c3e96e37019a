"""How often the strongest patches touch the lesion: the top-k curve, of an image and pooled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, max_pool3d, pad

from softcam.errors import InputError
from softcam.evaluation.inputs import marked, require_pair

CURVE = 30
"""So many patches are taken at the right end of the curve."""


@dataclass(frozen=True)
class PatchHits:
    """Hits among the k strongest patches, for k = 1, 2, ..., K.

    Attributes:
        hits: Int64 tensor of shape (N, K): how many of the patches taken touch the lesion.
        taken: Int64 tensor of shape (N, K): how many patches were taken, fewer than k where fewer
            have positive evidence; 0 throughout for an empty mask.
    """

    hits: Tensor
    taken: Tensor

    @property
    def per_image(self) -> Tensor:
        """The curve of each image: float64 (N, K), NaN for an empty mask or without evidence."""
        return self.hits.double() / self.taken

    @property
    def pooled(self) -> Tensor:
        """The curve of all images' patches together: float64 (K,), NaN if nothing was taken."""
        return self.hits.sum(0).double() / self.taken.sum(0)


def patch_hits(maps: Tensor, masks: Tensor, k: int = CURVE, patch: int = 33) -> PatchHits:
    """Count how many of the strongest patches touch the lesion, for every number up to k.

    The image is cut into a raster of patches that do not overlap; those at the far borders are
    cut off. A patch scores its highest pixel. Column k - 1 of `per_image` is
    `topk_precision(maps, masks, k, patch)`; averaged over images it weighs images alike, while
    `pooled` weighs patches alike. For an interval, resample the rows of both tables.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W), in any unit; only patches with
            positive evidence are taken, among equal ones the first in raster order.
        masks: Boolean tensor of the same shape, true on annotated pixels, on the same device.
        k: The largest number of patches taken.
        patch: Side of a patch in pixels; see `scaled_patch` for images of another size than 512.

    Returns:
        The counts of each image.

    Raises:
        InputError: If shapes or types differ from these, a map holds NaN or infinity, or k or
            patch is below 1.

    Source: after Djoumessi and Berens, "SoftCAM", MIDL 2026 (arXiv 2505.17748); what is computed
        is the rule above.

    Example:
        Three pixels have evidence; the strongest and the weakest of them lie on the lesion.

        >>> maps = torch.tensor([[[3.0, 2.0], [1.0, -1.0]]])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> found = patch_hits(maps, masks, k=4, patch=1)
        >>> found.hits.tolist(), found.taken.tolist()
        ([[1, 1, 2, 2]], [[1, 2, 3, 3]])
        >>> found.pooled
        tensor([1.0000, 0.5000, 0.6667, 0.6667], dtype=torch.float64)
    """
    if k < 1 or patch < 1:
        raise InputError(f"k is {k} and patch is {patch}; both must be 1 or more.")
    require_pair(maps, masks)
    values = maps.detach()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()  # exact, and pooling knows it everywhere
    ranked, order = _per_patch(values, patch).sort(dim=1, descending=True, stable=True)
    touched = _per_patch(masks.float(), patch).gather(1, order) > 0
    counted = (ranked > 0) & marked(masks)[:, None]
    columns = (0, max(0, k - ranked.shape[1]))  # more than there are patches: the curve stays
    taken = pad(counted[:, :k], columns).cumsum(1)
    return PatchHits(pad((touched & counted)[:, :k], columns).cumsum(1), taken)


def _per_patch(values: Tensor, patch: int) -> Tensor:
    """Give the highest value of each patch, (N, patches) in raster order; border ones partial."""
    # Not more than the image: pooling reserves its kernel beyond the border.
    sides = [min(patch, side) for side in values.shape[1:]]
    pool = max_pool2d if len(sides) == 2 else max_pool3d
    return pool(values[:, None], sides, sides, ceil_mode=True).flatten(1)
