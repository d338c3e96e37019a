"""pydicom's own test files, as many as are installed with it: each is read or refused by name."""

from __future__ import annotations

from pathlib import Path

import pydicom.data
import pytest

from tests.fuzz.run import BAD, Case, run_cases

ROOT = Path(pydicom.data.__file__).parent
FOLDERS = ("test_files", "charset_files", "palettes")
READ = 150
"""Fewer reads than this would mean that the reader refuses too much; each file is tried twice."""


def bundled() -> list[Path]:
    """The files that lie in the package; pydicom would download the others."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in inside if path.is_file() and path.suffix not in (".py", ".pyc"))


def cases(paths: list[Path]) -> list[Case]:
    """Each file, and the first frame of it by name, in which files of several frames are read."""
    found = []
    for number, path in enumerate(paths):
        name = path.name
        data = {name: path.read_bytes()}
        found.append(Case(2 * number, "pydicom", name, "image", data, name))
        found.append(Case(2 * number + 1, "pydicom", f"{name}#1", "image", data, f"{name}#1"))
    return found


@pytest.mark.timeout(300)
def test_each_is_read_or_refused_in_a_sentence_in_time_and_memory() -> None:
    paths = bundled()
    assert len(paths) > 90
    verdicts = list(run_cases(iter(cases(paths))))
    assert [(v.case.damage, v.result, v.detail) for v in verdicts if v.result in BAD] == []
    assert sum(v.result == "read" for v in verdicts) > READ
