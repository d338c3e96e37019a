"""The model file: one safetensors file with the weights and all that is known about them.

Weights stand under `model.`, the probe's output under `probe.`; one JSON text in the metadata
(key `softcam`) holds the rest. Nothing in the file is ever executed.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pydantic
import safetensors
import safetensors.torch
from torch import Tensor, nn

from softcam.errors import ModelFileError
from softcam.evidence.info import ModelInfo
from softcam.evidence.probe import run_probe, smallest_probe
from softcam.files import write_atomically

FORMAT = 1
"""Version of the file's layout; a reader refuses a higher one."""

_KEY = "softcam"
_MODEL, _PROBE = "model.", "probe.output"


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Attributes:
        path: Where it was read.
        info: Architecture, classes, task, thresholds, preprocessing, provenance.
        weights: The model's state dict.
        probe_channels: Channels of the probe input.
        probe_size: Spatial size of the probe input; empty when no probe is stored.
        probe_output: What the model gave for the probe; None when no probe is stored.
    """

    path: Path
    info: ModelInfo
    weights: dict[str, Tensor]
    probe_channels: int
    probe_size: tuple[int, ...]
    probe_output: Tensor | None


def library_versions() -> dict[str, str]:
    """Name the versions of the libraries that shape a model's numbers.

    Returns:
        Package name to version, and the version of Python.
    """
    names = ("softcam", "torch", "torchvision", "timm", "lightning", "numpy", "safetensors")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_model_file(
    path: Path | str, model: nn.Module, info: ModelInfo, *, dims: int = 2, channels: int = 3
) -> Path:
    """Write weights, description and probe output, whole or not at all.

    Args:
        path: Where to write; its folder must exist.
        model: A SoftCAM or a black box.
        info: What is known about it.
        dims: Spatial dimensions of its input.
        channels: Channels of its input.

    Returns:
        The path.

    Raises:
        InputError: If the folder does not exist or cannot be written.
    """
    path = Path(path)
    size = _probe_size(model, info, channels, dims)
    tensors = {
        _MODEL + name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
    }
    if size is not None:
        tensors[_PROBE] = run_probe(model, channels, size).contiguous()
    document = {
        "format": FORMAT,
        "info": info.model_copy(update={"versions": library_versions()}).model_dump(mode="json"),
        "probe": {"channels": channels, "size": list(size or ())},
    }
    data = safetensors.torch.save(tensors, metadata={_KEY: json.dumps(document, sort_keys=True)})
    return write_atomically(path, data)


def _probe_size(
    model: nn.Module, info: ModelInfo, channels: int, dims: int
) -> tuple[int, ...] | None:
    if info.preprocessing and dims == 2 and "size" in info.preprocessing:
        height, width = info.preprocessing["size"]
        return int(height), int(width)
    if info.input_size:
        return info.input_size
    # A user's own backbone may take none of the sizes; it is loaded with `backbone=`, where the
    # names and shapes of the weights are the proof.
    return smallest_probe(model, channels, dims)


def read_model_file(path: Path | str) -> ModelFile:
    """Read a model file, trusting nothing in it.

    Args:
        path: A file written by `SoftCAM.save`.

    Returns:
        Its content, validated.

    Raises:
        ModelFileError: If the file is missing, truncated, a pickle, of another program, of a
            newer format, or its description is not valid.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file.")
    try:
        with safetensors.safe_open(path, framework="pt") as archive:
            described = archive.metadata() or {}
            # Copied out of the mapped file: it may be replaced, and its tensors are not aligned.
            tensors = {
                name: archive.get_tensor(name).clone()
                for name in archive.keys()  # noqa: SIM118
            }
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(_why_unreadable(path)) from error
    if _KEY not in described:
        raise ModelFileError(
            f"{path}: a safetensors file, but not one that softcam wrote; to start training from "
            "such weights pass it as `weights=` (--weights)."
        )
    document = _parse(path, described[_KEY])
    info, probe = _validated(path, document)
    weights = {
        name.removeprefix(_MODEL): value
        for name, value in tensors.items()
        if name.startswith(_MODEL)
    }
    return ModelFile(path, info, weights, *probe, tensors.get(_PROBE))


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        return f"{path}: is empty (0 bytes); copy or save the model again."
    zipped = start.startswith(b"PK\x03\x04")
    if zipped or (start[:1] == b"\x80" and any(start[2:])):
        return (
            f"{path}: is a pickled PyTorch file, which can run code when it is opened and is "
            "never loaded; convert the weights to safetensors where you trust them."
        )
    return f"{path}: is damaged, cut short or no model file; copy or save the model again."


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
        version = document["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path}: its description is damaged; save the model again."
        ) from error
    if not isinstance(version, int) or version > FORMAT:
        raise ModelFileError(
            f"{path}: has format {version}, this softcam reads up to {FORMAT}; upgrade softcam."
        )
    return dict(document)


def _validated(
    path: Path, document: dict[str, Any]
) -> tuple[ModelInfo, tuple[int, tuple[int, ...]]]:
    try:
        info = ModelInfo.model_validate(document["info"])
        channels = int(document["probe"]["channels"])
        size = tuple(int(length) for length in document["probe"]["size"])
    except (pydantic.ValidationError, KeyError, TypeError, ValueError) as error:
        first = str(error).splitlines()
        detail = " ".join(first[1:3]).strip() or first[0]
        raise ModelFileError(f"{path}: its description is not valid: {detail}.") from error
    if not (1 <= channels <= 64 and all(1 <= length <= 4096 for length in size)):
        raise ModelFileError(f"{path}: its probe has an impossible size; save the model again.")
    return info, (channels, size)
