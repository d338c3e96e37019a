"""A fixed input whose output is stored with a model and proves it when it is rebuilt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

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
        # Some modules keep a cache in eval mode and drop it when they are told to train.
        model.train()
        for module, training in modes:
            module.training = training


def example_input(model: nn.Module, channels: int, size: tuple[int, ...]) -> Tensor:
    """Build the probe on a model's device, in its type.

    Args:
        model: The model that takes it.
        channels: Number of input channels.
        size: Spatial size of the probe.

    Returns:
        The probe, shape (2, channels, *size).
    """
    image = probe_input(channels, size)
    parameter = next(model.parameters(), image)
    return image.to(parameter.device, parameter.dtype)


def run_probe(
    model: nn.Module, channels: int, size: tuple[int, ...], part: str | None = None
) -> Tensor:
    """Run the probe through a model in eval mode.

    Args:
        model: A module that returns a tensor or an Output.
        channels: Number of input channels.
        size: Spatial size of the probe.
        part: Name of a submodule whose output is wanted instead of the model's.

    Returns:
        The evidence of a SoftCAM, the logits of a black box, in float32 on the CPU.
    """
    image = example_input(model, channels, size)
    seen: list[Tensor] = []
    watched = None if part is None else model.get_submodule(part)
    handle = watched and watched.register_forward_hook(lambda _, __, out: seen.append(out))
    try:
        with evaluating(model):
            output = model(image)
    finally:
        if handle:
            handle.remove()
    output = seen[-1] if seen else output
    result = output.evidence if hasattr(output, "evidence") else output
    if isinstance(result, Mapping):
        result = next(iter(result.values()))
    if isinstance(result, (tuple, list)):
        result = result[0]
    answer: Tensor = result.float().cpu()
    return answer


def try_probe(
    model: nn.Module, channels: int, size: tuple[int, ...], part: str | None = None
) -> Tensor | None:
    """Run the probe, where the model takes its size.

    Args:
        model: As for `run_probe`.
        channels: As for `run_probe`.
        size: As for `run_probe`.
        part: As for `run_probe`.

    Returns:
        The output, or None for a stem that needs more pixels or a backbone of fixed size.
    """
    try:
        return run_probe(model, channels, size, part)
    except Exception:  # the model's own code says in its own way what it does not take
        return None


USUAL_SIZES = (64, 224, 299, 96, 128, 256, 384, 448, 512)
"""Side lengths of images that most backbones take, in the order in which they are tried."""


def smallest_probe(
    model: nn.Module,
    channels: int,
    dims: int = 2,
    sizes: Sequence[tuple[int, ...]] = (),
    part: str | None = None,
) -> tuple[int, ...] | None:
    """Find a probe size that the model takes: small first, since a proof should cost little.

    Args:
        model: A module that takes images.
        channels: Number of input channels.
        dims: Number of spatial dimensions.
        sizes: Spatial sizes to try; the usual ones if empty.
        part: As for `run_probe`.

    Returns:
        A spatial size, or None when the model takes none of those tried.
    """
    usual = [(length,) * dims for length in USUAL_SIZES if length**dims <= 512**2 * 8]
    for size in sizes or usual:
        if try_probe(model, channels, size, part) is not None:
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
