"""A fixed input whose output is stored with a model and proves it when it is rebuilt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

PROBE_TOLERANCE = 1e-3
"""Largest difference from the stored output, as a fraction of its largest magnitude.

Float32 convolutions of other processors differ by about 1e-5; another stride, padding or
activation differs by far more than 1e-3.
"""


def probe_input(channels: int, size: tuple[int, ...]) -> Tensor:
    """Build the probe: two waves of unrelated periods in each channel.

    Args:
        channels: Number of input channels.
        size: Spatial size, 1 to 3 numbers.

    Returns:
        A float32 tensor of shape (2, channels, *size) with values in [-2, 2]; the same on every
        machine and for ever, since it comes from a formula and no random generator.
    """
    position = torch.zeros(size, dtype=torch.float64)
    for axis, length in enumerate(size):
        ramp = torch.arange(length, dtype=torch.float64) * (axis + 1.0) * 0.37
        shape = [1] * len(size)
        shape[axis] = length
        position = position + ramp.reshape(shape)
    waves = [
        torch.sin(position * (0.31 + 0.17 * channel) + image)
        + torch.cos(position.square() * 0.011 * (channel + 1) + 2 * image)
        for image in range(2)
        for channel in range(channels)
    ]
    return torch.stack(waves).reshape(2, channels, *size).float()


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a model in eval mode without gradients, autocast or TF32; undone on leaving.

    Args:
        model: The model; each of its modules gets its own training flag back.
    """
    modes = [(module, module.training) for module in model.modules()]
    device = next((p.device.type for p in model.parameters()), "cpu")
    matmul = torch.backends.cuda.matmul.allow_tf32
    model.eval()
    try:
        torch.backends.cuda.matmul.allow_tf32 = False
        with (
            torch.no_grad(),
            torch.autocast(device, enabled=False),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
        for module, training in modes:
            module.training = training


def run_probe(model: nn.Module, channels: int, size: tuple[int, ...]) -> Tensor:
    """Run the probe through a model in eval mode.

    Args:
        model: A module that returns a tensor or an Output.
        channels: Number of input channels.
        size: Spatial size of the probe.

    Returns:
        The evidence of a SoftCAM, the logits of a black box, in float32 on the CPU.
    """
    parameter = next(model.parameters())
    image = probe_input(channels, size).to(parameter.device, parameter.dtype)
    with evaluating(model):
        output = model(image)
    result = output.evidence if hasattr(output, "evidence") else output
    answer: Tensor = result.float().cpu()
    return answer


def smallest_probe(model: nn.Module, channels: int, dims: int = 2) -> tuple[int, ...] | None:
    """Find a probe size that the model takes: small first, since a proof should cost little.

    Args:
        model: A module that takes images.
        channels: Number of input channels.
        dims: Number of spatial dimensions.

    Returns:
        A spatial size, or None when the model takes none of those tried.
    """
    for length in (64, 224, 299):
        size = (length,) * dims
        try:
            run_probe(model, channels, size)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError):
            continue  # too small for a stem without padding, or a backbone of fixed size
        return size
    return None


def same_output(stored: Tensor, found: Tensor, tolerance: float = PROBE_TOLERANCE) -> bool:
    """Tell whether two probe outputs are of the same model.

    Args:
        stored: Output in the file.
        found: Output of the rebuilt model.
        tolerance: Allowed difference as a fraction of the largest stored magnitude.

    Returns:
        True when the shapes agree and no element differs by more than the tolerance.
    """
    if stored.shape != found.shape:
        return False
    scale = max(float(stored.abs().max()), 1e-12)
    return bool((stored - found).abs().max() <= tolerance * scale)
