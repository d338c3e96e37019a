"""The localisation scores under a short name: ``softcam.metrics.activation_precision(...)``."""

from __future__ import annotations

from softcam.evaluation.localisation import (
    activation_precision,
    activation_sensitivity,
    pointing_game,
    scaled_patch,
    topk_precision,
)

__all__ = [
    "activation_precision",
    "activation_sensitivity",
    "pointing_game",
    "scaled_patch",
    "topk_precision",
]
