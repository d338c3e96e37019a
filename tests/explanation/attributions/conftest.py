"""Tiny classifiers in float64: one that is affine behind its features, one that is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.subject import ReadOut, Subject, subject_of


def backbone() -> nn.Sequential:
    """Images (N, 3, 12, 16) to features (N, 5, 6, 8), which are not all positive."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(6, 5, 3, stride=2, padding=1),
        nn.LeakyReLU(0.3, inplace=True),
    )


def make_softcam(outputs: int = 3, task: Task = Task.MULTICLASS) -> SoftCAM:
    torch.manual_seed(1)
    model = SoftCAM(backbone(), EvidenceLayer(5, outputs), info=ModelInfo(task=task))
    # Weights large enough that nothing is small against another, statistics that do something.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    model.backbone[1].running_mean.uniform_(-0.3, 0.3)
    return model.double()


def make_bent(outputs: int = 3) -> Subject:
    """A subject whose read-out bends each position's features before it adds them."""
    torch.manual_seed(2)
    layer = backbone().double()
    head = nn.Sequential(nn.Conv2d(5, 4, 1), nn.Tanh(), nn.Conv2d(4, outputs, 1)).double()
    read_out = ReadOut(head)
    classifier = nn.Sequential(layer, read_out).eval()
    info = ModelInfo(task=Task.MULTICLASS)
    return Subject("Bent", classifier, info, layer=layer, read_out=read_out)


def score(logits: torch.Tensor, chosen: int, *, contrast: bool) -> torch.Tensor:
    """What a map explains, of one image's logits (K,)."""
    if len(logits) == 1:
        return logits[0] if chosen == 1 else -logits[0]
    if not contrast:
        return logits[chosen]
    return logits[chosen] - torch.cat([logits[:chosen], logits[chosen + 1 :]]).mean()


CASES = [
    pytest.param((kind, outputs, contrast), id=f"{kind}-{outputs}-{'contrast' * contrast or 'own'}")
    for kind in ("affine", "bent")
    for outputs, contrast in ((3, False), (3, True), (1, True))
]


@pytest.fixture(params=CASES)
def case(request) -> tuple[Subject, bool, torch.Tensor]:
    """A subject, whether the contrast is meant, and classes (2, 2) of two images."""
    kind, outputs, contrast = request.param
    subject = subject_of(make_softcam(outputs)) if kind == "affine" else make_bent(outputs)
    classes = torch.tensor([[0, 1], [1, 0]] if outputs == 1 else [[2, 0], [1, 2]])
    return subject, contrast, classes


@pytest.fixture
def softcam() -> SoftCAM:
    return make_softcam()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 12, 16, generator=generator, dtype=torch.float64)


@pytest.fixture
def by_hand(
    images: torch.Tensor, case: tuple[Subject, bool, torch.Tensor]
) -> Callable[..., torch.Tensor]:
    """Apply a slow formula to each image and class, and stack."""
    subject, contrast, classes = case

    def apply(formula) -> torch.Tensor:
        return torch.stack(
            [
                torch.stack(
                    [
                        formula(image, lambda x, k=k: score(x, int(k), contrast=contrast))
                        for k in chosen
                    ]
                )
                for image, chosen in zip(images, classes, strict=True)
            ]
        ).float()

    del subject
    return apply
