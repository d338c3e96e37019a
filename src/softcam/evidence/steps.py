"""The steps that a head takes on the pooled vector, each an affine map once it is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Held(NamedTuple):
    """A step as the affine map that it is for one image.

    Attributes:
        matrix: Weight (D, C) of a linear step, or None for one that acts on each channel alone.
        scale: Factors (B, C) or (C,) of a step without matrix; None means 1.
        shift: What is added: (D,) or (B, D); None means 0.
    """

    matrix: Tensor | None = None
    scale: Tensor | None = None
    shift: Tensor | None = None


class Step(nn.Module):
    """One step of a head; `hold` says which affine map it is at a pooled vector."""

    kind = "affine"

    def hold(self, pooled: Tensor) -> Held:
        """Give the affine map that this step is for these pooled vectors.

        Args:
            pooled: Shape (B, C), float32 or float64.

        Returns:
            The map, with factors that depend on the pooled vectors alone.
        """
        raise NotImplementedError


class LinearStep(Step):
    """A fully connected layer.

    Args:
        weight: Shape (D, C).
        bias: Shape (D,), or None.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def hold(self, pooled: Tensor) -> Held:
        """Give weight and bias; they depend on nothing."""
        bias = None if self.bias is None else self.bias.to(pooled.dtype)
        return Held(matrix=self.weight.to(pooled.dtype), shift=bias)


