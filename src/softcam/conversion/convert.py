"""Black box in, SoftCAM out."""

from __future__ import annotations

import copy as copying
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.families import family_of
from softcam.conversion.family import Family
from softcam.conversion.recognise import recognise
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.evidence.probe import run_probe, same_output, smallest_probe

Mode = Literal["exact", "fresh"]


def convert(
    model: nn.Module,
    *,
    mode: Mode = "exact",
    num_classes: int | None = None,
    stages: int | Sequence[int] | None = None,
    copy: bool = True,
) -> SoftCAM:
    """Turn a trained classifier into one that shows its evidence.

    In the exact mode the classifier behind the average pool becomes a 1x1 evidence layer in
    front of it, with the same weights: the logits stay the same numbers, which is proved on a
    probe image before the model is returned. The fresh mode puts a new evidence layer, to be
    trained, on the last feature map; VGG's fully connected layers become new 1x1 convolutions.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3.

    Args:
        model: A timm or torchvision classifier. It is left as it was.
        mode: "exact" keeps the head's weights, "fresh" starts a new head.
        num_classes: Replace the classes: a new evidence layer with that many maps, unless the
            model has that many already. None keeps the model's number.
        stages: Take the evidence from an earlier stage, or from several added (1 has stride 4,
            2 stride 8, 3 stride 16, 4 stride 32). Always a new evidence layer.
        copy: Copy the parameters; False shares them with the original.

    Returns:
        A SoftCAM in the training mode (train or eval) of the original.

    Raises:
        ConversionError: If the model cannot be converted so; its `reason` is one of a closed
            list and its message says what to do instead.
        InputError: If `mode` or `num_classes` is not valid.
    """
    if mode not in ("exact", "fresh"):
        raise InputError(f'mode must be "exact" or "fresh", not {mode!r}.')
    if num_classes is not None and num_classes < 1:
        raise InputError(f"num_classes must be at least 1, not {num_classes}.")
    family = family_of(model)
    # Tensors made in inference mode could never be trained.
    with torch.inference_mode(False):
        original = copying.deepcopy(model) if copy else model
        _require_trainable(original)
        numbers = _stage_numbers(stages)
        outputs = num_classes or _class_count(family, original, numbers)
        result = build_softcam(family, original, mode, outputs, numbers)
        result.info = ModelInfo(
            architecture=recognise(family, model, mode=mode, num_outputs=outputs, stages=numbers)
        )
        result.train(model.training)
    return result


def build_softcam(
    family: Family,
    black_box: nn.Module,
    mode: Mode,
    num_outputs: int,
    stages: tuple[int, ...] | None,
) -> SoftCAM:
    """Build the SoftCAM that shares a black box's parameters.

    Args:
        family: The black box's library.
        black_box: A classifier of that library.
        mode: "exact" or "fresh".
        num_outputs: K, the number of evidence maps.
        stages: Numbers of the stages that give evidence; None for the last feature map.

    Returns:
        A SoftCAM without description; in exact mode its logits are proved to be the black box's.

    Raises:
        ConversionError: If the model cannot be converted so.
    """
    if stages is not None:
        taken = family.stages(black_box, stages)
        head: EvidenceLayer | StageEvidence
        if len(taken.channels) == 1:
            head = EvidenceLayer(taken.channels[0], num_outputs, dropout=taken.dropout)
        else:
            head = StageEvidence(taken.channels, num_outputs, dropout=taken.dropout)
        return _placed(SoftCAM(taken.backbone, head), black_box)
    if mode == "fresh":
        taken = family.fresh(black_box)
        head = EvidenceLayer(taken.channels[0], num_outputs, dropout=taken.dropout)
        return _placed(SoftCAM(taken.backbone, head), black_box)
    seam = family.seam(black_box)
    if num_outputs != seam.classifier.out_features:
        head = EvidenceLayer(seam.classifier.in_features, num_outputs, dropout=seam.dropout)
        return _placed(SoftCAM(seam.backbone, head), black_box)
    model = SoftCAM(seam.backbone, EvidenceLayer.from_linear(seam.classifier, dropout=seam.dropout))
    _prove(black_box, model)
    return model


def _placed(model: SoftCAM, black_box: nn.Module) -> SoftCAM:
    """Put a new head where the black box's parameters are, in their type."""
    parameter = next(black_box.parameters())
    model.head.to(parameter.device, parameter.dtype)
    return model


def _prove(black_box: nn.Module, model: SoftCAM) -> None:
    channels = int(getattr(black_box, "in_chans", 3))
    size = smallest_probe(black_box, channels)
    if size is None:
        raise ConversionError(
            Reason.UNKNOWN_MODEL,
            f"{type(black_box).__name__} takes no {channels}-channel image of 64 to 299 pixels, so "
            "that its logits cannot be proved",
            "build SoftCAM(backbone, EvidenceLayer(channels, classes)) from its feature layers",
        )
    expected = run_probe(black_box, channels, size)
    found = run_probe(model, channels, size).mean(dim=(2, 3))
    half = next(black_box.parameters()).dtype in (torch.float16, torch.bfloat16)
    if not same_output(expected, found, tolerance=2e-2 if half else 1e-4):
        raise ConversionError(
            Reason.CHANGED_LOGITS,
            f"the logits of {type(black_box).__name__} are not the mean of its evidence maps",
            'pass mode="fresh" for a new evidence layer to be trained',
        )


def _require_trainable(model: nn.Module) -> None:
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ConversionError(
            Reason.UNKNOWN_MODEL,
            "the model was built inside inference_mode, so that its parameters cannot be trained",
            "convert a copy (copy=True)",
        )


def _stage_numbers(stages: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if stages is None:
        return None
    numbers = (stages,) if isinstance(stages, int) else tuple(sorted(set(stages)))
    if not numbers:
        raise InputError("stages must name at least one stage, for example stages=3.")
    return numbers


def _class_count(family: Family, model: nn.Module, stages: tuple[int, ...] | None) -> int:
    count = getattr(model, "num_classes", None)  # timm's models know
    if count is None:
        last = [module for module in model.modules() if isinstance(module, nn.Linear)]
        count = last[-1].out_features if last else 0
    if count < 1:
        raise ConversionError(
            Reason.NO_CLASSIFIER,
            f"{type(model).__name__} was built without a classifier",
            "pass num_classes= for a new evidence layer",
        )
    return int(count)
