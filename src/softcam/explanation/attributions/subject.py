"""What is explained: a classifier, its last feature map, and its own evidence if it has any."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from softcam.conversion.black_box import BlackBox
from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError
from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM


class ReadOut(nn.Module):
    """What turns the last feature map (N, C, h, w) into logits (N, K): an evidence head's mean."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        """Read the logits (N, K) out of features (N, C, h, w)."""
        evidence: Tensor = self.head(features)
        return evidence.mean(dim=(2, 3))


class _Logits(nn.Module):
    """A SoftCAM as an ordinary classifier, which is what post-hoc methods take."""

    def __init__(self, softcam: SoftCAM) -> None:
        super().__init__()
        self.softcam = softcam

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.softcam(x).logits
        return logits


@dataclass(frozen=True, eq=False)
class Subject:
    """A classifier as attribution methods see it.

    Attributes:
        name: What tables call it, such as "SoftCAM" or "Black-box twin".
        classifier: Module from images (N, C, H, W) to logits (N, K), in eval mode.
        info: Its classes, task and preprocessing.
        softcam: The model whose evidence is native; None for a black box.
        layer: Part of `classifier` that gives the last feature map (N, C, h, w); None if there
            is no single one.
        no_layer: Why there is none, in a sentence's words.
        read_out: From that feature map to the logits; what `classifier` does behind `layer`.
        weight: The matrix (K, C) that reads the logits out of the pooled feature map, of a head
            that is affine; else None.
        stock: The black box itself, for methods that change how its modules compute; its logits
            are the classifier's.
    """

    name: str
    classifier: nn.Module
    info: ModelInfo
    softcam: SoftCAM | None = None
    layer: nn.Module | None = None
    no_layer: str = ""
    read_out: ReadOut | None = None
    weight: Tensor | None = None
    stock: nn.Module | None = None

    @property
    def task(self) -> Task:
        """What the labels mean; classes that exclude each other where nothing else is said."""
        return self.info.task or Task.MULTICLASS

    @property
    def as_trained(self) -> nn.Module | None:
        """The classifier in which each ReLU module does what it did in training, or None.

        The evidence of a gated head reads its gates off its activations, so that in a SoftCAM
        with one those are no longer steps on the way from image to logit.
        """
        if self.stock is not None:
            return self.stock
        head = None if self.read_out is None else self.read_out.head
        gated = getattr(head, "kind", "affine") == "gated"
        if gated and any(isinstance(part, nn.ReLU) for part in (head or self.classifier).modules()):
            return None
        return self.classifier

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.classifier.parameters(), torch.empty(0)).device


def subject_of(model: SoftCAM | BlackBox, name: str | None = None) -> Subject:
    """Prepare a model for attribution.

    The last feature layer comes from where the conversion cuts: a black box is explained in its
    exactly converted form, whose logits are the same, so that its feature map has the shape
    (N, C, h, w) whatever layout its backbone computes in. One that cannot be converted is
    explained as it is, by the methods that need no feature map.

    Args:
        model: A SoftCAM, or a black box, which is copied. It is put into eval mode.
        name: What tables call it.

    Returns:
        The subject; for a black box without native evidence.
    """
    if isinstance(model, SoftCAM):
        return _of_softcam(model, name or "SoftCAM", native=True)
    name = name or "Black-box twin"
    try:
        converted = convert(model.model)
    except ConversionError as error:
        model.eval()
        why = str(error).rstrip(".")
        return Subject(name, model, model.info, no_layer=why)
    converted.info = model.info
    return replace(_of_softcam(converted, name, native=False), stock=model)


def _of_softcam(model: SoftCAM, name: str, *, native: bool) -> Subject:
    model.eval()
    softcam = model if native else None
    classifier = _Logits(model).eval()
    if isinstance(model.head, StageEvidence):
        why = "its evidence comes from several stages"
        return Subject(name, classifier, model.info, softcam, no_layer=why)
    weight = None
    if (
        isinstance(model.head, EvidenceLayer)
        and model.head.kind == "affine"
        and model.head.activation is None
    ):
        weight = model.head.conv.weight.detach().flatten(1)
    return Subject(
        name,
        classifier,
        model.info,
        softcam,
        model.backbone,
        read_out=ReadOut(model.head),
        weight=weight,
    )
