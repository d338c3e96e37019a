"""Plain loops that say the same as the library, one image and one pixel at a time."""

from __future__ import annotations

import itertools
import math


def cells(shape, patch):
    """The pixels of each patch, in raster order of the patches."""
    grid = [range(math.ceil(side / patch)) for side in shape]
    found = []
    for place in itertools.product(*grid):
        spans = [
            range(p * patch, min((p + 1) * patch, side))
            for p, side in zip(place, shape, strict=True)
        ]
        found.append(list(itertools.product(*spans)))
    return found


def order(values, patch):
    """Patch numbers of one map, the highest peak first, equal ones in raster order."""
    peaks = [max(float(values[c]) for c in group) for group in cells(tuple(values.shape), patch)]
    return sorted(range(len(peaks)), key=lambda number: (-peaks[number], number))


def changed(image, filling, values, patch, count, kind):
    """One image with its first patches replaced ("deletion") or with them alone ("insertion")."""
    groups = cells(tuple(values.shape), patch)
    first = {c for number in order(values, patch)[:count] for c in groups[number]}
    result = image.clone()
    for c in itertools.chain.from_iterable(groups):
        if (c in first) == (kind == "deletion"):
            result[(slice(None), *c)] = filling[(slice(None), *c)]
    return result
