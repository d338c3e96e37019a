"""Optimizers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from softcam.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Build AdamW, or the paper's SGD with Nesterov momentum 0.9.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), training settings.

    Args:
        model: Its parameters are trained.
        config: Learning rate and weight decay.

    Returns:
        The optimizer.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.optimizer == "sgd":
        return SGD(
            parameters,
            lr=config.learning_rate(),
            momentum=0.9,
            nesterov=True,
            weight_decay=config.decay(),
        )
    return AdamW(parameters, lr=config.learning_rate(), weight_decay=config.decay())


def cosine_with_floor(
    steps: int, *, warmup: float, peak: float, floor: float
) -> Callable[[int], float]:
    """Cosine decay to zero, clipped from below, after a linear rise.

    Args:
        steps: Number of optimizer steps of the whole run.
        warmup: Share of the steps over which the rate rises.
        peak: Highest learning rate.
        floor: The rate never falls below this after the rise.

    Returns:
        Step number to the factor on the peak rate.
    """
    rising = round(warmup * steps)
    lowest = min(floor / peak, 1.0)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        progress = (step - rising) / max(1, steps - rising)
        return max(lowest, 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))

    return factor


def rising(step: int, steps: int, share: float) -> float:
    """Rise linearly from 0 at the first step to 1, where it stays.

    Args:
        step: Number of optimizer steps taken so far; it alone decides, so resuming is exact.
        steps: Number of optimizer steps of the whole run.
        share: Share of the steps over which the value rises; 0 for 1 from the start.

    Returns:
        A factor from 0 to 1.
    """
    length = share * steps
    return 1.0 if step >= length else step / length
