"""Does a region's evidence tell what the logit loses with it: rank correlation per image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.faithfulness.curves import check_images
from softcam.evaluation.faithfulness.packing import Classify, Images, packed_logits
from softcam.evaluation.faithfulness.patches import Raster, check_maps, replace
from softcam.evaluation.faithfulness.summaries import target_logit

_CHUNK = 32  # images in float64 at a time


@dataclass(frozen=True, eq=False)
class Agreement:
    """Evidence against effect, for N images of R regions.

    Attributes:
        correlation: Float64 tensor of shape (N,), between -1 and 1; NaN where the evidence or the
            drops of an image are all equal, or fewer than two regions have both.
        evidence: Float64 tensor of shape (N, R): the map's sum over each region, NaN for a region
            that the image does not have.
        drops: Float64 tensor of shape (N, R): the logit of the untouched image minus that without
            the region, in logit units; NaN where the former is.
    """

    correlation: Tensor
    evidence: Tensor
    drops: Tensor


def logit_agreement(
    classify: Classify,
    images: Images,
    maps: Tensor,
    classes: Tensor,
    *,
    patch: int,
    baseline: Baseline,
    regions: Tensor | None = None,
    batch_size: int = 32,
) -> Agreement:
    """Replace each region alone and compare the drop of the logit with the region's evidence.

    For evidence that is exact and a backbone that sees no further than a region the two differ
    only by the evidence that the baseline itself has, so that the correlation is near 1; a
    receptive field that reaches beyond, or a map that is no decomposition, lowers it. The drop is
    that of the class's own logit: for a contrast map let `classify` give contrasted logits.

    `captum.metrics.infidelity` compares attributions with drops too, by their squared difference;
    ranks need no common unit, so that maps of different methods can be put side by side.

    Args:
        classify: Gives logits (B, K) for normalised images (B, C, H, W) or (B, C, D, H, W); runs
            in inference mode.
        images: N normalised images, or batches of them, on the device that the model is on.
        maps: Float tensor (N, H, W) or (N, D, H, W) of the images' size: signed maps in any unit.
        classes: Int tensor of shape (N,): whose logit drops. With one logit, class 0 has its
            negative.
        patch: Side in pixels of the patches that are the regions; with `regions`, only what the
            baseline goes by.
        baseline: What stands in the place of a region.
        regions: Int tensor of the maps' shape instead of a raster: 0 to R - 1, or -1 for pixels
            that belong to none.
        batch_size: Images per forward pass.

    Returns:
        Correlations with what they were taken from; R + 1 forward passes per image.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Example:
        A classifier that adds up its pixels, and a map that shows them but for one:

        >>> from softcam.evaluation.faithfulness.baselines import Constant
        >>> image, seen = torch.tensor([[[[4.0, 1.0, 2.0]]]]), torch.tensor([[[4.0, 1.0, 0.0]]])
        >>> found = logit_agreement(lambda x: x.flatten(2).sum(2), image, seen,
        ...                         torch.tensor([1]), patch=1, baseline=Constant(0.0))
        >>> found.evidence.tolist(), found.drops.tolist(), found.correlation.tolist()
        ([[4.0, 1.0, 0.0]], [[4.0, 1.0, 2.0]], [0.5])
    """
    check_maps(maps)
    raster = Raster(tuple(maps.shape[1:]), patch)
    if regions is None:
        labels, count = raster.numbers(maps.device).expand(maps.shape), raster.count
    else:
        labels, count = _labels(regions, maps)

    def prepare(batch: Tensor) -> Tensor:
        check_images(batch, raster)
        return baseline(batch, patch)

    def change(batch: Tensor, filling: Tensor, numbers: Tensor, copies: Tensor) -> Tensor:
        here = labels[numbers].to(batch.device)
        # Copy 0 replaces nothing: no pixel has the number -2.
        wanted = torch.where(copies == 0, -2, copies - 1).to(batch.device)
        return replace(batch, here == wanted.view(-1, *[1] * (here.ndim - 1)), filling)

    logits = packed_logits(
        classify,
        images,
        len(maps),
        count + 1,
        batch_size=batch_size,
        prepare=prepare,
        change=change,
    )
    evidence = region_sums(maps, labels, count).cpu()
    if not len(maps):
        return Agreement(evidence.new_empty(0), evidence, evidence)
    values = target_logit(logits, classes)
    drops = (values[:, :1] - values[:, 1:]).masked_fill(evidence.isnan(), torch.nan)
    return Agreement(rank_correlation(evidence, drops), evidence, drops)


def agreement_with(drops: Tensor, maps: Tensor, *, patch: int) -> Tensor:
    """Compare maps with drops that are known already: those of a model do not depend on the map.

    Args:
        drops: Drop of the logit for each patch, shape (N, P), from `logit_agreement` on the same
            images with the same patch.
        maps: Float tensor (N, H, W) or (N, D, H, W) of the images' size.
        patch: Side of a patch in pixels.

    Returns:
        Rank correlation of each image, float64 of shape (N,), NaN where undefined.

    Raises:
        InputError: If the shapes do not fit, or a map holds NaN or infinity.

    Example:
        >>> drops, seen = torch.tensor([[4.0, 1.0, 2.0]]), torch.tensor([[[4.0, 1.0, 0.0]]])
        >>> agreement_with(drops, seen, patch=1).tolist()
        [0.5]
    """
    check_maps(maps)
    raster = Raster(tuple(maps.shape[1:]), patch)
    labels = raster.numbers(maps.device).expand(maps.shape)
    return rank_correlation(region_sums(maps, labels, raster.count).cpu(), drops.cpu().double())


def region_sums(maps: Tensor, regions: Tensor, count: int) -> Tensor:
    """Add up each map over each region, in float64.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W).
        regions: Int tensor of the same shape: 0 to R - 1, or -1 for pixels that belong to none.
        count: R.

    Returns:
        Float64 tensor of shape (N, R); NaN for a region that the image does not have.

    Example:
        >>> labels = torch.tensor([[[0, 0, -1, 2]]])
        >>> region_sums(torch.tensor([[[1.0, 2.0, 9.0, -4.0]]]), labels, count=3).tolist()
        [[3.0, nan, -4.0]]
    """
    found = []
    for start in range(0, max(1, len(maps)), _CHUNK):
        values = maps[start : start + _CHUNK].detach().flatten(1).double()
        # What belongs to no region is added to one more, which is then left out.
        places = regions[start : start + _CHUNK].flatten(1).long()
        places = torch.where(places < 0, count, places)
        sums, pixels = values.new_zeros(2, len(values), count + 1)
        sums.scatter_add_(1, places, values)
        pixels.scatter_add_(1, places, torch.ones_like(values))
        found.append(torch.where(pixels > 0, sums, torch.nan)[:, :count])
    return torch.cat(found)


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Correlate the ranks of two rows (Spearman), equal values sharing their mean rank.

    Args:
        first: Tensor of shape (N, R), in any unit.
        second: Tensor of shape (N, R), in any unit.

    Returns:
        Float64 tensor of shape (N,), between -1 and 1. Where either holds NaN the pair is left
        out; NaN where fewer than two pairs stay, or one side is constant.

    Raises:
        InputError: If the shapes differ.

    Example:
        >>> a = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
        >>> rank_correlation(a, torch.tensor([[10.0, 30.0, 20.0], [1.0, 2.0, 3.0]])).tolist()
        [0.5, nan]
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise InputError(
            f"Values of shape {tuple(first.shape)} and {tuple(second.shape)}; both must be (N, R)."
        )
    pairs = ~(first.isnan() | second.isnan())
    left, right = (_centred_ranks(values.double(), pairs) for values in (first, second))
    spread = (left.square().sum(1) * right.square().sum(1)).sqrt()
    cosine = (left * right).sum(1) / torch.where(spread > 0, spread, torch.nan)
    return cosine.clamp(-1, 1)


def _centred_ranks(values: Tensor, pairs: Tensor) -> Tensor:
    """Give average ranks minus their mean, 0 where there is no pair."""
    # What is left out sorts last, behind every other value, infinity included, or beside it.
    filled = values.masked_fill(~pairs, torch.inf).contiguous()
    ordered = filled.sort(dim=1).values
    below = torch.searchsorted(ordered, filled)
    upto = torch.searchsorted(ordered, filled, right=True)
    # Left-out pairs count as infinite too: infinite values end where the pairs end.
    upto = torch.minimum(upto, pairs.sum(1, keepdim=True))
    ranks = (below + upto + 1).double() / 2
    middle = (pairs.sum(1, keepdim=True) + 1) / 2
    return (ranks - middle).masked_fill(~pairs, 0.0)


def _labels(regions: Tensor, maps: Tensor) -> tuple[Tensor, int]:
    if regions.shape != maps.shape or regions.dtype not in (
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
    ):
        raise InputError(
            f"Regions of shape {tuple(regions.shape)} and type {regions.dtype} for maps of shape "
            f"{tuple(maps.shape)}; give whole numbers of the same shape."
        )
    labels = regions.to(maps.device).long()
    if len(labels) and int(labels.min()) < -1:
        raise InputError(f"A region is {int(labels.min())}; number them from 0, -1 for none.")
    return labels, int(labels.max()) + 1 if len(labels) else 0
