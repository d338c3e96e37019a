"""Black box in, SoftCAM out."""

from __future__ import annotations

import copy as copying
from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from softcam.conversion.any_module import ModuleFamily, input_channels, spatial_dims
from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.families import family_of
from softcam.conversion.family import Family
from softcam.conversion.form import evidence_form
from softcam.conversion.hypercolumn import measured, with_hypercolumn
from softcam.conversion.recognise import recognise
from softcam.conversion.seam import FeatureMaps
from softcam.errors import InputError
from softcam.evidence.info import Conversion, EvidenceForm, Mode, ModelInfo, Neck
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import Head, SoftCAM
from softcam.evidence.probe import run_probe, same_output, try_probe
from softcam.evidence.steps import (
    LinearStep,
)


def convert(
    model: nn.Module,
    *,
    mode: Mode = "exact",
    num_classes: int | None = None,
    stages: int | Sequence[int] | None = None,
    neck: Neck | None = None,
    neck_width: int = 64,
    concentration: float = 0.0,
    features: str | None = None,
    head: str | None = None,
    image_size: int | Sequence[int] | None = None,
    copy: bool = True,
) -> SoftCAM:
    """Turn a trained classifier into one that shows its evidence.

    In the exact mode the head behind the average pool gets its exact spatial form in front of
    it, with the same weights: the logits stay the same numbers, which is proved on a probe image
    before the model is returned. A linear head becomes a 1x1 evidence layer; normalisations and
    activations behind the pool are held, for each image, at the scale and gates that its pooled
    features give them (`SoftCAM.evidence_kind` says which). VGG's and AlexNet's fully connected
    layers are split into the share of each position. The sliding mode takes them as convolutions
    with the old weights. The fresh mode puts a new evidence layer, to be trained, on the last
    feature map; VGG's fully connected layers become new 1x1 convolutions.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3.

    Args:
        model: A classifier of timm, torchvision or any other code. It is left as it was.
        mode: "exact" keeps the head's weights, "fresh" starts a new head, "sliding" is for VGG
            and AlexNet.
        num_classes: Replace the classes: a new last layer with that many maps, unless the
            model has that many already. None keeps the model's number.
        stages: Take the evidence from an earlier stage, or from several added (1 has stride 4,
            2 stride 8, 3 stride 16, 4 stride 32). Always a new evidence layer.
        neck: "hypercolumn" joins the features of the stages into one map in front of the
            evidence layer (`softcam.conversion.hypercolumn`); stages 1, 2 and 3 if none are given.
        neck_width: Channels of the joined map.
        concentration: Weight positions by their own evidence with this sharpness
            (`softcam.evidence.concentration`): the logits are the mean of the maps still, but no
            longer those of the black box, so that the model is to be trained.
        features: Name of the module that gives the last feature map, as "layer4"; None to find
            it. With `features` or `head` the forward pass is traced, whatever the library.
        head: Name of the module that ends in the logits, as "fc"; None for the output.
        image_size: Side or spatial size of an image that the model takes; None to try some.
        copy: Copy the parameters; False shares them with the original where the form allows.

    Returns:
        A SoftCAM in the training mode (train or eval) of the original.

    Raises:
        ConversionError: If the model cannot be converted so; its `reason` is one of a closed
            list and its message says what to do instead.
        InputError: If `mode` or `num_classes` is not valid.
    """
    if mode not in get_args(Mode):
        raise InputError(f'mode must be "exact", "fresh" or "sliding", not {mode!r}.')
    if num_classes is not None and num_classes < 1:
        raise InputError(f"num_classes must be at least 1, not {num_classes}.")
    size = _image_size(image_size, spatial_dims(model))
    named = features is not None or head is not None
    family = ModuleFamily(features, head, size) if named else family_of(model)
    if isinstance(family, ModuleFamily):
        family = ModuleFamily(features, head, size)
    # Tensors made in inference mode could never be trained.
    with torch.inference_mode(False):
        original = copying.deepcopy(model) if copy else model
        _require_trainable(original)
        form = evidence_form(stages, neck, neck_width, concentration)
        result = build_softcam(
            family, original, mode, num_classes, form, part=head, image_size=size
        )
        form = measured(result.backbone, form)
        architecture = None
        if not named:
            architecture = recognise(
                family,
                model,
                mode=mode,
                num_outputs=result.num_outputs,
                form=form,
                size=result.info.input_size,
            )
        result.info = result.info.model_copy(
            update={
                "architecture": architecture,
                "conversion": Conversion(
                    mode=mode, features=features, head=head, **form.model_dump()
                ),
            }
        )
        result.train(model.training)
    return result


