from __future__ import annotations

import numpy as np
import pytest

from softcam.explanation.outline import trace


def signed_area(loop) -> float:
    x, y = loop[:, 0].astype(float), loop[:, 1].astype(float)
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def even_odd(loops, x: float, y: float) -> bool:
    """Whether a point lies inside: count the vertical edges that a ray to the right crosses."""
    crossings = 0
    for loop in loops:
        for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            crossings += x0 == x1 and x0 > x and min(y0, y1) < y < max(y0, y1)
    return crossings % 2 == 1


def test_a_single_cell_is_a_square():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 2] = True
    (loop,) = trace(mask)
    assert sorted(map(tuple, loop.tolist())) == [(2, 1), (2, 2), (3, 1), (3, 2)]


def test_an_empty_mask_has_no_outline():
    assert trace(np.zeros((3, 3), dtype=bool)) == []


def test_a_hole_gets_a_loop_that_runs_the_other_way():
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    assert sorted(signed_area(loop) for loop in trace(mask)) == [-1, 25]


def test_cells_that_touch_at_a_corner_keep_loops_of_their_own():
    assert [len(loop) for loop in trace(np.eye(3, dtype=bool))] == [4, 4, 4]
    assert [len(loop) for loop in trace(np.eye(3, dtype=bool)[:, ::-1])] == [4, 4, 4]


@pytest.mark.parametrize("seed", range(20))
def test_outlines_enclose_exactly_the_cells_of_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((7, 9)) < rng.uniform(0.2, 0.9)
    loops = trace(mask)
    assert sum(signed_area(loop) for loop in loops) == mask.sum()
    inside = [[even_odd(loops, x + 0.5, y + 0.5) for x in range(9)] for y in range(7)]
    np.testing.assert_array_equal(inside, mask)


@pytest.mark.parametrize("seed", range(5))
def test_every_corner_of_an_outline_turns(seed):
    mask = np.random.default_rng(seed).random((6, 6)) < 0.6
    for loop in trace(mask):
        steps = np.roll(loop, -1, axis=0) - loop
        following = np.roll(steps, -1, axis=0)
        assert (steps[:, 0] * following[:, 1] != steps[:, 1] * following[:, 0]).all()
