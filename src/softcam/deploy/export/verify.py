"""Is an exported graph the model that it was made from: answers compared on the same images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from softcam.deploy.export.description import Precision, Verified
from softcam.deploy.export.exported import completeness_error
from softcam.errors import WorkError

Floats = npt.NDArray[np.float32]

TOLERANCES: dict[Precision, dict[str, float]] = {
    "fp32": {"logits": 1e-4, "evidence": 1e-4, "completeness": 1e-5},
    "fp16": {"logits": 1e-2, "evidence": 1e-2, "completeness": 1e-5},
    "int8": {"completeness": 1e-5},
}
"""Largest differences allowed, as shares of the largest magnitude in the batch. What eight bits
cost is measured on a table instead: a single cell says little of them."""


def compared(
    expected: tuple[Floats, Floats],
    found: tuple[Floats, Floats],
    *,
    precision: Precision,
    images: str,
) -> Verified:
    """Compare a graph's answers with its model's.

    Args:
        expected: The model's logits (B, K) and evidence (B, K, h, w).
        found: The graph's.
        precision: How the graph was stored.
        images: Where the images came from.

    Returns:
        The errors beside what is allowed.

    Raises:
        WorkError: If shapes differ or an error is larger than allowed.
    """
    names = ("logits", "evidence")
    for name, own, other in zip(names, expected, found, strict=True):
        if own.shape != other.shape:
            raise WorkError(
                f"the exported graph gives {name} of shape {other.shape}, the model of shape "
                f"{own.shape}; nothing was written."
            )
    errors = {
        name: relative_error(own, other)
        for name, own, other in zip(names, expected, found, strict=True)
    }
    errors["completeness"] = completeness_error(*found)
    allowed = TOLERANCES[precision]
    for name, error in errors.items():
        if not error <= allowed.get(name, math.inf):
            raise WorkError(
                f"the exported graph's {name} differ by {error:.1e} of the largest, more than the "
                f"{allowed[name]:.0e} allowed for {precision}; nothing was written: export with "
                "another --precision or --format."
            )
    return Verified(images=images, count=len(expected[0]), **errors, tolerances=dict(allowed))


def relative_error(expected: Floats, found: Floats) -> float:
    """Give the largest difference as a share of the largest expected magnitude."""
    scale = max(float(np.abs(expected).max()), 1e-6)
    return float(np.abs(expected.astype(np.float64) - found).max()) / scale
