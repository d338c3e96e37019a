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


def choose_precision(
    config: TrainConfig, device: str
) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Resolve "auto" to bfloat16 where it is computed natively, which halves the time.

    The evidence layer runs in float32 in any case. Float16 has a short range, so that the loss is
    scaled up for its gradients and the scale is adapted (and kept in the checkpoint); steps whose
    gradients overflow are left out.

    Args:
        config: The run's settings.
        device: "cpu" or "cuda".

    Returns:
        Lightning's name of the precision.

    Raises:
        InputError: If "fp16" was asked for on the processor.
    """
    if config.precision == "32":
        return "32-true"
    if config.precision == "fp16":
        if device != "cuda":
            raise InputError(
                "precision: fp16 needs a CUDA GPU, and this run is on the CPU; use bf16 or 32."
            )
        return "16-mixed"
    if config.precision == "bf16":
        return "bf16-mixed"
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if native else "32-true"
