"""Pixel values for DICOM files, what they should come out as, and the sentence of a refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from softcam.data.dicom import read_dicom
from softcam.errors import InputError


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def values_of(bits: int, dtype: type, shape: tuple[int, ...] = (35, 40)) -> np.ndarray:
    """Random values with the whole range among them."""
    info = (-(1 << (bits - 1)), 1 << (bits - 1)) if np.dtype(dtype).kind == "i" else (0, 1 << bits)
    array = rng().integers(*info, shape)
    array.reshape(-1)[:2] = info[0], info[1] - 1
    return array.astype(dtype)


def scaled(values: np.ndarray, low: float, high: float, white: int) -> np.ndarray:
    low, high = float(low), float(high)
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * white)


def rgb_of(ybr: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2, solved for RGB."""
    y, cb, cr = np.moveaxis(ybr.astype(np.float64), -1, 0)
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255)


def refusal(source: Any, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_dicom(source, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def windowed(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, value by value."""
    out = np.empty(values.shape)
    for place, x in np.ndenumerate(values.astype(float)):
        if function == "SIGMOID":
            out[place] = 1 / (1 + np.exp(-4 * (x - center) / width))
            continue
        c, w = (center - 0.5, width - 1) if function == "LINEAR" else (center, width)
        if x <= c - w / 2:
            out[place] = 0
        elif x > c + w / 2:
            out[place] = 1
        else:
            out[place] = (x - c) / w + 0.5
    return out
