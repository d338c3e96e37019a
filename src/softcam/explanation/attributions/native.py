"""A SoftCAM's own evidence maps: the decision itself, read and not estimated."""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.explanation.attributions.base import Attribution, class_scores
from softcam.explanation.attributions.subject import Subject


def _evidence(subject: Subject, images: Tensor, classes: Tensor, *, contrast: bool) -> Tensor:
    assert subject.softcam is not None  # `Attribution.refusal` has seen to it
    with torch.no_grad():
        maps: Tensor = subject.softcam(images).evidence
    return class_scores(maps, classes, contrast=contrast)


EVIDENCE = Attribution(
    "evidence",
    "Evidence",
    signed=True,
    compute=_evidence,
    needs=("evidence",),
    source="Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), section 3",
)