def build_softcam(
    family: Family,
    black_box: nn.Module,
    mode: Mode,
    num_outputs: int | None,
    form: EvidenceForm,
    *,
    part: str | None = None,
    image_size: tuple[int, ...] | None = None,
) -> SoftCAM:
    """Build the SoftCAM that shares a black box's parameters.

    Args:
        family: The black box's library.
        black_box: A classifier of that library.
        mode: "exact", "fresh" or "sliding".
        num_outputs: K, the number of evidence maps; None for the black box's own number.
        form: Which features give the evidence, and how.
        part: Name of the module whose output counts as the black box's logits.
        image_size: Spatial size of an image that it takes; None to try some.

    Returns:
        A SoftCAM that knows its input; in the exact mode its logits are proved to be the black
        box's.

    Raises:
        ConversionError: If the model cannot be converted so.
    """
    if form.stages is not None or mode == "fresh":
        return _with_new_head(family, black_box, num_outputs, form, image_size)
    try:
        seam = family.seam(black_box) if mode == "exact" else family.sliding(black_box)
    except ConversionError as error:
        if error.reason is Reason.NO_CLASSIFIER and num_outputs is not None:
            return _with_new_head(family, black_box, num_outputs, form, image_size)
        raise
    model = _placed(SoftCAM(seam.backbone, seam.head), black_box)
    model.info, evidence = _first_evidence(family, black_box, model, image_size)
    _prove(family, black_box, model, evidence, image_size, part)
    if num_outputs is not None and num_outputs != seam.head.num_outputs:
        model.head = _with_classes(seam.head, num_outputs)
        _placed(model, black_box)
    if form.concentration:
        if not isinstance(model.head, EvidenceLayer | StageEvidence):
            raise ConversionError(
                Reason.UNSUPPORTED_HEAD,
                f"the {model.head.kind} head of {type(black_box).__name__} cannot be concentrated",
                'pass mode="fresh" for a new evidence layer, or no concentration',
            )
        model.head.concentration = form.concentration
    return model


def _with_new_head(
    family: Family,
    black_box: nn.Module,
    num_outputs: int | None,
    form: EvidenceForm,
    image_size: tuple[int, ...] | None,
) -> SoftCAM:
    if form.stages is None:
        taken = family.fresh(black_box)
    else:
        taken = family.stages(black_box, form.stages)
    outputs = num_outputs or _class_count(black_box)
    dims = spatial_dims(black_box)
    if form.neck is not None:
        taken = with_hypercolumn(
            taken,
            form,
            channels=input_channels(black_box),
            dims=dims,
            sizes=(image_size,) if image_size else family.input_sizes(black_box),
        )
        parameter = next(black_box.parameters())
        taken.backbone.to(parameter.device, parameter.dtype)
    head: Head
    further: dict[str, Any] = {
        "dims": dims,
        "dropout": taken.dropout,
        "concentration": form.concentration,
    }
    if len(taken.channels) == 1:
        head = EvidenceLayer(taken.channels[0], outputs, **further)
    else:
        head = StageEvidence(taken.channels, outputs, **further)
    model = _placed(SoftCAM(taken.backbone, head), black_box)
    model.info, _ = _first_evidence(family, black_box, model, image_size)
    return model


def _with_classes(head: Head, num_outputs: int) -> Head:
    """Give a head a new last layer; what stands in front of it is kept."""
    if isinstance(head, EvidenceLayer):
        return EvidenceLayer(
            head.conv.in_channels,
            num_outputs,
            dims=head.dims,
            dropout=head.dropout,
            activation=head.activation,
        )
    if isinstance(head, StageEvidence):
        channels = [layer.conv.in_channels for layer in head.layers]  # type: ignore[union-attr]
        return StageEvidence(
            channels,  # type: ignore[arg-type]
            num_outputs,
            dims=head.dims,
            dropout=head.dropout,
        )
    last: LinearStep = head.steps[-1]  # type: ignore[assignment]
    fresh = nn.Linear(int(last.weight.shape[1]), num_outputs)
    head.steps[-1] = LinearStep(nn.Parameter(fresh.weight), nn.Parameter(fresh.bias))
    head.num_outputs = num_outputs
    return head


def _placed(model: SoftCAM, black_box: nn.Module) -> SoftCAM:
    """Put a new head where the black box's parameters are, in their type."""
    parameter = next(black_box.parameters())
    model.head.to(parameter.device, parameter.dtype)
    return model


