"""Under which name a given instance can be built again, proved and never guessed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from softcam.conversion.any_module import input_channels
from softcam.conversion.family import Family
from softcam.evidence.info import Architecture, EvidenceForm, Mode
from softcam.evidence.probe import run_probe, same_output


def recognise(
    family: Family,
    model: nn.Module,
    *,
    mode: Mode,
    num_outputs: int,
    form: EvidenceForm,
    size: tuple[int, ...],
) -> Architecture | None:
    """Find how a black-box instance can be rebuilt by name.

    Weights alone cannot tell (a ResNet with another output stride has the same ones), so each
    candidate is built, given the weights, and must give the same logits for the probe.

    Args:
        family: The library that the model comes from.
        model: The black box.
        mode: How its head is converted.
        num_outputs: K of the SoftCAM made from it.
        form: Which features give its evidence, and how.
        size: Spatial size of a probe that it takes; empty if none is known.

    Returns:
        The proved description, or None when no stock model of the library is the same; such a
        model is loaded again with `load(path, backbone=model)`.
    """
    if not size:
        return None
    state = model.state_dict()
    shapes = {name: value.shape for name, value in state.items()}
    in_chans = input_channels(model)
    classes = _outputs(model)
    expected = None
    for name, kwargs in family.candidates(model):
        # Shapes are compared without memory for weights: most candidates are large and wrong.
        if not _same_shapes(family, name, classes, in_chans, kwargs, shapes):
            continue
        try:
            with torch.random.fork_rng(devices=[]):
                rebuilt = family.build(name, classes, in_chans, dict(kwargs))
        except (TypeError, ValueError, RuntimeError, AssertionError):
            continue  # the constructor does not take these arguments
        if {key: value.shape for key, value in rebuilt.state_dict().items()} != shapes:
            continue
        rebuilt.load_state_dict(state)
        parameter = next(model.parameters())
        rebuilt.to(parameter.device, parameter.dtype)
        if expected is None:
            expected = run_probe(model, in_chans, size)
        try:
            found = run_probe(rebuilt, in_chans, size)
        except (RuntimeError, ValueError, AssertionError):
            continue
        if same_output(expected, found, tolerance=1e-4):
            return Architecture(
                source=family.source,  # type: ignore[arg-type]
                name=name,
                num_outputs=num_outputs,
                in_chans=in_chans,
                mode=mode,
                kwargs=kwargs,
                **form.model_dump(),
            )
    return None


def _outputs(model: nn.Module) -> int:
    if (count := getattr(model, "num_classes", None)) is not None:
        return int(count)
    last = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return last[-1].out_features if last else 0


def _same_shapes(
    family: Family,
    name: str,
    classes: int,
    in_chans: int,
    kwargs: dict[str, Any],
    shapes: dict[str, torch.Size],
) -> bool:
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            candidate = family.build(name, classes, in_chans, dict(kwargs))
    except NotImplementedError:
        return True  # its constructor computes with tensors; it is compared when it is built
    except (TypeError, ValueError, RuntimeError, AssertionError):
        return False  # it does not take these arguments
    return {key: value.shape for key, value in candidate.state_dict().items()} == shapes
