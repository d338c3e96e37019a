from __future__ import annotations

import numpy as np
import pytest

from softcam.data import cachefile
from softcam.data.cachefile import STAMPS, Lookup


@pytest.mark.parametrize("most", [1, 3, 4096])
def test_a_lookup_finds_the_last_row_of_a_key_as_a_dict_would(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cachefile, "_MAX_NEW", most)
    generator = np.random.default_rng(0)
    # Few values, so that keys come again and share their first half; large ones use all 64 bits.
    keys = generator.integers(0, 5, (200, 2)).astype(np.uint64) * np.uint64(2**62 - 1)
    rows = np.zeros(200, STAMPS)
    rows["key"] = keys
    for start in (0, 120):
        lookup = Lookup(rows[:start].copy())
        slow = {(int(a), int(b)): number for number, (a, b) in enumerate(keys[:start])}
        for number in range(start, 200):
            assert lookup.add(rows[number]) == number
            slow[int(keys[number][0]), int(keys[number][1])] = number
            assert {key: lookup.find(key) for key in slow} == slow
        assert len(lookup) == 200
        assert lookup.find((1, 1)) is None
        assert lookup.find((0, 1)) is None
