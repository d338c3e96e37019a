"""Where an evidence cell lies in a file, worked out by hand from the rules in the documentation."""

from __future__ import annotations

import numpy as np


def cells_of_pixels(
    file_size: tuple[int, int],
    input_size: tuple[int, int],
    cells: tuple[int, int],
    resize: str,
    aspect: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the cell, in continuous cells, at every pixel row's and column's centre."""
    scale = _scale(file_size, input_size, resize, aspect)
    places = []
    for axis in (0, 1):
        middle = (np.arange(file_size[axis]) + 0.5 - file_size[axis] / 2) * scale[axis]
        places.append((middle + input_size[axis] / 2) * cells[axis] / input_size[axis])
    return places[0], places[1]


def pixels_of_cells(
    file_size: tuple[int, int],
    input_size: tuple[int, int],
    cells: tuple[int, int],
    resize: str,
    aspect: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column, in continuous file pixels, of the centre of every cell row and column."""
    scale = _scale(file_size, input_size, resize, aspect)
    places = []
    for axis in (0, 1):
        inside = (np.arange(cells[axis]) + 0.5) * input_size[axis] / cells[axis]
        places.append((inside - input_size[axis] / 2) / scale[axis] + file_size[axis] / 2)
    return places[0], places[1]


def _scale(file_size, input_size, resize, aspect):
    """Input pixels for a file pixel down and for one to the right."""
    if resize == "stretch":
        return input_size[0] / file_size[0], input_size[1] / file_size[1]
    ratios = (input_size[0] / (file_size[0] * aspect), input_size[1] / file_size[1])
    one = min(ratios) if resize == "pad" else max(ratios)
    return one * aspect, one
