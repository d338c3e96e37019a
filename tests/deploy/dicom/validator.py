"""The independent validator of Debian's dicom3tools, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DCIODVFY = shutil.which("dciodvfy")

needs_validator = pytest.mark.skipif(
    DCIODVFY is None, reason="dciodvfy is not installed (Debian's package dicom3tools)"
)


def errors_of(path: Path) -> list[str]:
    """What the validator calls an error in a file; it must have recognised what the file is."""
    assert DCIODVFY is not None
    done = subprocess.run(
        [DCIODVFY, str(path)],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    said = (done.stderr + done.stdout).splitlines()
    named = ("Segmentation", "ParametricMap", "SCImage", "ComprehensiveSR", "Comprehensive3DSR")
    assert any(line.startswith(named) for line in said), said[:3]
    return [line for line in said if line.startswith("Error")]
