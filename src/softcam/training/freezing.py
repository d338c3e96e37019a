"""Parts of a backbone that training leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback
from torch import nn

from softcam.errors import InputError
from softcam.training.depth import measure_depth


def freeze(
    model: nn.Module, what: int | Literal["backbone"], image_size: Sequence[int]
) -> tuple[str, ...]:
    """Take the first stages of a backbone, or all of it, out of the training.

    Args:
        model: A SoftCAM or a black box; its frozen parameters need no gradient any more.
        what: Stages 1 to this number with all that lies in front of them (blocks, for backbones
            of one stride, see `softcam.training.depth`), 0 for nothing, or "backbone".
        image_size: Height and width of an image.

    Returns:
        Names of the modules that hold nothing but frozen parameters, for `KeepFrozen`.

    Raises:
        InputError: If the backbone has no such stage.
    """
    frozen = frozen_parameters(model, what, image_size)
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return tuple(
        name
        for name, module in model.named_modules()
        if (own := [f"{name}.{part}" for part, _ in module.named_parameters()])
        and frozen.issuperset(own)
    )


def frozen_parameters(
    model: nn.Module, what: int | Literal["backbone"], image_size: Sequence[int]
) -> frozenset[str]:
    """Name the parameters that `freeze` would take out of the training; change nothing.

    Args:
        model: As for `freeze`.
        what: As for `freeze`.
        image_size: As for `freeze`.

    Returns:
        Their names.

    Raises:
        InputError: If the backbone has no such stage.
    """
    if what == 0:
        return frozenset()
    depth = measure_depth(model, image_size)
    if what != "backbone" and what > depth.last:
        raise InputError(
            f"freeze: this backbone has {depth.unit}s up to {depth.last}, not {what}; give a "
            "smaller number, or backbone."
        )
    return frozenset(
        name for name, level in depth.levels.items() if what == "backbone" or level <= what
    )


class KeepFrozen(Callback):
    """Holds frozen modules in eval mode, so that no batch moves their normalisation or drops.

    Args:
        names: Modules inside of `pl_module.model`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Put them into eval mode: Lightning puts everything into train mode after validation."""
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        for name in self.names:
            model.get_submodule(name).eval()
