"""Images whose prepared pixels a cache keeps, and whether it kept them right."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from softcam.data.cache import PreparedCache
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_record
from softcam.data.records import Record

SMALL = Preprocessing((12, 16))


def write_images(folder: Path, count: int, *, seed: int = 0) -> list[Record]:
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        shape = (20, 30, 3) if number % 3 == 0 else (20, 30)
        pixels = generator.integers(0, 256, shape).astype(np.uint8)
        if number % 3 == 1:
            pixels = generator.integers(0, 65536, (20, 30)).astype(np.uint16)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        age(folder / f"{number}.png")
    return [
        Record(folder / f"{n}.png", f"{n}.png", 0, "train", f"p{n}", n + 2) for n in range(count)
    ]


def age(path: Path) -> None:
    """Give every file the same time."""
    os.utime(path, (1_600_000_000, 1_600_000_000))


def fill(cache: PreparedCache, records: list[Record]) -> list[int]:
    return [cache.keep(cache.look(record)) for record in records]


def uncached(record: Record, preprocessing: Preprocessing = SMALL) -> np.ndarray:
    return preprocessing.prepare(read_record(record))[0]


def assert_right(cache: PreparedCache, records: list[Record], numbers: list[int]) -> None:
    for record, number in zip(records, numbers, strict=True):
        found = cache.read(number)
        expected = uncached(record, cache.preprocessing)
        assert found is not None
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        assert cache.size(number) == (20, 30)


def decoded(cache: PreparedCache, records: list[Record]) -> list[str]:
    """Names of the images that a cache does not have, by looking at each."""
    return [record.name for record in records if cache.look(record).fresh is not None]


def parts(cache: PreparedCache, suffix: str) -> list[Path]:
    return sorted(cache.folder.glob(f"*{suffix}"))
