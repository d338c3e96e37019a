"""Optimizers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from softcam.training.config import TrainConfig
from softcam.training.depth import measure_depth


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Build AdamW, or the paper's SGD with Nesterov momentum 0.9.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), training settings.

    Args:
        model: Its parameters are trained.
        config: Learning rate, its factors over the depth, and weight decay.

    Returns:
        The optimizer.
    """
    parameters = learning_groups(model, config)
    if config.optimizer == "sgd":
        return SGD(
            parameters,
            lr=config.learning_rate(),
            momentum=0.9,
            nesterov=True,
            weight_decay=config.decay(),
        )
    return AdamW(parameters, lr=config.learning_rate(), weight_decay=config.decay())


def learning_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the parameters that are trained by their learning rate.

    The head learns at lr x head_lr, the last level of the backbone at lr x layer_decay, the one
    before at lr x layer_decay^2, and so on to the image.

    Source: Clark et al., "ELECTRA", ICLR 2020 (arXiv 2003.10555), layer-wise decay.

    Args:
        model: A SoftCAM or a black box.
        config: The settings.

    Returns:
        One group if all rates are the same; else the head's first, then the deepest level's.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if config.layer_decay == 1 and config.head_lr == 1:
        return [{"params": list(trained.values())}]
    depth = measure_depth(model, config.size)
    heads = set(depth.head)
    groups = [([name for name in trained if name in heads], config.head_lr)]
    for level in sorted(set(depth.levels.values()), reverse=True):
        names = [name for name in trained if depth.levels.get(name) == level]
        groups.append((names, config.layer_decay ** (depth.last + 1 - level)))
    peak = config.learning_rate()
    return [
        {"params": [trained[name] for name in names], "lr": peak * factor}
        for names, factor in groups
        if names
    ]


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
