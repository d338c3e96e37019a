"""Is the explanation right: evidence maps of a table against its masks, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Indices, Interval, bootstrap
from softcam.evaluation.inputs import require_finite
from softcam.evaluation.localisation import (
    activation_precision,
    activation_sensitivity,
    pointing_game,
)

LOCALISATION_NAMES: dict[str, str] = {
    "activation_precision": "Activation precision",
    "activation_sensitivity": "Activation sensitivity",
    "pointing_game": "Pointing game",
}
"""Metric key to what a reader calls it, in the order in which they are shown."""

_SCORES = {
    "activation_precision": activation_precision,
    "activation_sensitivity": activation_sensitivity,
    "pointing_game": pointing_game,
}
_CHUNK = 32  # images in float64 at a time: 32 of 512 x 512 px take 64 MiB

Floats = npt.NDArray[np.float64]


def measure(maps: npt.NDArray[Any] | Tensor, masks: npt.NDArray[Any] | Tensor) -> dict[str, Floats]:
    """Score every map against its mask.

    Args:
        maps: Floats of shape (N, H, W), in any unit; negative values count as zero.
        masks: Booleans of shape (N, H, W), true on annotated pixels.

    Returns:
        Metric (a key of `LOCALISATION_NAMES`) to values of shape (N,), NaN where undefined.

    Raises:
        InputError: As `softcam.evaluation.localisation` does.
    """
    values, inside = torch.as_tensor(maps), torch.as_tensor(masks)
    if values.ndim != 3 or inside.shape != values.shape:
        raise InputError(
            f"Maps of shape {tuple(values.shape)} and masks of shape {tuple(inside.shape)}; "
            "both must be (N, H, W), one map and one mask of the same size per image."
        )
    require_finite(values)  # here, where images are counted over all chunks
    starts = range(0, max(1, len(values)), _CHUNK)
    return {
        name: torch.cat(
            [score(values[i : i + _CHUNK], inside[i : i + _CHUNK]).cpu() for i in starts]
        ).numpy()
        for name, score in _SCORES.items()
    }


def summarise(
    values: Mapping[str, Floats], patients: Sequence[str], resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Average per-image values, with intervals from a bootstrap over patients.

    Args:
        values: Name to per-image values of shape (N,); NaN is left out of the mean.
        patients: N patient names.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        Name to the mean and its 95 % interval; its `n` counts the images that had a value.

    Raises:
        InputError: If the lengths differ or there is no image.
    """
    table = np.stack(list(values.values()), axis=1)
    if len(table) != len(patients):
        raise InputError(f"{len(patients)} patients for {len(table)} images; give one per image.")
    defined = ~np.isnan(table)
    filled = np.where(defined, table, 0.0)

    def means(rows: Indices) -> dict[str, float]:
        with np.errstate(invalid="ignore"):  # 0 / 0: no image had a value, NaN is meant
            mean = filled[rows].sum(axis=0) / defined[rows].sum(axis=0)
        return dict(zip(values, mean.tolist(), strict=True))

    intervals = bootstrap(means, patients, resamples=resamples, seed=seed)
    counts = dict(zip(values, defined.sum(axis=0).tolist(), strict=True))
    return {name: replace(value, n=counts[name]) for name, value in intervals.items()}


def score_maps(
    maps: npt.NDArray[Any] | Tensor,
    masks: npt.NDArray[Any] | Tensor,
    patients: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Score the maps of a table against its masks.

    Args:
        maps: Floats of shape (N, H, W), in any unit; negative values count as zero.
        masks: Booleans of shape (N, H, W), true on annotated pixels; images with an empty mask
            are left out.
        patients: N patient names.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        Metric (a key of `LOCALISATION_NAMES`) to the mean over images and its 95 % interval.

    Raises:
        InputError: If shapes do not fit, or a map holds NaN or infinity.
    """
    return summarise(measure(maps, masks), patients, resamples, seed)


def uniform_reference(
    masks: npt.NDArray[Any] | Tensor,
    patients: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Score a map that is the same everywhere: what knowing nothing about the place gives.

    Its precision is the area fraction of the mask and its sensitivity is 1. All its pixels are
    highest, so its pointing value is the chance that one drawn at random lies on the mask, which
    is the area fraction again (`pointing_game` itself would look at the top left pixel).

    Args:
        masks: Booleans of shape (N, H, W), true on annotated pixels; images with an empty mask
            are left out.
        patients: N patient names.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        Metric (a key of `LOCALISATION_NAMES`) to the mean over images and its 95 % interval.

    Raises:
        InputError: If masks are not booleans of shape (N, H, W).
    """
    return summarise(uniform_values(masks), patients, resamples, seed)


def uniform_values(masks: npt.NDArray[Any] | Tensor) -> dict[str, Floats]:
    """Score a uniform map on every image; see `uniform_reference`.

    Args:
        masks: Booleans of shape (N, H, W), true on annotated pixels.

    Returns:
        Metric (a key of `LOCALISATION_NAMES`) to values of shape (N,), NaN for an empty mask.

    Raises:
        InputError: If masks are not booleans of shape (N, H, W).
    """
    inside = torch.as_tensor(masks)
    if inside.ndim != 3 or inside.dtype != torch.bool:
        raise InputError(
            f"Masks of shape {tuple(inside.shape)} and type {inside.dtype}; "
            "they must be booleans of shape (N, H, W)."
        )
    area = inside.flatten(1).double().mean(1).cpu().numpy()
    area = np.where(area > 0, area, np.nan)
    whole = np.where(np.isnan(area), np.nan, 1.0)
    return {"activation_precision": area, "activation_sensitivity": whole, "pointing_game": area}
