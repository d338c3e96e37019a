"""The 2 x 2 game: one diseased image among three healthy ones; where does the evidence lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from softcam.errors import InputError
from softcam.evaluation.inputs import require_maps, unit_positive


@dataclass(frozen=True)
class TileGame:
    """Mosaics of 2 x 2 images.

    Attributes:
        images: Float tensor of shape (N, C, H, W): mosaics of the size of the single images.
        tile: Int64 tensor of shape (N,): where the diseased image is, 0 top left, 1 top right,
            2 bottom left, 3 bottom right.
        healthy: Int64 tensor of shape (N, 3): indices of the healthy images, in raster order.
    """

    images: Tensor
    tile: Tensor
    healthy: Tensor


def tile_game(diseased: Tensor, healthy: Tensor, seed: int = 0) -> TileGame:
    """Put each diseased image at a random place among three random healthy ones.

    The tiles are the images at half the size (bilinear, antialiased), so that a mosaic has the
    size that the model takes.

    Args:
        diseased: Float tensor of shape (N, C, H, W), as the model takes it; H and W are even.
        healthy: Float tensor of shape (M, C, H, W), at least three images, on the same device.
        seed: Seed of the draws.

    Returns:
        One mosaic for each diseased image; no healthy image comes twice in a mosaic.

    Raises:
        InputError: If the shapes do not fit or there are fewer than three healthy images.

    Source: after the localisation metric of Böhle et al., "Convolutional dynamic alignment
        networks for interpretable classifications", CVPR 2021; what is built is described above.
    """
    if (
        diseased.ndim != 4
        or diseased.shape[1:] != healthy.shape[1:]
        or diseased.shape[2] % 2
        or diseased.shape[3] % 2
    ):
        raise InputError(
            f"Diseased images of shape {tuple(diseased.shape)} and healthy ones of shape "
            f"{tuple(healthy.shape)}; give (N, C, H, W) and (M, C, H, W) with even H and W."
        )
    if len(healthy) < 3:
        raise InputError(f"{len(healthy)} healthy images; a mosaic needs three.")
    rng = np.random.default_rng(seed)
    count = len(diseased)
    tile = rng.integers(4, size=count)
    others = np.array([rng.choice(len(healthy), 3, replace=False) for _ in range(count)])
    others = others.reshape(count, 3)
    half = [side // 2 for side in diseased.shape[2:]]
    mosaics = torch.empty_like(diseased)
    for row in range(count):
        places = [place for place in range(4) if place != tile[row]]
        quarters = torch.empty((4, *diseased.shape[1:]), dtype=diseased.dtype).to(diseased.device)
        quarters[int(tile[row])] = diseased[row]
        quarters[places] = healthy[others[row].tolist()]
        small = interpolate(quarters, half, mode="bilinear", antialias=True)
        top, bottom = torch.cat([small[0], small[1]], -1), torch.cat([small[2], small[3]], -1)
        mosaics[row] = torch.cat([top, bottom], -2)
    return TileGame(mosaics, torch.from_numpy(tile), torch.from_numpy(others))


def tile_share(maps: Tensor, tile: Tensor) -> Tensor:
    """Share of the positive evidence in the diseased tile; 1/4 is what a uniform map gives.

    Args:
        maps: Float tensor of shape (N, h, w) over the mosaics, at any resolution; a cell on the
            border between tiles counts for each with the part of it that lies there.
        tile: Int64 tensor of shape (N,): the diseased tile; see `TileGame`.

    Returns:
        Float64 tensor of shape (N,), between 0 and 1; NaN for a map without positive evidence.

    Raises:
        InputError: If shapes differ, a map holds NaN or infinity, or there is no such tile.

    Example:
        >>> maps = torch.tensor([[[3.0, 1.0], [-2.0, 0.0]]])
        >>> tile_share(maps, torch.tensor([0]))
        tensor([0.7500], dtype=torch.float64)
    """
    require_maps(maps)
    if maps.ndim != 3 or tile.shape != maps.shape[:1]:
        raise InputError(
            f"Maps of shape {tuple(maps.shape)} and tiles of shape {tuple(tile.shape)}; "
            "give (N, h, w) and (N,)."
        )
    where = tile.to(maps.device).long()
    if bool(((where < 0) | (where > 3)).any()):
        raise InputError("Tiles are numbered 0 to 3, in raster order.")
    saliency = unit_positive(maps.detach().flatten(1).to(torch.float64, copy=True)).view(maps.shape)
    rows, columns = (_in_half(side).to(maps.device) for side in maps.shape[1:])
    inside = torch.einsum("nhw,nh,nw->n", saliency, rows[where // 2], columns[where % 2])
    return inside / saliency.sum((1, 2))  # 0 / 0: no positive evidence


def _in_half(cells: int) -> Tensor:
    """Give how much of each cell lies in the first and in the second half, (2, cells)."""
    first = (cells / 2 - torch.arange(cells, dtype=torch.float64)).clamp(0, 1)
    return torch.stack([first, 1 - first])