class DropoutStep(Step):
    """Dropout of pooled channels: a dropped channel is dropped at every position.

    Args:
        p: Probability that a channel is dropped in training.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def hold(self, pooled: Tensor) -> Held:
        """Draw a mask in training, do nothing otherwise."""
        if not self.training or self.p == 0:
            return Held()
        return Held(scale=F.dropout(torch.ones_like(pooled), self.p, training=True))


class NormStep(Step):
    """LayerNorm, RMSNorm or GroupNorm of the pooled vector; mean and scale are the image's own.

    Args:
        weight: Shape (C,), or None.
        bias: Shape (C,), or None.
        eps: Added to the variance (the mean square for an RMSNorm).
        centred: Whether the mean is subtracted: in LayerNorm and GroupNorm, not in RMSNorm.
        spread: What the vector is divided by the root of: its "variance", its "mean square"
            (RMSNorm), or its "sample variance", with n - 1 (timm's SimpleNorm).
        groups: Number of groups of channels that are normalised on their own.
    """

    kind = "normalised"

    def __init__(
        self,
        weight: nn.Parameter | None,
        bias: nn.Parameter | None,
        eps: float,
        *,
        centred: bool = True,
        spread: Literal["variance", "mean square", "sample variance"] = "variance",
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias
        self.eps = eps
        self.centred = centred
        self.spread = spread
        self.groups = groups

    def hold(self, pooled: Tensor) -> Held:
        """Take mean and scale from the pooled vectors."""
        grouped = torch.unflatten(pooled, 1, (self.groups, -1))
        mean = grouped.mean(2, keepdim=True)
        if self.spread == "mean square":
            spread = grouped.square().mean(2, keepdim=True)
        else:
            correction = int(self.spread == "sample variance")
            spread = grouped.var(2, correction=correction, keepdim=True)
        scale = (spread + self.eps).rsqrt().expand_as(grouped).flatten(1)
        if self.weight is not None:
            scale = scale * self.weight.to(pooled.dtype)
        shift = -mean.expand_as(grouped).flatten(1) * scale if self.centred else None
        if self.bias is not None:
            bias = self.bias.to(pooled.dtype)
            shift = bias if shift is None else shift + bias
        return Held(scale=scale, shift=shift)


class BatchNormStep(Step):
    """BatchNorm of the pooled vector: constant in eval mode, the batch's statistics in training.

    Args:
        norm: The batch norm layer; its running statistics are kept up in training.
    """

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__()
        self.norm = norm

    def hold(self, pooled: Tensor) -> Held:
        """Take the running statistics, or the batch's own."""
        norm = self.norm
        if norm.training or norm.running_mean is None or norm.running_var is None:
            variance, mean = torch.var_mean(pooled, dim=0, correction=0)
            if norm.training:
                self._keep_up(pooled.detach())
        else:
            mean, variance = norm.running_mean.to(pooled), norm.running_var.to(pooled)
        scale = (variance + norm.eps).rsqrt()
        if norm.weight is not None:
            scale = scale * norm.weight.to(pooled.dtype)
        shift = -mean * scale
        if norm.bias is not None:
            shift = shift + norm.bias.to(pooled.dtype)
        return Held(scale=scale, shift=shift)

    def _keep_up(self, pooled: Tensor) -> None:
        """Update the running statistics as the layer itself would."""
        norm = self.norm
        if norm.running_mean is None or norm.running_var is None or not norm.track_running_stats:
            return
        momentum = norm.momentum
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / float(norm.num_batches_tracked)
        F.batch_norm(
            pooled.to(norm.running_mean.dtype),
            norm.running_mean,
            norm.running_var,
            training=True,
            momentum=momentum or 0.0,
        )


class ScaleStep(Step):
    """A constant factor and shift on each channel.

    Args:
        function: An elementwise affine module, as a learned scale or x / 2.
    """

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def hold(self, pooled: Tensor) -> Held:
        """Read factor and shift off the function's values at 0 and 1."""
        origin = _called(self.function, torch.zeros_like(pooled))
        return Held(scale=_called(self.function, torch.ones_like(pooled)) - origin, shift=origin)


class GateStep(Step):
    """An activation as a gate: act(u) = act(0) + g(u) u, with g from the pooled vector.

    Near zero the gate is the slope, taken a little beside zero on the side of u (the negative
    side at zero itself, where torch's derivative of ReLU is 0 as well).

    Args:
        activation: An elementwise function or module.
    """

    kind = "gated"

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def hold(self, pooled: Tensor) -> Held:
        """Take each unit's gate from its pooled value."""
        # Below the floor the quotient would lose digits: the gate is then the slope beside zero,
        # and what the curvature leaves of act(u) goes to the constant part.
        floor = 1e-6 if pooled.dtype == torch.float64 else 1e-3
        small = pooled.abs() < floor
        at = torch.where(small, torch.where(pooled > 0, floor, -floor), pooled)
        origin = _called(self.activation, torch.zeros_like(pooled))
        gate = (_called(self.activation, at) - origin) / at
        rest = _called(self.activation, pooled) - gate * pooled
        return Held(scale=gate, shift=torch.where(small, rest, origin))


def _called(function: nn.Module, values: Tensor) -> Tensor:
    """Apply a module that may work in place, with its parameters in the type of the values."""
    parameters = dict(function.named_parameters())
    result: Tensor
    if all(parameter.dtype == values.dtype for parameter in parameters.values()):
        result = function(values.clone())
    else:
        wide = {name: parameter.to(values.dtype) for name, parameter in parameters.items()}
        result = torch.func.functional_call(function, wide, (values.clone(),))
    return result


class _Kept(str):
    """The name under which an `Apply` keeps a tensor."""


class Apply(nn.Module):
    """A function call of one tensor as a module, as `torch.relu(x)` or `x.tanh()`.

    Args:
        function: The function, or the name of a tensor's method.
        arguments: Its positional arguments, with `Apply.INPUT` where the tensor goes; parameters
            among them are registered, other tensors become buffers.
        keywords: Its keyword arguments.
    """

    INPUT: Any = _Kept("input")

    def __init__(
        self,
        function: Callable[..., Tensor] | str,
        arguments: Sequence[Any] = (INPUT,),
        keywords: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.function = function
        self.arguments = [self._kept(f"tensor{i}", item) for i, item in enumerate(arguments)]
        self.keywords = {
            name: self._kept(f"tensor_{name}", item) for name, item in (keywords or {}).items()
        }

    def _kept(self, name: str, item: Any) -> Any:
        """Register a tensor and keep its name in its place."""
        if isinstance(item, nn.Parameter):
            self.register_parameter(name, item)
        elif isinstance(item, Tensor):
            self.register_buffer(name, item.detach())
        else:
            return item
        return _Kept(name)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""

        def given(item: Any) -> Any:
            if isinstance(item, _Kept) and item == self.INPUT:
                return x
            return getattr(self, item) if isinstance(item, _Kept) else item

        arguments = [given(item) for item in self.arguments]
        keywords = {name: given(item) for name, item in self.keywords.items()}
        if isinstance(self.function, str):
            result: Tensor = getattr(arguments[0], self.function)(*arguments[1:], **keywords)
            return result
        return self.function(*arguments, **keywords)


def multiplied_out(held: Sequence[Held]) -> tuple[Tensor, Tensor]:
    """Multiply held steps to one matrix and one shift, from the last step to the first.

    Args:
        held: The steps in order; the last one has a matrix.

    Returns:
        Matrix (K, C) or (B, K, C), and shift (K,) or (B, K).
    """
    matrix = held[-1].matrix
    assert matrix is not None
    shift = held[-1].shift
    total = torch.zeros_like(matrix[:, 0]) if shift is None else shift
    for step in reversed(held[:-1]):
        if step.shift is not None:
            total = total + torch.matmul(matrix, step.shift.unsqueeze(-1)).squeeze(-1)
        if step.matrix is not None:
            matrix = torch.matmul(matrix, step.matrix)
        elif step.scale is not None:
            matrix = matrix * step.scale.unsqueeze(-2)
    return matrix, total


def through(held: Sequence[Held], positions: Tensor) -> Tensor:
    """Take every position through held steps.

    Args:
        held: The steps in order.
        positions: Shape (B, C, N).

    Returns:
        Shape (B, D, N).
    """
    for step in held:
        if step.matrix is not None:
            positions = torch.matmul(step.matrix, positions)
        elif step.scale is not None:
            positions = positions * step.scale.unsqueeze(-1)
        if step.shift is not None:
            positions = positions + step.shift.unsqueeze(-1)
    return positions
