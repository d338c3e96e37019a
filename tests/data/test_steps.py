from __future__ import annotations

import numpy as np
import pytest

from softcam.data.steps import STEP_KINDS, Crop, Flip, Pad, Resize, Step

STEPS = [Crop(2, 1, 4, 3), Resize(14, 20), Pad(1, 2, 3, 4), Flip(True), Flip(False, True)]


def _do(array: np.ndarray, step: Step) -> np.ndarray:
    """The step on an array, with whole-number enlargement for a resize."""
    if isinstance(step, Crop):
        return array[step.y : step.y + step.height, step.x : step.x + step.width]
    if isinstance(step, Pad):
        return np.pad(array, ((step.top, step.bottom), (step.left, step.right)))
    if isinstance(step, Flip):
        array = np.fliplr(array) if step.horizontal else array
        return np.flipud(array) if step.vertical else array
    scale = (step.height // array.shape[0], step.width // array.shape[1])
    return np.kron(array, np.ones(scale))


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_every_pixel_goes_where_the_step_puts_it_in_an_array(step: Step) -> None:
    marks = np.arange(1, 36).reshape(5, 7)
    moved = _do(marks, step)
    assert step.output_size((5, 7)) == moved.shape
    x_map, y_map = step.axes((5, 7))
    for i in range(moved.shape[0]):
        for j in range(moved.shape[1]):
            if moved[i, j]:
                x = float(x_map.inverse().scale) * (j + 0.5) + float(x_map.inverse().offset)
                y = float(y_map.inverse().scale) * (i + 0.5) + float(y_map.inverse().offset)
                assert marks[int(y), int(x)] == moved[i, j]


def test_records_name_every_step() -> None:
    assert set(STEP_KINDS) == {"crop", "resize", "pad", "flip"}