def _first_evidence(
    family: Family, black_box: nn.Module, model: SoftCAM, image_size: tuple[int, ...] | None
) -> tuple[ModelInfo, Tensor | None]:
    """Run the probe at the first size that the model takes, preferring maps of several cells."""
    channels = input_channels(black_box)
    sizes = (image_size,) if image_size else family.input_sizes(black_box)
    found: tuple[tuple[int, ...], Tensor] | None = None
    for size in sizes:
        evidence = try_probe(model, channels, size)
        if evidence is None:
            continue
        if found is None or evidence[0, 0].numel() > 1:
            found = size, evidence
        if evidence[0, 0].numel() > 1:
            break
    if found is None:
        return ModelInfo(in_chans=channels), None
    return ModelInfo(in_chans=channels, input_size=found[0]), found[1]


def _no_evidence(
    family: Family,
    black_box: nn.Module,
    model: SoftCAM,
    image_size: tuple[int, ...] | None,
    part: str | None,
) -> ConversionError:
    """Say whether the black box takes none of the sizes, or one that its new form does not."""
    channels, called = model.info.in_chans, type(black_box).__name__
    for size in (image_size,) if image_size else family.input_sizes(black_box):
        if try_probe(black_box, channels, size, part) is None:
            continue
        try:
            run_probe(model, channels, size)
        except Exception as error:  # whatever it is, it is the reason
            return ConversionError(
                Reason.CHANGED_LOGITS,
                f"{called} takes an image of {'x'.join(map(str, size))} pixels and its new form "
                f"does not ({(str(error).splitlines() or [type(error).__name__])[0][:160]})",
                'pass mode="fresh" for a new evidence layer to be trained',
            )
    return ConversionError(
        Reason.UNKNOWN_MODEL,
        f"{called} takes no {channels}-channel image of the sizes tried, so that its logits "
        "cannot be proved",
        "pass image_size= with one that it takes",
    )


def _prove(
    family: Family,
    black_box: nn.Module,
    model: SoftCAM,
    evidence: Tensor | None,
    image_size: tuple[int, ...] | None,
    part: str | None,
) -> None:
    channels, size = model.info.in_chans, model.info.input_size
    if evidence is None:
        raise _no_evidence(family, black_box, model, image_size, part)
    expected = run_probe(black_box, channels, size, part)
    found = evidence.mean(dim=tuple(range(2, evidence.ndim)))
    if not same_output(expected, found, tolerance=_tolerance(black_box, evidence, expected)):
        raise ConversionError(
            Reason.CHANGED_LOGITS,
            f"the logits of {type(black_box).__name__} are not the mean of its evidence maps",
            'pass mode="fresh" for a new evidence layer to be trained',
        )
    # A traced forward pass took the branches of the example's size; another size may differ.
    if isinstance(model.backbone, FeatureMaps):
        larger = (*size[:-1], size[-1] + 32)
        wanted = try_probe(black_box, channels, larger, part)
        other = try_probe(model, channels, larger)
        if wanted is None:
            return  # a model of fixed size
        if other is not None:
            found = other.mean(dim=tuple(range(2, other.ndim)))
            if same_output(wanted, found, tolerance=_tolerance(black_box, other, wanted)):
                return
        model.backbone.image_size = size


def _tolerance(black_box: nn.Module, evidence: Tensor, expected: Tensor) -> float:
    """Allow rounding: a mean of large values of either sign has the error of the values."""
    half = next(black_box.parameters()).dtype in (torch.float16, torch.bfloat16)
    if half:
        return 2e-2
    spread = float(evidence.abs().max() / expected.abs().max().clamp_min(1e-12))
    return max(1e-4, min(1e-3, 2e-6 * spread))


def _require_trainable(model: nn.Module) -> None:
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ConversionError(
            Reason.UNKNOWN_MODEL,
            "the model was built inside inference_mode, so that its parameters cannot be trained",
            "convert a copy (copy=True)",
        )


def _image_size(size: int | Sequence[int] | None, dims: int) -> tuple[int, ...] | None:
    if size is None:
        return None
    sides = (size,) * dims if isinstance(size, int) else tuple(size)
    if len(sides) != dims or any(side < 1 for side in sides):
        raise InputError(f"image_size must be one positive number or {dims} of them, not {size}.")
    return sides


def _class_count(model: nn.Module) -> int:
    known = getattr(model, "num_classes", None)  # timm's models know
    count = known if isinstance(known, int) else 0
    if known is None:
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        layers = [module for module in model.modules() if isinstance(module, kinds)]
        count = int(layers[-1].weight.shape[0]) if layers else 0
    if count < 1:
        raise ConversionError(
            Reason.NO_CLASSIFIER,
            f"{type(model).__name__} was built without a classifier",
            "pass num_classes= for a new evidence layer",
        )
    return count
