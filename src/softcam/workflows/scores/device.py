"""Where a model runs."""

from __future__ import annotations

from softcam.errors import InputError
from softcam.explanation.predictor import Predictor, TorchPredictor


def place(predictor: Predictor, device: str) -> Predictor:
    """Put a torch model onto a device; other predictors stay where they are.

    Args:
        predictor: The predictor.
        device: "auto" for a GPU if there is one, "cpu" or "cuda".

    Raises:
        InputError: There is no such device.
    """
    if not isinstance(predictor, TorchPredictor):
        return predictor
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InputError("device: cuda was asked for and there is no such GPU; use auto or cpu.")
    if device == "auto" and not there:
        return predictor
    return TorchPredictor(predictor.model, device="cuda" if device != "cpu" else "cpu")
