"""SoftCAMs and black boxes by name."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import timm
import torchvision
from torch import nn

from softcam.conversion.black_box import BlackBox
from softcam.conversion.convert import build_softcam
from softcam.conversion.families import family_named
from softcam.conversion.family import Family
from softcam.conversion.form import evidence_form
from softcam.conversion.hypercolumn import measured
from softcam.conversion.weights import load_weights
from softcam.errors import InputError
from softcam.evidence.info import Architecture, EvidenceForm, Mode, ModelInfo, Neck
from softcam.evidence.model import SoftCAM

_LOG = logging.getLogger("softcam")

_FORBIDDEN = frozenset(
    {
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
        "features_only",
        "weights",
        "weights_backbone",
        "progress",
        "num_classes",
        "in_chans",
    }
)
"""Constructor arguments that fetch, read files or change what the model returns."""


def create_model(
    name: str,
    *,
    num_classes: int,
    mode: Mode = "exact",
    pretrained: bool = False,
    weights: Path | str | None = None,
    in_chans: int = 3,
    output_stride: int | None = None,
    stages: int | Sequence[int] | None = None,
    neck: Neck | None = None,
    neck_width: int = 64,
    concentration: float = 0.0,
    **kwargs: Any,
) -> SoftCAM:
    """Build a SoftCAM by the name of its backbone.

    Args:
        name: A timm name ("resnet18"), or "torchvision/vgg16" for torchvision's.
        num_classes: K, the number of evidence maps and logits (1 for a one-logit binary model).
        mode: "exact" for the library's own head in its exact spatial form; "fresh" for a new
            head (for VGG new 1x1 layers, as in the paper); "sliding" for VGG's and AlexNet's
            fully connected layers as convolutions.
        pretrained: Fetch the library's pretrained weights from its hub.
        weights: A local safetensors file of pretrained weights instead; what does not fit by
            name and shape is reported and stays random.
        in_chans: Number of input channels (timm only).
        output_stride: 8, 16 or 32, where the backbone can dilate (timm's ResNet, EfficientNet
            ...): a finer map of the same layers.
        stages: Take the evidence from an earlier stage (1 has stride 4, 2 stride 8, 3 stride
            16, 4 stride 32; what lies behind is dropped), or from several added.
        neck: "hypercolumn" joins the features of the stages into one map in front of the
            evidence layer (`softcam.conversion.hypercolumn`); stages 1, 2 and 3 if none are given.
        neck_width: Channels of the joined map.
        concentration: Weight positions by their own evidence with this sharpness
            (`softcam.evidence.concentration`); 0 for the plain mean.
        **kwargs: Further plain arguments of the backbone's constructor, as `drop_rate=0.2`.

    Returns:
        A SoftCAM in train mode.

    Raises:
        InputError: If the name, an argument or the weights file cannot be used.
        ConversionError: If the backbone cannot become a SoftCAM so.
    """
    architecture = describe(
        name,
        num_outputs=num_classes,
        mode=mode,
        in_chans=in_chans,
        output_stride=output_stride,
        form=evidence_form(stages, neck, neck_width, concentration),
        kwargs=kwargs,
    )
    black_box, training = _build(architecture, pretrained=pretrained, weights=weights)
    model = build_architecture(architecture, black_box)
    form = measured(model.backbone, architecture.form)
    architecture = architecture.model_copy(update=form.model_dump())
    model.info = model.info.model_copy(update={"architecture": architecture, "training": training})
    return model


def create_black_box(
    name: str,
    *,
    num_classes: int,
    pretrained: bool = False,
    weights: Path | str | None = None,
    in_chans: int = 3,
    output_stride: int | None = None,
    **kwargs: Any,
) -> BlackBox:
    """Build the stock classifier of that name, with its own head, as the twin of a SoftCAM.

    Args:
        name: As in `create_model`.
        num_classes: K, the number of logits.
        pretrained: As in `create_model`.
        weights: As in `create_model`.
        in_chans: As in `create_model`.
        output_stride: As in `create_model`.
        **kwargs: As in `create_model`.

    Returns:
        The stock model in train mode.

    Raises:
        InputError: If the name, an argument or the weights file cannot be used.
    """
    architecture = describe(
        name,
        num_outputs=num_classes,
        mode="exact",
        in_chans=in_chans,
        output_stride=output_stride,
        form=EvidenceForm(),
        kwargs=kwargs,
    )
    model, training = _build(architecture, pretrained=pretrained, weights=weights)
    info = ModelInfo(kind="black_box", architecture=architecture, training=training)
    return BlackBox(model, info=info)


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give the input statistics that a backbone's pretrained weights expect.

    Args:
        name: As in `create_model`.

    Returns:
        Mean and std per RGB channel, on the scale 0..1.

    Raises:
        InputError: If the name is unknown.
    """
    source, plain = _split(name)
    return family_named(source).normalisation(plain)


