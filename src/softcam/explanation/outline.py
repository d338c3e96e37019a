"""Outlines of boolean masks: closed polygons along the edges of their cells."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

Polygon = tuple[tuple[float, float], ...]
"""Corners (x, y) of one closed loop, the last joined to the first."""


def trace(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.intp]]:
    """Follow the edges of a mask's cells around every part of it and around every hole.

    Loops run clockwise on the screen (y down) around the mask and counter-clockwise around
    holes, so that their signed areas add up to the number of cells. Where two cells touch at a
    corner only, each keeps a loop of its own.

    Args:
        mask: Booleans of shape (h, w).

    Returns:
        For each loop its corners, shape (n, 2), as (x, y) counted in cells from the top left
        edge; corners on a straight line are left out.
    """
    steps = _directed_edges(mask)
    loops: list[npt.NDArray[np.intp]] = []
    # Edges are found in raster order and a dict keeps it, so the loops' order is fixed.
    for start in list(steps):
        while steps[start]:
            loops.append(_follow(steps, start))
    return loops


def _directed_edges(
    mask: npt.NDArray[np.bool_],
) -> defaultdict[tuple[int, int], list[tuple[int, int]]]:
    """List the edges between mask and not-mask by their start, with the mask on the right."""
    inside = np.pad(np.asarray(mask, dtype=bool), 1)
    core = inside[1:-1, 1:-1]
    steps: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    # Each row: the neighbour beyond the edge, the edge's start within the cell, its direction.
    for beyond, (dx, dy), step in (
        (inside[:-2, 1:-1], (0, 0), (1, 0)),
        (inside[1:-1, 2:], (1, 0), (0, 1)),
        (inside[2:, 1:-1], (1, 1), (-1, 0)),
        (inside[1:-1, :-2], (0, 1), (0, -1)),
    ):
        for row, column in np.argwhere(core & ~beyond).tolist():
            steps[column + dx, row + dy].append(step)
    return steps


def _follow(
    steps: defaultdict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]
) -> npt.NDArray[np.intp]:
    """Take edges from `steps` until the loop that begins at `start` closes."""
    corners: list[tuple[int, int]] = []
    point = start
    direction = first = steps[start][0]
    while True:
        ahead = steps[point]
        # Where two loops touch, the right turn stays with the cell it came along.
        right = (-direction[1], direction[0])
        step = right if corners and right in ahead else ahead[0]
        ahead.remove(step)
        if not corners or step != direction:
            corners.append(point)
        direction = step
        point = (point[0] + step[0], point[1] + step[1])
        if point == start and (not steps[start] or _closes(direction, first)):
            break
    if direction == first:
        corners.pop(0)
    return np.array(corners, dtype=np.intp)


def _closes(arriving: tuple[int, int], first: tuple[int, int]) -> bool:
    """Whether the loop's first edge is the right turn from the edge that arrives at its start."""
    return first == (-arriving[1], arriving[0])
