"""A small table for the tests of annotation files, and what reading it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from softcam.data.annotations import Annotations
from softcam.data.geometry import Geometry
from softcam.data.records import Table
from softcam.data.table import read_table
from softcam.errors import InputError
from tests.data import files

HEIGHT, WIDTH = 12, 20


def small_set(folder: Path, suffix: str = "png", names: tuple[str, ...] = ("a", "b")) -> Path:
    """Two images of 20 x 12 px (width x height), listed, and one that is not."""
    for name in (*names, "other"):
        files.image(folder / "images" / f"{name}.{suffix}", HEIGHT, WIDTH)
    path = folder / "table.csv"
    rows = "".join(f"{name}.{suffix},{i % 2}\n" for i, name in enumerate(names))
    path.write_text("image,label\n" + rows)
    return path


def read(path: Path) -> Table:
    return read_table(path, make_splits=False)


def annotations(path: Path) -> Annotations:
    found = read(path).annotations
    assert found is not None
    return found


def error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def file_mask(found: Annotations, name: str, finding: str, size: tuple[int, int]) -> np.ndarray:
    return found.mask(name, [finding], Geometry.of(size), grid="file")
