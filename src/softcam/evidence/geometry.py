"""What a map's cells stand for: how many there are, and how much of the image each has seen."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from softcam.errors import InputError
from softcam.evidence.probe import evaluating

UNUSABLE = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError)
"""What the forward pass of a model raises that does not take an image."""


class ReceptiveField(NamedTuple):
    """The part of an image that the cell in the middle of a map depends on.

    Attributes:
        size: Its height and width in pixels (or length, or depth, height and width).
        image_size: Spatial size of the image.
    """

    size: tuple[int, ...]
    image_size: tuple[int, ...]

    @property
    def covers_image(self) -> bool:
        """Tell whether every pixel counts, so that a cell's evidence need not lie under it."""
        return self.size == self.image_size


def map_size(model: nn.Module, channels: int, image_size: Sequence[int]) -> tuple[int, ...]:
    """Tell the size of the evidence maps for an image size, without computing any.

    Shapes alone go through the model (torch's fake tensors): no values, hardly any memory. Only a
    model that branches on values is run.

    Args:
        model: A SoftCAM.
        channels: Number of input channels.
        image_size: Spatial size of the image in pixels.

    Returns:
        Height and width of the maps in cells (or length, or depth, height and width).

    Raises:
        InputError: If the model takes no image of that size.
    """
    size = tuple(int(length) for length in image_size)
    parameter = next(model.parameters(), torch.empty(()))
    try:
        with evaluating(model), _quiet(), FakeTensorMode(allow_non_fake_inputs=True):
            image = torch.empty(
                (1, channels, *size), device=parameter.device, dtype=parameter.dtype
            )
            evidence: Tensor = model(image).evidence
    except (DataDependentOutputException, DynamicOutputShapeException):
        # Shapes that depend on values can only be computed: the exception, not the rule.
        with evaluating(model):
            evidence = model(torch.zeros((1, channels, *size)).to(parameter)).evidence
    except UNUSABLE as error:
        raise unusable(size, error) from error
    return tuple(int(length) for length in evidence.shape[2:])


def receptive_field(
    backbone: nn.Module, channels: int, image_size: Sequence[int]
) -> ReceptiveField:
    """Measure what the middle of a feature map depends on, by its gradient at the pixels.

    The measure is of the function that the layers compute, not of their kernel sizes alone:
    attention, squeeze-and-excitation and other global operations show. Parameters that are zero
    throughout, as the last norms of residual blocks before training, get values for it.

    Args:
        backbone: Module from images to features, or to a list of them (the widest field counts).
        channels: Number of input channels.
        image_size: Spatial size of the image in pixels.

    Returns:
        The bounding box of the pixels with a gradient, for two images of noise.

    Raises:
        InputError: If the backbone takes no image of that size.
    """
    size = tuple(int(length) for length in image_size)
    generator = torch.Generator().manual_seed(0)
    with evaluating(backbone), torch.inference_mode(False), torch.enable_grad():
        try:
            image = torch.randn((2, channels, *size), generator=generator)
            parameter = next(backbone.parameters(), image)
            image = image.to(parameter.device, parameter.dtype).requires_grad_()
            features = torch.func.functional_call(backbone, _awake(backbone), (image,))
        except UNUSABLE as error:
            raise unusable(size, error) from error
        touched = torch.zeros(size, dtype=torch.bool, device=image.device)
        for item in [features] if isinstance(features, Tensor) else features:
            middle = (slice(None), slice(None), *(length // 2 for length in item.shape[2:]))
            value = item[middle]
            signs = torch.randn(value.shape, generator=generator).to(value)
            if not value.requires_grad:
                continue  # a constant
            (gradient,) = torch.autograd.grad(
                (value * signs).sum(), image, retain_graph=True, allow_unused=True
            )
            if gradient is not None:
                touched |= (gradient != 0).any(dim=1).any(dim=0)
    extent = []
    for axis in range(len(size)):
        others = tuple(other for other in range(len(size)) if other != axis)
        line = touched.any(dim=others) if others else touched
        hit = line.nonzero()
        extent.append(int(hit.max() - hit.min()) + 1 if len(hit) else 0)
    return ReceptiveField(tuple(extent), size)


def _awake(module: nn.Module) -> dict[str, Tensor]:
    """Give values to those parameters that are zero throughout."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: value + torch.randn(value.shape, generator=generator).to(value) * 0.1
        for name, value in module.named_parameters()
        if not value.any()
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from logging an impossible shape, which is reported as an error anyway."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def unusable(size: tuple[int, ...], error: Exception) -> InputError:
    """Say that a model takes no image of a size.

    Args:
        size: The size in pixels.
        error: What its forward pass raised.
    """
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return InputError(
        f"the model takes no image of {'x'.join(map(str, size))} pixels ({reason}); choose another "
        "size."
    )
