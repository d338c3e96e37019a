from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import softcam.data

SCRIPT = """
import importlib, pkgutil, sys
sys.modules["torch"] = None
sys.modules["pandas"] = None
import softcam.data
names = [m.name for m in pkgutil.walk_packages(softcam.data.__path__, "softcam.data.")]
for name in names:
    importlib.import_module(name)
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image
import numpy as np
sample = Preprocessing((8, 8))(read_image(np.zeros((9, 7), np.uint16)))
print(len(names), sample.pixels.shape)
"""


def test_reading_and_preprocessing_work_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    count, shape = done.stdout.split(" ", 1)
    modules = [p for p in Path(softcam.data.__path__[0]).glob("*.py") if p.stem != "__init__"]
    assert int(count) >= len(modules)
    assert shape.strip() == "(3, 8, 8)"
