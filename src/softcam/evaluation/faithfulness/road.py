"""Remove and debias (ROAD): deletion that leaves no trace of where pixels were taken from.

A patch in one colour tells a model that something was there, and where. ROAD fills the gap with
what its border lets one expect, so that only the content is gone.

Source: Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
ICML 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu
from torch import Tensor

from softcam.errors import InputError
from softcam.evaluation.faithfulness.curves import Curve, check_images, step_counts
from softcam.evaluation.faithfulness.packing import Classify, Images, packed_logits
from softcam.evaluation.faithfulness.patches import Raster, patch_order, patch_ranks

_DIRECT, _DIAGONAL = 1 / 6, 1 / 12  # the paper's weights of the eight neighbours
_NEIGHBOURS = [
    (down, right, _DIRECT if 0 in (down, right) else _DIAGONAL)
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
]

First = Literal["most", "least"]


def impute(image: npt.ArrayLike, removed: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Fill removed pixels with the weighted mean of their eight neighbours, all at once.

    Direct neighbours weigh 1/6 and diagonal ones 1/12; at the border the weights of those that
    exist are scaled to 1. As neighbours may be removed too, this is a sparse linear system,
    solved directly, one per image. Without noise `pytorch_grad_cam.metrics.road` gives the same
    in float32.

    Args:
        image: Floats of shape (C, H, W), in any unit.
        removed: Booleans of shape (H, W), true where pixels are unknown.

    Returns:
        Floats of shape (C, H, W); known pixels are as they were.

    Raises:
        InputError: If the shapes differ, or no pixel is known.

    Example:
        >>> impute([[[1.0, 9.0, 9.0, 4.0]]], [[False, True, True, False]]).round(6).tolist()
        [[[1.0, 2.0, 3.0, 4.0]]]
    """
    pixels = np.array(image, dtype=np.float64)
    unknown = np.asarray(removed, dtype=bool)
    if pixels.ndim != 3 or pixels.shape[1:] != unknown.shape:
        raise InputError(
            f"An image of shape {pixels.shape} and removed pixels of shape {unknown.shape}; they "
            "must be (C, H, W) and (H, W)."
        )
    if unknown.all():
        raise InputError("All pixels are removed, which leaves none to fill them from.")
    rows, columns = unknown.nonzero()
    count = len(rows)
    if count == 0:
        return pixels
    height, width = unknown.shape
    variable = np.full(unknown.shape, -1)
    variable[rows, columns] = np.arange(count)
    weights = np.zeros(count)
    known = np.zeros((count, len(pixels)))
    entries: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for down, right, weight in _NEIGHBOURS:
        y, x = rows + down, columns + right
        inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).nonzero()[0]
        y, x = y[inside], x[inside]
        weights[inside] += weight
        other = variable[y, x]
        given, asked = other < 0, other >= 0
        known[inside[given]] += weight * pixels[:, y[given], x[given]].T
        entries.append((np.full(asked.sum(), -weight), inside[asked], other[asked]))
    entries.append((weights, np.arange(count), np.arange(count)))
    values, equations, variables = (np.concatenate(part) for part in zip(*entries, strict=True))
    system = csc_matrix((values, (equations, variables)), shape=(count, count))
    # Symmetric and positive definite as soon as one pixel is known: no pivoting is needed.
    solver = splu(
        system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    pixels[:, rows, columns] = solver.solve(known).T
    return pixels


def road(
    classify: Classify,
    images: Images,
    maps: Tensor,
    *,
    first: First = "most",
    fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    patch: int = 1,
    noise: float = 0.01,
    seed: int = 0,
    batch_size: int = 32,
) -> Curve:
    """Remove pixels in the map's order, or against it, and impute them.

    A faithful map loses accuracy fast when what it ranks highest goes first ("most") and slowly
    when it goes last ("least"); report both. `summaries` turns the logits into accuracy and
    confidence. Each image at each step takes a sparse system, solved on the CPU: at 224 px that
    costs up to five forward passes of a ResNet-18, the more pixels are removed the more.

    Args:
        classify: Gives logits (B, K) for normalised images (B, C, H, W); runs in inference mode.
        images: N normalised images, or batches of them, on the device that the model is on.
        maps: Float tensor (N, H, W) of the images' size: signed maps in any unit.
        first: "most" removes what ranks highest first, "least" what ranks lowest, in exactly the
            reverse order.
        fractions: Parts of the patches to remove, between 0 and below 1, never falling.
        patch: Side in pixels of what is ranked and removed; the paper removes single pixels.
        noise: Standard deviation of the Gaussian noise on imputed pixels, in the units of the
            images; without it they are smoother than any image.
        seed: Seed of the noise. An image has the same noise at every step and in any batch.
        batch_size: Images per forward pass.

    Returns:
        A deletion curve: step 0 is the untouched image.

    Raises:
        InputError: If shapes, types or fractions differ from these, or a map holds NaN or
            infinity, or maps are 3-D: the method is one for images.

    Source: Rong et al., ICML 2022, sections 4 and 5.
    """
    if maps.ndim != 3:
        raise InputError(
            f"Maps of shape {tuple(maps.shape)}; ROAD fills images, so they must be (N, H, W). "
            "For volumes take `deletion`."
        )
    if first not in ("most", "least") or not noise >= 0:
        raise InputError(
            f'First is {first!r} and noise {noise}; take "most" or "least", and 0 or more.'
        )
    raster = Raster(tuple(maps.shape[1:]), patch)
    order = patch_order(maps, patch)
    ranks = patch_ranks(order if first == "most" else order.flip(1))
    counts = step_counts([float(fraction) for fraction in fractions], raster.count)
    if max(counts) == raster.count:
        raise InputError(
            f"At the fraction {max(fractions)} all {raster.count} patches are removed, which "
            "leaves none to fill them from; take smaller fractions or patches."
        )
    asked = sorted(set(counts))
    limits = torch.tensor(asked, dtype=ranks.dtype, device=ranks.device)
    generator = torch.Generator().manual_seed(seed)

    def prepare(batch: Tensor) -> Tensor:
        check_images(batch, raster)
        drawn = [torch.randn(image.shape, generator=generator) for image in batch]
        return torch.stack(drawn).to(batch) * noise

    def change(batch: Tensor, specks: Tensor, numbers: Tensor, copies: Tensor) -> Tensor:
        removed = raster.spread(ranks[numbers] < limits[copies, None]).cpu()
        filled = [
            impute(image, mask)
            for image, mask in zip(batch.cpu().double().numpy(), removed.numpy(), strict=True)
        ]
        imputed = torch.from_numpy(np.stack(filled)).to(batch)
        return imputed + specks * removed[:, None].to(batch.device)

    logits = packed_logits(
        classify,
        images,
        len(maps),
        len(asked),
        batch_size=batch_size,
        prepare=prepare,
        change=change,
    )
    places = [asked.index(count) for count in counts]
    return Curve("deletion", logits[:, places], counts, raster.count)
