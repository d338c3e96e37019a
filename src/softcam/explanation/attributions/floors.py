"""Floors: maps that know nothing of the classifier, which every method must beat."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject

_LUMA = (0.299, 0.587, 0.114)


def _random(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, cell: int, seed: int
) -> Tensor:
    height, width = (-(-side // cell) for side in images.shape[2:])
    maps = []
    for image in images.float().cpu().numpy():
        # The image's own bytes are its seed, so that it has the same map in every batch.
        generator = np.random.default_rng([seed, zlib.crc32(image.tobytes())])
        maps.append(generator.random((1, height, width), dtype=np.float32))
    return torch.from_numpy(np.stack(maps)).to(images.device)


def _uniform(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    return torch.ones(len(images), 1, *images.shape[2:], device=images.device)


def _edges(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    channels = images.shape[1]
    share = torch.tensor(_LUMA if channels == 3 else (1 / channels,) * channels).to(images)
    std = (subject.info.preprocessing or {}).get("std")
    if std is not None and len(std) == channels:
        share = share * torch.tensor(std).to(images)
    grey = torch.einsum("c,nchw->nhw", share, images)[:, None]
    # Repeated rims: the image's border is no edge.
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(images)
    kernels = torch.stack([across, across.T])[:, None]
    return F.conv2d(padded, kernels).square().sum(dim=1, keepdim=True).sqrt()


RANDOM = Attribution(
    "random",
    "Random map",
    signed=False,
    compute=_random,
    by_class=False,
    options={"cell": 32, "seed": 0},
    source="Uniform noise in cells of `cell` pixels, seeded by the image's content",
)
UNIFORM = Attribution(
    "uniform",
    "Uniform map",
    signed=False,
    compute=_uniform,
    by_class=False,
    source="One everywhere",
)
EDGES = Attribution(
    "edges",
    "Edge filter",
    signed=False,
    compute=_edges,
    by_class=False,
    source="Magnitude of the Sobel gradient of the luma; after Adebayo et al., NeurIPS 2018",
)
