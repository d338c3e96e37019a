"""How much memory a piece of work took at most."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
from pathlib import Path
from types import TracebackType

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the largest growth of memory inside a `with` block.

    On a GPU it is the memory of tensors there; on a CPU the resident memory of this process, as
    Linux counts it. Where neither can be read, the growth is NaN.

    Args:
        device: Where the work happens.

    Attributes:
        grown_mib: The growth in MiB, known after the block.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = math.nan
        self.grown_mib = math.nan

    def __enter__(self) -> PeakMemory:
        # What earlier work left would be freed, or taken again, within the block and hide growth.
        gc.collect()
        _give_back_free_memory()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device) / 2**20
        else:
            with contextlib.suppress(OSError):
                _CLEAR.write_text("5")  # sets the peak to what is resident now
                self._before = _resident_mib("VmRSS:")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device) / 2**20
        else:
            peak = _resident_mib("VmHWM:")
        self.grown_mib = max(0.0, peak - self._before) if peak == peak else math.nan


def _give_back_free_memory() -> None:
    """Have glibc return what was freed but kept; other C libraries know no such thing."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _resident_mib(field: str) -> float:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return math.nan
    found = [line for line in lines if line.startswith(field)]
    return int(found[0].split()[1]) / 1024 if found else math.nan
