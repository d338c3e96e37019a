from __future__ import annotations

import numpy as np
import pytest

from softcam.data.annotationsources.runlengths import read_run_lengths
from softcam.errors import InputError


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, counted one pixel after the other."""
    counts, inside = [0], False
    for pixel in mask.T.ravel():
        if bool(pixel) != inside:
            counts.append(0)
            inside = not inside
        counts[-1] += 1
    return counts


def packed(counts: list[int]) -> str:
    """COCO's packing of run lengths, from its description: little groups of five bits."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            group, value = value & 31, value >> 5
            done = value == (-1 if group & 16 else 0)
            text += chr(48 + (group if done else group | 32))
            if done:
                break
    return text


@pytest.mark.parametrize("shape", [(7, 5), (1, 40), (300, 200)])
@pytest.mark.parametrize("compressed", [True, False])
def test_runs_give_the_mask_that_they_were_made_of(
    shape: tuple[int, int], compressed: bool
) -> None:
    rng = np.random.default_rng(0)
    for part in (0.0, 0.02, 0.5, 1.0):
        mask = rng.random(shape) < part
        counts = packed(runs(mask)) if compressed else runs(mask)
        given = {"size": list(shape), "counts": counts}
        np.testing.assert_array_equal(read_run_lengths(given, shape, "m").read(), mask)


def test_a_packed_string_worked_out_by_hand() -> None:
    # 6, 1, 40 = 8 + 32 ("X", "1"), then differences: 2 - 1 = 1 and 11 - 40 = -29 ("S", "O").
    given = {"size": [6, 10], "counts": "61X11SO"}
    mask = read_run_lengths(given, (6, 10), "m").read()
    flat = mask.T.ravel()
    assert np.flatnonzero(flat).tolist() == [6, 47, 48]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"counts": [6]}, "no size"),
        ({"size": [2, 3.0], "counts": [6]}, "no size"),
        ({"size": [3, 2], "counts": [6]}, "2 x 3 px, its image 3 x 2 px"),
        ({"size": [2, 3]}, "neither a list"),
        ({"size": [2, 3], "counts": [2, True, 3]}, "neither a list"),
        ({"size": [2, 3], "counts": [2, 3]}, "do not add up to the 6 px"),
        ({"size": [2, 3], "counts": [-1, 7]}, "do not add up"),
        ({"size": [2, 3], "counts": [10**30, 6 - 10**30]}, "do not add up"),
        ({"size": [2, 3], "counts": "2é"}, "no text"),
        ({"size": [2, 3], "counts": "PPPPPPPPPPPP0"}, "no text"),
        ({"size": [2, 3], "counts": "2P"}, "in the middle of a number"),
        ({"size": [2, 3], "counts": "3"}, "do not add up"),
    ],
)
def test_damaged_runs_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_run_lengths(given, (2, 3), "m")
