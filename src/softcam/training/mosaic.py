"""Mosaics: several reduced images in one, the mean evidence of each tile being its image's logits.

A deep cell sees the whole image, so that nothing makes a lesion's evidence stay at the lesion. In a
mosaic evidence that strays into another tile speaks for another image, and the loss says so. Many
images pass as few, so that a mosaic batch costs less than a plain one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.training.seeds import MOSAIC, derive


@dataclass(frozen=True)
class Mosaic:
    """Which images of a batch stand where in its mosaics.

    Tile borders lie at whole pixels: those of n tiles on H pixels at floor(i * H / n). Where maps
    have a multiple of n cells and H is a multiple of n, they are borders of cells too; elsewhere a
    cell that a border cuts counts in each tile by the part of it that lies there.

    Attributes:
        scale: n: a mosaic is n x n images, each reduced by n.
        order: Numbers of the images, tile by tile in raster order, mosaic by mosaic: M * n * n.
    """

    scale: int
    order: tuple[int, ...]

    @property
    def count(self) -> int:
        """M, the number of mosaics."""
        return len(self.order) // self.scale**2

    def images(self, images: Tensor) -> Tensor:
        """Put a batch together into mosaics.

        Args:
            images: Shape (B, C, H, W).

        Returns:
            Shape (M, C, H, W), on the same device.
        """
        n = self.scale
        height, width = images.shape[2:]
        rows, columns = _borders(height, n), _borders(width, n)
        laid = images.new_empty(self.count, *images.shape[1:])
        order = torch.tensor(self.order, device=images.device).reshape(self.count, n, n)
        for i in range(n):
            for j in range(n):
                top, bottom, left, right = rows[i], rows[i + 1], columns[j], columns[j + 1]
                tile = _reduced(images[order[:, i, j]], (bottom - top, right - left))
                laid[:, :, top:bottom, left:right] = tile
        return laid

    def labels(self, target: Tensor) -> Tensor:
        """Give the labels in the order of the tiles.

        Args:
            target: Shape (B, ...).

        Returns:
            Shape (M * n * n, ...).
        """
        return target[torch.tensor(self.order, device=target.device)]

    def means(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Average maps over each tile; of evidence, these are the tiles' logits.

        Args:
            maps: Shape (M, K, h, w).
            size: Height and width of the mosaics in pixels.

        Returns:
            Shape (M * n * n, K), exact also where borders cut cells.
        """
        over_rows, over_columns = (
            _shares(pixels, self.scale, cells).to(maps)
            for pixels, cells in zip(size, maps.shape[2:], strict=True)
        )
        # Autocast would take the products in half precision, and these are logits.
        with torch.autocast(maps.device.type, enabled=False):
            tiles = over_rows @ maps @ over_columns.T
        return tiles.permute(0, 2, 3, 1).reshape(len(self.order), maps.shape[1])


def choose_mosaic(
    images: int, scales: Sequence[int], share: float, *, seed: int, epoch: int, step: int
) -> Mosaic | None:
    """Decide from the place in the run whether a batch becomes mosaics, and which.

    Args:
        images: B, the number of images of the batch.
        scales: The scales n to choose from, each as likely; empty for never.
        share: Share of the batches that become mosaics.
        seed: The run's seed.
        epoch: The epoch, from 0.
        step: The batch within the epoch, from 0.

    Returns:
        None for a plain batch; else ceil(B / n^2) mosaics in which every image stands once, and
        some once more where there are tiles left.
    """
    generator = np.random.default_rng(derive(seed, MOSAIC, epoch, step))
    if not scales or generator.random() >= share:
        return None
    n = int(generator.choice(list(scales)))
    tiles = -(-images // n**2) * n**2
    order: list[int] = []
    while len(order) < tiles:
        order += generator.permutation(images).tolist()
    return Mosaic(n, tuple(order[:tiles]))


def _borders(pixels: int, n: int) -> list[int]:
    return [i * pixels // n for i in range(n + 1)]


def _reduced(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Average over areas where the size divides, else interpolate over areas as wide."""
    height, width = images.shape[2:]
    if height % size[0] == 0 and width % size[1] == 0:
        return F.avg_pool2d(images, (height // size[0], width // size[1]))
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _shares(pixels: int, n: int, cells: int) -> Tensor:
    """Tell what share of a tile's length lies in each cell: (n, cells), rows adding up to 1."""
    # In units of 1 / cells of a pixel every border is a whole number, so the overlaps are exact.
    borders = torch.tensor(_borders(pixels, n), dtype=torch.float64) * cells
    starts = torch.arange(cells, dtype=torch.float64) * pixels
    top, bottom = borders[:-1, None], borders[1:, None]
    overlap = (torch.minimum(bottom, starts + pixels) - torch.maximum(top, starts)).clamp(min=0)
    return overlap / (bottom - top)
