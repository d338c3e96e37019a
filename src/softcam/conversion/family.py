"""The contract that each library of backbones meets."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn


@dataclass(frozen=True)
class Seam:
    """Where spatial features end and a pool-then-linear head begins.

    Attributes:
        backbone: Module from images to the feature map (B, C, h, w); it shares the black box's
            parameters and holds none of its classifier's.
        classifier: The linear layer behind the pool.
        dropout: Dropout probability between pool and linear layer.
    """

    backbone: nn.Module
    classifier: nn.Linear
    dropout: float


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
        """Find the seam of a pool-then-linear classifier, or raise ConversionError."""
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

    def candidates(self, model: nn.Module) -> Sequence[str]:
        """List the names that a given instance may have been built under."""
        ...


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
