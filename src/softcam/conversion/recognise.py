"""Under which name a given instance can be built again, proved and never guessed."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from softcam.conversion.family import Family
from softcam.evidence.info import Architecture
from softcam.evidence.probe import run_probe, same_output, smallest_probe


def recognise(
    family: Family,
    model: nn.Module,
    *,
    mode: Literal["exact", "fresh"],
    num_outputs: int,
    stages: tuple[int, ...] | None,
) -> Architecture | None:
    """Find how a black-box instance can be rebuilt by name.

    Weights alone cannot tell (a ResNet with another output stride has the same ones), so each
    candidate is built, given the weights, and must give the same logits for the probe.

    Args:
        family: The library that the model comes from.
        model: The black box.
        mode: How its head is converted.
        num_outputs: K of the SoftCAM made from it.
        stages: Its evidence stages.

    Returns:
        The proved description, or None when no stock model of the library is the same; such a
        model is loaded again with `load(path, backbone=model)`.
    """
    state = model.state_dict()
    shapes = {name: value.shape for name, value in state.items()}
    in_chans = int(getattr(model, "in_chans", 3))
    classes = _outputs(model)
    kwargs: dict[str, Any] = {}
    if rate := float(getattr(model, "drop_rate", 0.0) or 0.0):
        kwargs["drop_rate"] = rate
    for name in family.candidates(model):
        # Shapes are compared without memory for weights; torchvision has many candidates.
        if family.source == "torchvision" and not _same_shapes(family, name, classes, shapes):
            continue
        with torch.random.fork_rng(devices=[]):
            rebuilt = family.build(name, classes, in_chans, kwargs)
        if {key: value.shape for key, value in rebuilt.state_dict().items()} != shapes:
            continue
        rebuilt.load_state_dict(state)
        parameter = next(model.parameters())
        rebuilt.to(parameter.device, parameter.dtype)
        size = smallest_probe(model, in_chans)
        if size is None:
            return None
        expected = run_probe(model, in_chans, size)
        if same_output(expected, run_probe(rebuilt, in_chans, size), tolerance=1e-4):
            return Architecture(
                source=family.source,  # type: ignore[arg-type]
                name=name,
                num_outputs=num_outputs,
                in_chans=in_chans,
                mode=mode,
                stages=stages,
                kwargs=kwargs,
            )
    return None


def _outputs(model: nn.Module) -> int:
    if (count := getattr(model, "num_classes", None)) is not None:
        return int(count)
    last = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return last[-1].out_features if last else 0


def _same_shapes(family: Family, name: str, classes: int, shapes: dict[str, torch.Size]) -> bool:
    with torch.device("meta"):
        candidate = family.build(name, classes, 3, {})
    return {key: value.shape for key, value in candidate.state_dict().items()} == shapes
