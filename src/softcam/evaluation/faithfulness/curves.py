"""Deletion and insertion curves: the logits while patches go, or come, in the map's order."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.faithfulness.packing import Classify, Images, packed_logits
from softcam.evaluation.faithfulness.patches import (
    Raster,
    patch_order,
    patch_ranks,
    replace,
)

Kind = Literal["deletion", "insertion"]


@dataclass(frozen=True, eq=False)
class Curve:
    """The logits of N images while their patches are replaced one after the other.

    Attributes:
        kind: In "deletion" the first k patches are replaced, in "insertion" all the others are.
        logits: Tensor of shape (N, S + 1, K), on the CPU. Step 0 is the untouched image for a
            deletion, and nothing but the baseline for an insertion.
        counts: S + 1 numbers of patches k, the first is 0.
        patches: P, how many patches an image has.
    """

    kind: Kind
    logits: Tensor
    counts: tuple[int, ...]
    patches: int

    @property
    def fractions(self) -> Tensor:
        """The counts as fractions of the patches, float64 of shape (S + 1,)."""
        return torch.tensor(self.counts, dtype=torch.float64) / self.patches


def deletion(
    classify: Classify,
    images: Images,
    maps: Tensor,
    *,
    patch: int,
    baseline: Baseline,
    steps: Sequence[int] | Sequence[float] = range(1, 16),
    batch_size: int = 32,
    untouched: Tensor | None = None,
) -> Curve:
    """Take the patches away, those that the map ranks highest first.

    The steps accumulate: at step k the first k patches are replaced. What the logits mean, and
    for which class the map speaks, is up to the caller; see `summaries`.

    Args:
        classify: Gives logits (B, K) for normalised images (B, C, H, W) or (B, C, D, H, W); runs
            in inference mode. Put a model into eval mode before.
        images: N normalised images, or batches of them, on the device that the model is on.
        maps: Float tensor (N, H, W) or (N, D, H, W) of the images' size: signed maps in any
            unit, ranked as `patch_order` does.
        patch: Side of a patch in pixels; see `scaled_patch`.
        baseline: What stands in the place of a patch.
        steps: Numbers of patches, or fractions of all patches between 0 and 1 (rounded, halves
            up), never falling; more than there are count as all.
        batch_size: Images per forward pass; memory grows with it and not with the images.
        untouched: Logits (N, K) of the untouched images where they are known, which saves a
            forward pass per image.

    Returns:
        The curve, with S + 1 steps.

    Raises:
        InputError: If shapes, types or steps differ from these, or a map holds NaN or infinity.

    Source: after Petsiuk, Das and Saenko, "RISE", BMVC 2018, with patches for pixels.

    Example:
        A classifier that adds up its pixels, an image of four pixels, and a map that ranks them
        right:

        >>> from softcam.evaluation.faithfulness.baselines import Constant
        >>> image = torch.tensor([[[[1.0, 4.0], [3.0, 2.0]]]])
        >>> curve = deletion(lambda x: x.flatten(2).sum(2), image, image[:, 0], patch=1,
        ...                  baseline=Constant(0.0), steps=[1, 2, 4])
        >>> curve.logits.flatten().tolist()
        [10.0, 6.0, 3.0, 0.0]
        >>> curve.fractions.tolist()
        [0.0, 0.25, 0.5, 1.0]
    """
    return _curve("deletion", classify, images, maps, patch, baseline, steps, batch_size, untouched)


def insertion(
    classify: Classify,
    images: Images,
    maps: Tensor,
    *,
    patch: int,
    baseline: Baseline,
    steps: Sequence[int] | Sequence[float] = range(1, 16),
    batch_size: int = 32,
    untouched: Tensor | None = None,
) -> Curve:
    """Show the patches on the baseline, those that the map ranks highest first.

    The arguments are those of `deletion`; `untouched` is used where a step shows every patch.

    Returns:
        The curve, with S + 1 steps; at step k only the first k patches are the image's.

    Raises:
        InputError: As `deletion` does.

    Source: after Petsiuk, Das and Saenko, "RISE", BMVC 2018, with patches for pixels.

    Example:
        >>> from softcam.evaluation.faithfulness.baselines import Constant
        >>> image = torch.tensor([[[[1.0, 4.0], [3.0, 2.0]]]])
        >>> curve = insertion(lambda x: x.flatten(2).sum(2), image, image[:, 0], patch=1,
        ...                   baseline=Constant(0.0), steps=[0.25, 0.5, 1.0])
        >>> curve.logits.flatten().tolist()
        [0.0, 4.0, 7.0, 10.0]
    """
    return _curve(
        "insertion", classify, images, maps, patch, baseline, steps, batch_size, untouched
    )


def step_counts(steps: Iterable[float], patches: int) -> tuple[int, ...]:
    """Turn steps into numbers of patches, with the 0 that every curve starts from.

    Args:
        steps: Whole numbers (int) of patches, or fractions (float) of them, never falling.
        patches: P, how many there are; more than these count as all.

    Returns:
        S + 1 numbers, the first is 0.

    Raises:
        InputError: If a number is negative, a fraction is not between 0 and 1, or they fall.

    Example:
        >>> step_counts([1, 2, 9], patches=4), step_counts([0.125, 1.0], patches=4)
        ((0, 1, 2, 4), (0, 1, 4))
    """
    counts = [0]
    for step in steps:
        whole = isinstance(step, numbers.Integral)
        if isinstance(step, bool) or not (step >= 0 and (whole or step <= 1)):
            raise InputError(
                f"A step is {step!r}; give whole numbers of patches, or fractions between 0.0 "
                "and 1.0 of all of them."
            )
        counts.append(min(int(step), patches) if whole else math.floor(step * patches + 0.5))
    if any(after < before for before, after in itertools.pairwise(counts)):
        raise InputError(f"The steps fall: {counts[1:]} patches; sort them, the fewest first.")
    return tuple(counts)


def check_images(images: Tensor, raster: Raster) -> None:
    """Refuse images that the maps do not lie on.

    Args:
        images: A batch of them.
        raster: The maps' size and patches.

    Raises:
        InputError: If images are no floats of shape (B, C, ...) of the maps' size.
    """
    if tuple(images.shape[2:]) != raster.shape or not images.is_floating_point():
        sides = ", ".join(str(side) for side in raster.shape)
        raise InputError(
            f"Images of shape {tuple(images.shape)} and type {images.dtype} for maps of "
            f"({sides}) px; give floats of shape (B, C, {sides}), and maps of the images' size "
            "(upsample the evidence first)."
        )


def _curve(
    kind: Kind,
    classify: Classify,
    images: Images,
    maps: Tensor,
    patch: int,
    baseline: Baseline,
    steps: Iterable[float],
    batch_size: int,
    untouched: Tensor | None,
) -> Curve:
    ranks = patch_ranks(patch_order(maps, patch))
    raster = Raster(tuple(maps.shape[1:]), patch)
    counts = step_counts(steps, raster.count)
    whole = 0 if kind == "deletion" else raster.count  # at this count the image is untouched
    if untouched is not None and (untouched.ndim != 2 or len(untouched) != len(maps)):
        raise InputError(
            f"Untouched logits of shape {tuple(untouched.shape)} for {len(maps)} maps; they must "
            "be (N, K)."
        )
    asked = sorted(set(counts) - ({whole} if untouched is not None else set()))
    limits = torch.tensor(asked, dtype=ranks.dtype, device=ranks.device)

    def prepare(batch: Tensor) -> Tensor:
        check_images(batch, raster)
        return baseline(batch, patch)

    def change(batch: Tensor, filling: Tensor, rows: Tensor, copies: Tensor) -> Tensor:
        first = (ranks[rows] < limits[copies, None]).to(batch.device)
        return replace(batch, raster.spread(first if kind == "deletion" else ~first), filling)

    logits = packed_logits(
        classify,
        images,
        len(maps),
        len(asked),
        batch_size=batch_size,
        prepare=prepare,
        change=change,
    )
    columns = dict(zip(asked, logits.unbind(1), strict=True))
    if untouched is not None:
        known = untouched.detach().cpu()
        if asked and len(maps) and known.shape[1] != logits.shape[2]:
            raise InputError(
                f"The untouched logits have {known.shape[1]} columns and the classifier gives "
                f"{logits.shape[2]}."
            )
        columns[whole] = known.to(logits.dtype) if asked else known
    return Curve(
        kind, torch.stack([columns[count] for count in counts], dim=1), counts, raster.count
    )
