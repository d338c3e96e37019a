"""A SoftCAM's own evidence maps: the decision itself, read and not estimated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject


def _evidence(
    subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool, **_: Any
) -> Tensor:
    assert subject.softcam is not None  # `Attribution.refusal` has seen to it
    with torch.no_grad():
        maps: Tensor = subject.softcam(images).evidence
    count = maps.shape[1]
    if count == 1:
        signs = (2 * classes - 1).to(maps.dtype)
        return maps * signs[:, :, None, None]
    if contrast:
        maps = (maps * count - maps.sum(dim=1, keepdim=True)) / (count - 1)
    wanted = classes[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    return maps.gather(1, wanted)


EVIDENCE = Attribution(
    "evidence",
    "Evidence",
    signed=True,
    compute=_evidence,
    needs="evidence",
    source="Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), section 3",
)
