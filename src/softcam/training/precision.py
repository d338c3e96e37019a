"""Which precision and device a run computes in."""

from __future__ import annotations

from typing import Literal

import torch

from softcam.errors import InputError
from softcam.training.config import TrainConfig


def choose_device(config: TrainConfig) -> Literal["cpu", "cuda"]:
    """Resolve "auto" to the GPU where there is one.

    Args:
        config: The run's settings.

    Returns:
        "cpu" or "cuda".

    Raises:
        InputError: If "cuda" was asked for and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: no CUDA GPU is available here; use --device cpu.")
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


def choose_precision(config: TrainConfig, device: str) -> Literal["32-true", "bf16-mixed"]:
    """Resolve "auto" to bfloat16 where it is computed natively, which halves the time.

    The evidence layer runs in float32 either way.

    Args:
        config: The run's settings.
        device: "cpu" or "cuda".

    Returns:
        Lightning's name of the precision.
    """
    if config.precision == "32":
        return "32-true"
    if config.precision == "bf16":
        return "bf16-mixed"
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if native else "32-true"
