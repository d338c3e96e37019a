"""Many differences in one table: p-values that keep the chance of any false alarm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError


def holm(p_values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Adjust p-values for the number of comparisons, by Holm's step-down method.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none becomes smaller than
    one before it, none larger than 1. Comparing the adjusted values with 0.05 keeps the chance of
    any false alarm in the whole table below 5 %, whatever the dependence between the tests.

    Args:
        p_values: One per comparison; NaN (undefined) is no comparison and stays NaN.

    Returns:
        Adjusted p-values in the same order.

    Raises:
        InputError: If a p-value is not between 0 and 1.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
        of Statistics 6 (1979).

    Example:
        >>> [round(float(p), 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(raw))
    if ((raw[known] < 0) | (raw[known] > 1)).any():
        raise InputError("A p-value is not between 0 and 1.")
    order = known[np.argsort(raw[known], kind="stable")]
    steps = raw[order] * np.arange(order.size, 0, -1)
    adjusted = np.full(raw.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
