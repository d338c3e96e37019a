"""Random samples for images, with the whole range among them."""

from __future__ import annotations

import numpy as np


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def samples_of(channels: int, bits: int, height: int = 9, width: int = 13) -> np.ndarray:
    dtype = np.uint16 if bits == 16 else np.uint8
    array = rng().integers(0, 1 << bits, (height, width, channels), dtype=dtype)
    return array[:, :, 0] if channels == 1 else array
