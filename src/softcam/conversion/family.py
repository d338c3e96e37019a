"""The contract that each library of backbones meets."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from softcam.evidence.model import Head


@dataclass(frozen=True)
class Seam:
    """A classifier cut where its spatial features end, with the exact form of its head.

    Attributes:
        backbone: Module from images to the feature map (B, C, h, w); it shares the black box's
            parameters and holds none of its head's.
        head: From the feature map to evidence whose mean is the black box's logits.
        channels: Channels of the feature map, or of each of several.
    """

    backbone: nn.Module
    head: Head
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Stages:
    """Features of one or several backbone stages.

    Attributes:
        backbone: Module from images to a feature map, or to a list of them for several stages.
        channels: Channels of each stage.
        dropout: Dropout probability of the black box's head.
    """

    backbone: nn.Module
    channels: tuple[int, ...]
    dropout: float


class Family(Protocol):
    """A library of backbones. Every module returned shares parameters with the model given."""

    source: str

    def owns(self, model: nn.Module) -> bool:
        """Tell whether a model comes from this library."""
        ...

    def names(self) -> Sequence[str]:
        """List the names of the library's classifiers."""
        ...

    def build(
        self, name: str, num_outputs: int, in_chans: int, kwargs: dict[str, Any]
    ) -> nn.Module:
        """Build a black box with random weights."""
        ...

    def seam(self, model: nn.Module) -> Seam:
        """Find the seam of a classifier that averages positions, or raise ConversionError."""
        ...

    def sliding(self, model: nn.Module) -> Seam:
        """Give VGG's or AlexNet's fully connected layers as convolutions, or raise."""
        ...

    def fresh(self, model: nn.Module) -> Stages:
        """Give the last feature map without the old head, or raise ConversionError."""
        ...

    def stages(self, model: nn.Module, numbers: Sequence[int]) -> Stages:
        """Give the features of stages (1 has stride 4, 2 stride 8 ...), later layers dropped."""
        ...

    def feature_layer(self, model: nn.Module) -> nn.Module:
        """Name the module whose output is the last feature map (where Grad-CAM looks)."""
        ...

    def normalisation(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give mean and std of the input that a named backbone's pretrained weights expect."""
        ...

    def candidates(self, model: nn.Module) -> Sequence[tuple[str, dict[str, Any]]]:
        """List names and arguments that a given instance may have been built with."""
        ...

    def input_sizes(self, model: nn.Module) -> Sequence[tuple[int, ...]]:
        """List image sizes that a model may take, in the order in which to try them."""
        ...


def without(module: nn.Module, names: Sequence[str]) -> nn.Module:
    """Copy a module without some of its parts, which become identities.

    Args:
        module: Any module; it is not changed.
        names: Dotted names of submodules, or of its own parameters.

    Returns:
        A copy that shares everything else.
    """
    top = shallow(module)
    copied = {"": top}
    for name in sorted(names):
        if any(name.startswith(other + ".") for other in names):
            continue  # goes with its parent
        *parents, leaf = name.split(".")
        body = top
        for depth, part in enumerate(parents, start=1):
            path = ".".join(parents[:depth])
            if path not in copied:
                copied[path] = shallow(body.get_submodule(part))
                setattr(body, part, copied[path])
            body = copied[path]
        if leaf in body._parameters:
            body._parameters[leaf] = None
        elif leaf in body._modules:
            setattr(body, leaf, nn.Identity())
    return top


def shallow(module: nn.Module) -> nn.Module:
    """Copy a module so that its children can be replaced without touching the original.

    Args:
        module: Any module.

    Returns:
        A new module of the same type that shares every child, parameter and buffer.
    """
    twin = copy.copy(module)
    for table in ("_modules", "_parameters", "_buffers"):
        twin.__dict__[table] = dict(module.__dict__[table])
    return twin
