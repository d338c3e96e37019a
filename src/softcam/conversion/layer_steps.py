"""Single layers of a head as steps of its spatial form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from softcam.conversion.tracing import VALUE
from softcam.evidence.steps import (
    Apply,
    BatchNormStep,
    GateStep,
    LinearStep,
    NormStep,
    Step,
    through,
)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def parameter_of(value: Tensor) -> nn.Parameter:
    """Give a tensor as a parameter.

    Args:
        value: A parameter, which stays the same, or another tensor.

    Returns:
        A parameter.
    """
    return value if isinstance(value, nn.Parameter) else nn.Parameter(value.detach())


def applied(node: fx.Node, source: fx.Node) -> Apply:
    """Make a module of a function or method call whose other arguments are constants."""

    def constant(item: fx.Node) -> Any:
        return Apply.INPUT if item is source else item.meta[VALUE]

    target: Any = node.target
    return Apply(target, map_arg(node.args, constant), map_arg(node.kwargs, constant))


def takes_vectors(function: nn.Module, value: Tensor) -> bool:
    """Tell whether a function of (B, C, 1, 1) works on (B, C) as well."""
    try:
        return bool(function(random_like(value.flatten(1))).shape == value.flatten(1).shape)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError):
        return False


def layer_steps(module: nn.Module, value: Tensor) -> list[Step]:
    """Read a layer by its class; a normalisation only if it gives what its class promises.

    Args:
        module: The layer.
        value: What it takes, one of a batch.

    Returns:
        Its steps; none for a layer that is not known.
    """
    if isinstance(module, nn.Linear):
        return [LinearStep(parameter_of(module.weight), module.bias)]
    if isinstance(module, CONVOLUTIONS):
        return [_convolution_step(module)] if is_pointwise(module) else []
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        # timm's norm layers may hold an activation that follows, and a dropout between.
        act, drop = getattr(module, "act", nn.Identity()), getattr(module, "drop", nn.Identity())
        if not isinstance(drop, nn.Identity):
            return []
        behind = [] if isinstance(act, nn.Identity) else [GateStep(act)]
        return [BatchNormStep(module), *behind]
    probe = _random_vectors(value)
    for step in _norm_steps(module):
        try:
            expected = module(probe)
        except (RuntimeError, ValueError, TypeError, IndexError):
            return []
        vectors = probe.flatten(1)
        found = through([step.hold(vectors)], vectors.unsqueeze(-1)).squeeze(-1)
        if expected.shape == probe.shape and same(found, expected.flatten(1)):
            return [step]
    return []


def _random_vectors(value: Tensor) -> Tensor:
    """Draw three vectors in the shape of a value, with a mean and a spread of their own."""
    return random_like(value.expand(3, *value.shape[1:])) * 2 + 0.7


def _norm_steps(module: nn.Module) -> list[NormStep]:
    """List the normalisations that a module may be; which one it is, its output tells."""
    if isinstance(module, nn.GroupNorm):
        return [NormStep(module.weight, module.bias, module.eps, groups=module.num_groups)]
    if "norm" not in type(module).__name__.lower():
        return []
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    eps = getattr(module, "eps", None)
    if eps is None:  # torch's RMSNorm then takes the type's own
        eps = torch.finfo(torch.get_default_dtype() if weight is None else weight.dtype).eps
    if not isinstance(eps, float):
        return []
    return [
        NormStep(weight, bias, eps),
        NormStep(weight, bias, eps, centred=False, spread="mean square"),
        NormStep(weight, bias, eps, centred=False, spread="sample variance"),
    ]


def is_pointwise(module: Any) -> bool:
    """Tell whether a convolution applies one linear map at every position.

    Args:
        module: A convolution.

    Returns:
        True for a kernel, stride and number of groups of 1, without padding.
    """
    padded = module.padding not in (0, "valid", "same") and any(module.padding)
    strides = set(module.stride) == {1}
    return module.groups == 1 and set(module.kernel_size) == {1} and strides and not padded


def _convolution_step(module: Any) -> LinearStep:
    weight = module.weight
    flat = nn.Parameter(weight.detach().flatten(1), requires_grad=weight.requires_grad)
    return LinearStep(flat, module.bias)


def random_like(value: Tensor) -> Tensor:
    """Draw the same normal numbers each time.

    Args:
        value: A tensor.

    Returns:
        A tensor of its shape, type and device.
    """
    generator = torch.Generator().manual_seed(value.numel())
    random = torch.randn(value.shape, generator=generator)
    return random.to(value.device, value.dtype)


def same(found: Tensor, expected: Tensor) -> bool:
    """Compare two tensors, rounding allowed.

    Args:
        found: A tensor.
        expected: One of the same shape.

    Returns:
        True when no element differs by more than 1e-4 of the largest (1e-2 in half precision).
    """
    tolerance = 1e-2 if found.dtype in (torch.float16, torch.bfloat16) else 1e-4
    scale = max(float(expected.abs().max()), 1e-6)
    return bool((found - expected).abs().max() <= tolerance * scale)
