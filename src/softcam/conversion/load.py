"""Model files back to models, proved against their stored probe output."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from softcam.conversion.any_module import spatial_dims
from softcam.conversion.black_box import BlackBox
from softcam.conversion.convert import convert
from softcam.conversion.create import build_architecture, build_black_box
from softcam.conversion.errors import ConversionError
from softcam.errors import InputError, ModelFileError
from softcam.evidence.file import ModelFile, read_model_file
from softcam.evidence.info import Conversion
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.evidence.probe import run_probe, same_output


def load(path: Path | str, backbone: nn.Module | None = None) -> SoftCAM:
    """Rebuild a SoftCAM from its file.

    Args:
        path: A file written by `SoftCAM.save`.
        backbone: For a file that says it cannot be rebuilt by name: a module with the original
            backbone's parameter names and shapes, from images to its feature map. Where the
            file's model was converted from a black box, that black box does as well.

    Returns:
        The model in eval mode; it gives the stored output for the stored probe.

    Raises:
        ModelFileError: If the file is damaged, foreign, pickled, newer than this library, a
            black box's, or does not give its stored probe output.
        InputError: If the file needs `backbone` and none, or another one, is given.
    """
    file = read_model_file(path)
    if file.info.kind != "softcam":
        raise ModelFileError(
            f"{file.path}: holds a black box, not a SoftCAM; read it with load_black_box."
        )
    model = _rebuilt(file) if backbone is None else _with_backbone(file, backbone)
    model.info = file.info
    _fill(file, model)
    _prove(file, model)
    return model.eval()


def load_black_box(path: Path | str) -> BlackBox:
    """Rebuild a black-box twin from its file.

    Args:
        path: A file written by `BlackBox.save`.

    Returns:
        The model in eval mode.

    Raises:
        ModelFileError: If the file is damaged, foreign, pickled, newer, or holds a SoftCAM.
    """
    file = read_model_file(path)
    if file.info.kind != "black_box" or file.info.architecture is None:
        raise ModelFileError(f"{file.path}: holds a SoftCAM, not a black box; use load.")
    try:
        model = BlackBox(build_black_box(file.info.architecture), info=file.info)
    except InputError as error:
        raise ModelFileError(f"{file.path}: {error}") from error
    _fill(file, model)
    _prove(file, model)
    return model.eval()


def _rebuilt(file: ModelFile) -> SoftCAM:
    if file.info.architecture is None:
        raise InputError(
            f"{file.path}: its backbone is not a stock timm or torchvision model and cannot be "
            "rebuilt from the file; pass it as load(path, backbone=model)."
        )
    try:
        return build_architecture(file.info.architecture, build_black_box(file.info.architecture))
    except (InputError, ConversionError) as error:
        raise ModelFileError(f"{file.path}: cannot be rebuilt: {error}") from error


def _with_backbone(file: ModelFile, backbone: nn.Module) -> SoftCAM:
    wanted = {
        name.removeprefix("backbone."): value.shape
        for name, value in file.weights.items()
        if name.startswith("backbone.")
    }
    if {name: value.shape for name, value in backbone.state_dict().items()} == wanted:
        return SoftCAM(backbone, _head_from_weights(file))
    conversion = file.info.conversion or Conversion()
    size = file.probe_size if len(file.probe_size) == spatial_dims(backbone) else None
    outputs = _outputs(file)
    try:
        return convert(
            backbone,
            mode=conversion.mode,
            num_classes=outputs,
            **conversion.form.model_dump(exclude={"placed"}),
            features=conversion.features,
            head=conversion.head,
            image_size=size or None,
        )
    except ConversionError as error:
        raise InputError(
            f"{file.path}: the backbone given has other parameters than the file ("
            f"{len(wanted)} tensors expected) and cannot be converted either: {error}"
        ) from error


def _outputs(file: ModelFile) -> int | None:
    """Read K off the stored probe's evidence (B, K, ...)."""
    return None if file.probe_output is None else int(file.probe_output.shape[1])


def _head_from_weights(file: ModelFile) -> EvidenceLayer | StageEvidence:
    shapes = {name: tuple(value.shape) for name, value in file.weights.items()}
    single = shapes.get("head.conv.weight")
    if single is not None:
        return EvidenceLayer(
            single[1],
            single[0],
            dims=len(single) - 2,
            bias="head.conv.bias" in shapes,
            dropout=file.info.dropout,
            concentration=_concentration(file),
        )
    layers = [
        shapes[f"head.layers.{number}.conv.weight"]
        for number in range(len(shapes))
        if f"head.layers.{number}.conv.weight" in shapes
    ]
    if not layers:
        raise InputError(
            f"{file.path}: its head cannot be rebuilt from the weights alone; pass the black box "
            "that it was converted from as backbone=."
        )
    return StageEvidence(
        [shape[1] for shape in layers],
        layers[0][0],
        dims=len(layers[0]) - 2,
        dropout=file.info.dropout,
        concentration=_concentration(file),
    )


def _concentration(file: ModelFile) -> float:
    described = file.info.conversion or file.info.architecture
    return 0.0 if described is None else described.concentration


def _fill(file: ModelFile, model: nn.Module) -> None:
    try:
        model.load_state_dict(file.weights, assign=True)
    except RuntimeError as error:
        names = set(model.state_dict()) ^ set(file.weights)
        detail = f"for example {sorted(names)[0]}" if names else "shapes differ"
        raise ModelFileError(
            f"{file.path}: its weights do not fit the model that it describes ({detail}); it was "
            "written by another version of its library, or changed."
        ) from error


def _prove(file: ModelFile, model: nn.Module) -> None:
    if file.probe_output is None or not file.probe_size:
        return
    found = run_probe(model, file.probe_channels, file.probe_size)
    if not same_output(file.probe_output, found):
        raise ModelFileError(
            f"{file.path}: the rebuilt model does not give the output stored in the file; its "
            "library builds this backbone differently, install the versions named in the file "
            f"({', '.join(f'{k} {v}' for k, v in sorted(file.info.versions.items()))})."
        )