def describe(
    name: str,
    *,
    num_outputs: int,
    mode: Mode,
    in_chans: int,
    output_stride: int | None,
    form: EvidenceForm,
    kwargs: Mapping[str, Any],
) -> Architecture:
    """Validate a model's name and arguments.

    Args:
        name: A timm name, or "torchvision/NAME".
        num_outputs: K.
        mode: "exact", "fresh" or "sliding".
        in_chans: Number of input channels.
        output_stride: 8, 16, 32 or None.
        form: Which features give the evidence, and how.
        kwargs: Further arguments of the backbone's constructor.

    Returns:
        The description from which the model can be built, now and from its file.

    Raises:
        InputError: If one of them cannot be used.
    """
    if num_outputs < 1 or in_chans < 1:
        raise InputError("num_classes and in_chans must be at least 1.")
    if mode not in get_args(Mode):
        raise InputError(f'mode must be "exact", "fresh" or "sliding", not {mode!r}.')
    arguments = dict(kwargs)
    if output_stride is not None:
        if output_stride not in (8, 16, 32):
            raise InputError(f"output_stride must be 8, 16 or 32, not {output_stride}.")
        arguments["output_stride"] = output_stride
    source, plain = _split(name)
    try:
        return Architecture(
            source=source,  # type: ignore[arg-type]
            name=plain,
            num_outputs=num_outputs,
            in_chans=in_chans,
            mode=mode,
            kwargs=arguments,
            **form.model_dump(),
        )
    except ValueError as error:
        raise InputError(
            f"{name}: only plain arguments (numbers, text, true or false) can be stored with a "
            f"model, got {arguments}."
        ) from error


def build_architecture(architecture: Architecture, black_box: nn.Module) -> SoftCAM:
    """Make the SoftCAM of a description from its black box.

    Args:
        architecture: A validated description.
        black_box: The stock model, built by `build_black_box`.

    Returns:
        A SoftCAM that shares the black box's parameters.

    Raises:
        ConversionError: If the backbone cannot become a SoftCAM so.
    """
    return build_softcam(
        family_named(architecture.source),
        black_box,
        architecture.mode,
        architecture.num_outputs,
        architecture.form,
    )


def build_black_box(architecture: Architecture) -> nn.Module:
    """Build a description's stock model with random weights.

    Args:
        architecture: From `describe` or from a file; it is checked again here, since a file may
            come from anywhere.

    Returns:
        The stock model in train mode.

    Raises:
        InputError: If the name is unknown or an argument is not the constructor's or not safe.
    """
    family = family_named(architecture.source)
    _require_known(family, architecture.name)
    if forbidden := _FORBIDDEN & set(architecture.kwargs):
        raise InputError(
            f"{architecture.name}: the argument {sorted(forbidden)[0]!r} cannot be passed on; "
            "use softcam's own arguments."
        )
    try:
        return family.build(
            architecture.name,
            architecture.num_outputs,
            architecture.in_chans,
            dict(architecture.kwargs),
        )
    except (TypeError, NotImplementedError, AssertionError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError) or type(error).__module__.startswith("softcam"):
            raise
        given = ", ".join(f"{key}={value}" for key, value in architecture.kwargs.items())
        raise InputError(
            f"{architecture.name}: {architecture.source} cannot build it with "
            f"{given or 'these arguments'} ({str(error) or type(error).__name__}); leave out what "
            "this backbone does not take."
        ) from error


def _build(
    architecture: Architecture, *, pretrained: bool, weights: Path | str | None
) -> tuple[nn.Module, dict[str, Any]]:
    if pretrained and weights is not None:
        raise InputError("give either pretrained or weights (--weights), not both.")
    model = build_black_box(architecture)
    if pretrained:
        _fetch_pretrained(architecture, model)
        return model, {"weights": {"source": f"{architecture.source} hub"}}
    if weights is None:
        return model, {}
    report = load_weights(model, weights)
    _LOG.info("%s", report)
    return model, {
        "weights": {
            "file": report.path.name,
            "loaded": len(report.loaded),
            "missing": list(report.missing),
            "mismatched": list(report.mismatched),
            "unused": list(report.unused),
        }
    }


def _fetch_pretrained(architecture: Architecture, model: nn.Module) -> None:
    """Copy the hub's weights into the model; a hub cannot be reached in many hospitals."""
    try:
        if architecture.source == "timm":
            fetched = timm.create_model(
                architecture.name,
                pretrained=True,
                num_classes=architecture.num_outputs,
                in_chans=architecture.in_chans,
                **architecture.kwargs,
            )
            model.load_state_dict(fetched.state_dict())
        else:
            enum = torchvision.models.get_model_weights(architecture.name)
            given = enum.DEFAULT.get_state_dict(check_hash=True)
            own = model.state_dict()
            fitting = {
                name: value
                for name, value in given.items()
                if name in own and own[name].shape == value.shape
            }
            model.load_state_dict(fitting, strict=False)
    except (OSError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{architecture.name}: pretrained weights could not be fetched ({first[:200]}); on a "
            "machine without the hub pass a local safetensors file as weights= (--weights)."
        ) from error


def _split(name: str) -> tuple[str, str]:
    source, slash, plain = name.partition("/")
    if slash and source in ("timm", "torchvision"):
        _require_known(family_named(source), plain)
        return source, plain
    _require_known(family_named("timm"), name)
    return "timm", name


def _require_known(family: Family, name: str) -> None:
    known = family.names()
    plain = name.partition(".")[0] if family.source == "timm" else name
    if plain in known:
        return
    close = difflib.get_close_matches(plain, known, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "see the names of its model list."
    raise InputError(f"{name}: {family.source} has no classifier of that name; {hint}")
