"""Pretrained weights from a local safetensors file, with what did not fit named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from softcam.errors import InputError

_PREFIXES = ("", "module.", "model.", "backbone.", "model.backbone.", "model.backbone.model.")


@dataclass(frozen=True)
class WeightsReport:
    """What a weights file gave to a model.

    Attributes:
        path: The file.
        loaded: Names of the model's tensors that the file gave.
        missing: Names of the model's tensors that the file does not have; they stay random.
        mismatched: Names that both have, with different shapes; they stay random.
        unused: Names in the file that the model does not have.
    """

    path: Path
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        parts = [f"{self.path.name}: {len(self.loaded)} of {total} tensors loaded"]
        for label, names in (
            ("not in the file", self.missing),
            ("of another shape", self.mismatched),
            ("unused", self.unused),
        ):
            if names:
                shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
                parts.append(f"{len(names)} {label} ({shown})")
        return "; ".join(parts)


def load_weights(model: nn.Module, path: Path | str) -> WeightsReport:
    """Copy the tensors that fit by name and shape into a model, in the model's precision.

    Args:
        model: A black box, changed in place.
        path: A safetensors file; half precision is widened.

    Returns:
        Which tensors were loaded, missing, mismatched or unused, by name.

    Raises:
        InputError: If the file is missing, no safetensors file, or fits in no name.
    """
    path = Path(path)
    given = _read(path)
    target = {
        name: value
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    prefix = max(_PREFIXES, key=lambda item: sum(item + name in given for name in target))
    found = {name: given[prefix + name] for name in target if prefix + name in given}
    mismatched = tuple(name for name, value in found.items() if value.shape != target[name].shape)
    loaded = tuple(name for name in found if name not in mismatched)
    if not loaded:
        raise InputError(
            f"{path}: none of its {len(given)} tensors fits this model (the file has "
            f"{', '.join(list(given)[:3])}; the model has {', '.join(list(target)[:3])}); "
            "choose weights of the same backbone."
        )
    with torch.no_grad():
        for name in loaded:
            target[name].copy_(found[name])
    missing = tuple(name for name in target if name not in found)
    used = {prefix + name for name in found}
    unused = tuple(
        name for name in given if name not in used and not name.endswith("num_batches_tracked")
    )
    return WeightsReport(path, loaded, missing, mismatched, unused)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such weights file.")
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: is no readable safetensors file; pickled .pth or .pt files are never "
            "loaded, convert them to safetensors where you trust them."
        ) from error
    return tensors
