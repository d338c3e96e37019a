"""The process that reads what the fuzz run damaged: one JSON line in, one out, for each file.

It is a process of its own, since what a damaged file must not do is end it or fill its memory.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from softcam.data.importers import csvtable
from softcam.data.readers import image_size, read_image
from softcam.data.table import read_table
from softcam.errors import InputError

MEMORY = 1 << 30
"""Bytes that this process may have at most, its libraries included."""

_ADDRESSES = 8 << 30  # keeps a run that goes wrong from taking the machine along
_SPIN = 1  # seconds
_LONGEST = 4000  # characters of a message


def read_file(path: str) -> None:
    """Read an image's size and its pixels; both must be refused or agree."""
    size = image_size(path)
    pixels = read_image(path)
    if pixels.size != size or pixels.array.shape[:2] != size:
        raise RuntimeError(f"its size is told as {size} and read as {pixels.size}")


def read_data_set(path: str) -> None:
    """Read a data set with all its images and marks, as training does."""
    table = read_table(path)
    for record in table.records:
        read_image(record.image).array  # noqa: B018 - which Pillow's images become only now
        if table.annotations is not None:
            table.annotations.regions(record.name)


def plan_import(path: str) -> None:
    """Plan to import a data set as `softcam import csv` does."""
    csvtable.plan(Path(path), "auto")


def misbehave(path: str) -> None:
    """What no reader may do, for the tests of the fuzz run itself."""
    what = Path(path).read_text()
    if what == "crash":
        os.abort()
    if what == "hang":
        time.sleep(60)
    if what == "spin":
        end = time.process_time() + _SPIN  # not from the process's start, imports included
        while time.process_time() < end:
            pass
    if what == "memory":
        bytearray(b"1") * (MEMORY + 1)
    if what == "nameless":
        raise InputError("It is bad.")
    if what == "refuse":
        raise InputError(f"{path} is bad.")
    if what == "raise":
        raise KeyError(what)


READERS: dict[str, Callable[[str], None]] = {
    "image": read_file,
    "data set": read_data_set,
    "import": plan_import,
    "misbehave": misbehave,
}


def judge(reader: Callable[[str], None], path: str) -> tuple[str, str]:
    """Read a file.

    Returns:
        "read", "refused" (by name and in a sentence), "memory" or "unnamed", and what was said.
    """
    try:
        reader(path)
    except InputError as error:
        said = str(error)
        if _for_memory(error):
            return "memory", said
        return ("refused" if _is_sentence(said, path) else "unnamed"), said[: 2 * _LONGEST]
    except MemoryError as error:
        return "memory", repr(error)
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        line = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        return "unnamed", f"{type(error).__name__}: {str(error)[:500]} ({line})"
    return "read", ""


def _is_sentence(said: str, path: str) -> bool:
    named = Path(path.partition("#")[0]).name in said
    return named and said.isprintable() and said.endswith(".") and len(said) <= _LONGEST


def _for_memory(error: BaseException | None) -> bool:
    """Whether it was the lack of memory that made a reader give up."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _peak() -> int:
    """Most bytes that this process had since `_forget_peak`."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    except (OSError, IndexError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _forget_peak() -> None:
    with suppress(OSError):  # elsewhere the peak is that of the whole run, which is stricter
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # decoders write what they like to the standard output
    import nibabel  # noqa: F401  (the time of an import is not the reading's)
    import yaml  # noqa: F401

    import softcam.data.dicom  # noqa: F401

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    answer(result="ready", detail="torch" if "torch" in sys.modules else "", peak=_peak())
    for line in sys.stdin:
        case = json.loads(line)
        _forget_peak()
        start = time.process_time()
        result, detail = judge(READERS[case["reader"]], case["path"])
        peak = _peak()
        if peak > MEMORY:
            result, detail = "memory", f"{peak >> 20} MiB; {detail}"
        seconds = time.process_time() - start
        answer(result=result, detail=detail, peak=peak, seconds=seconds)


if __name__ == "__main__":
    main()
