"""How deep in a backbone each parameter stands, measured by running one image."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from softcam.evidence.probe import evaluating

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_HEAD = re.compile(r"head\.|backbone\.(layers\.)?hidden\.")
"""The head of a SoftCAM, and VGG's fully connected layers, which are a part of its head."""


VECTOR = math.inf
"""The stride of what gives one vector for a whole image."""


@dataclass(frozen=True)
class Depth:
    """Where the parameters of a model stand, from the image to the classifier.

    Attributes:
        levels: Name of each parameter of the backbone to its level. A level is a stage as
            `--stages` numbers them (1 has stride 4, 2 stride 8 ..., 0 is what lies in front);
            where the backbone keeps one stride, as transformers do, it is a block, counted from 1,
            and 0 is the patch embedding.
        head: Names of the parameters of the head.
        unit: "stage" or "block".
    """

    levels: dict[str, int]
    head: tuple[str, ...]
    unit: str

    @property
    def last(self) -> int:
        """The deepest level of the backbone."""
        return max(self.levels.values(), default=0)


def measure_depth(model: nn.Module, image_size: Sequence[int]) -> Depth:
    """Run an image through a model and see in which order and at which stride its parts work.

    No list of architectures is consulted: a part is the outermost module that is more than a
    container and holds at most half of the layers, and its stride is that of what it gives.

    Args:
        model: A SoftCAM or a black box, whose head is then what gives vectors and not maps. It is
            left as it was.
        image_size: Height and width of an image that it takes.

    Returns:
        The depth of every parameter.
    """
    parts = _parts(model)
    strides = _run(model, set(parts.values()), image_size)
    order = list(strides)
    owners = {name: name.rpartition(".")[0] for name, _ in model.named_parameters()}
    head = [name for name in owners if _HEAD.match(name)]
    if not hasattr(model, "head"):
        behind = set(_behind_the_maps(strides) or order[-1:])  # or a classifier of 1x1 kernels
        head = [name for name, owner in owners.items() if parts.get(owner) in behind]
    body = [name for name in owners if name not in set(head)]
    stages = _stages(strides)
    used = [part for part in order if any(parts.get(owners[name]) == part for name in body)]
    seen = sum(strides[part] is not None for part in used)
    by_stage = len({stages[part] for part in used}) > 1 and 2 * seen > len(used)
    level_of = {part: stages[part] if by_stage else i for i, part in enumerate(used)}
    deepest = max(level_of.values(), default=0)
    levels = {}
    for name in body:
        part = parts.get(owners[name])  # none for what stands at the top, as position embeddings
        levels[name] = 0 if part is None else level_of.get(part, deepest)
    return Depth(levels, tuple(head), "stage" if by_stage else "block")


def _parts(model: nn.Module) -> dict[str, str]:
    """Name the part that each layer with parameters belongs to."""
    modules = dict(model.named_modules())
    owners = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    layers = [name for name in modules if name in owners]
    counts = dict.fromkeys(modules, 0)
    for layer in layers:
        for above in _path(layer):
            counts[above] += 1
    found = {}
    for layer in layers:
        for above in _path(layer):
            small = 2 * counts[above] <= len(layers) or counts[above] == 1
            if above and small and type(modules[above]) not in _CONTAINERS:
                found[layer] = above
                break
    return found


def _path(name: str) -> list[str]:
    """Give a module's name and those of all around it, the outermost first."""
    words = name.split(".") if name else []
    return ["", *(".".join(words[: i + 1]) for i in range(len(words)))]


def _behind_the_maps(strides: dict[str, float | None]) -> list[str]:
    """Name the parts at the end that give one vector for an image."""
    found = []
    for part, stride in reversed(strides.items()):
        if stride != VECTOR:
            break
        found.append(part)
    return found


def _run(model: nn.Module, parts: set[str], image_size: Sequence[int]) -> dict[str, float | None]:
    """Run one black image; give the parts in the order in which they ended, with their strides."""
    strides: dict[str, float | None] = {}
    handles = []
    for name in parts:

        def note(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
            strides.setdefault(name, _stride(output, image_size))

        handles.append(model.get_submodule(name).register_forward_hook(note))
    like = next(model.parameters())
    info = getattr(model, "info", None)
    channels = info.architecture.in_chans if info and info.architecture else info and info.in_chans
    try:
        with evaluating(model), torch.no_grad():
            model(like.new_zeros(1, channels or 3, *image_size))
    finally:
        for handle in handles:
            handle.remove()
    return strides


def _stride(output: Any, image_size: Sequence[int]) -> float | None:
    """Compare a map's height and width with the image's; None for tokens."""
    if isinstance(output, list | tuple):
        several = [stride for item in output if (stride := _stride(item, image_size)) is not None]
        return max(several, default=None)
    if isinstance(output, Tensor) and output.ndim == 2:
        return VECTOR
    if not isinstance(output, Tensor) or output.ndim != len(image_size) + 2:
        return None
    found = []
    for spatial in (output.shape[2:], output.shape[1:-1]):  # channels first, then last
        ratios = [side / max(1, cells) for side, cells in zip(image_size, spatial, strict=True)]
        if min(ratios) >= 0.9 and max(ratios) <= 1.5 * min(ratios):
            found.append((max(ratios) / min(ratios), sum(ratios) / len(ratios)))
    # What is no map looks stretched.
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _stages(strides: dict[str, float | None]) -> dict[str, int]:
    """Number the stages; a part whose stride cannot be seen has that of the part before it."""
    result, now = {}, 0
    for part, stride in strides.items():
        if stride is not None and stride != VECTOR:
            # 56 cells of 224 pixels are stride 4, and so are 55 of a convolution without padding.
            now = max(now, min(4, int(stride * 1.1).bit_length() - 2))
        result[part] = now
    return result
