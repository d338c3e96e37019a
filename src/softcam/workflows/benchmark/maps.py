"""Maps of attribution methods, kept on disk by content so that a rerun costs nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject
from softcam.workflows.benchmark.memory import PeakMemory
from softcam.workflows.benchmark.store import ArrayStore, digest_of, missing_rows

Floats = npt.NDArray[np.float32]

_VERSION = "1"  # of the computations: another one makes old maps unfindable


@dataclass
class Cost:
    """What maps cost, when they were computed.

    Attributes:
        seconds: Seconds per map of each batch.
        peak_mib: Largest growth of memory of a batch, in MiB; NaN if unknown.
    """

    seconds: list[float] = field(default_factory=list)
    peak_mib: float = math.nan

    @property
    def median(self) -> float:
        """Median seconds per map; NaN if unknown."""
        return float(np.median(self.seconds)) if self.seconds else math.nan


def subject_digest(subject: Subject) -> str:
    """Identify a classifier by its parameters and its structure.

    Args:
        subject: The classifier.

    Returns:
        A hexadecimal digest.
    """
    parts: list[str | npt.NDArray[np.generic]] = [repr(subject.classifier)]
    for name, value in sorted(subject.classifier.state_dict().items()):
        array = value.detach().cpu()
        # numpy has no bfloat16; its bits are as good.
        bits = array.view(torch.int16) if array.dtype == torch.bfloat16 else array
        parts += [f"{name} {array.dtype}", bits.numpy()]
    return digest_of(*parts)


class MapStore:
    """Computes maps, or reads them from where they were kept.

    Args:
        folder: Where maps are kept; None to keep none.

    Attributes:
        arrays: What lies in the folder.
        costs: Subject, method and contrast to the cost of the maps that were timed.
        computed: How many maps were computed and not read.
    """

    def __init__(self, folder: Path | None) -> None:
        self.arrays = ArrayStore(folder)
        self.computed = 0
        self._digests: dict[int, tuple[Subject, str]] = {}
        self.costs: dict[tuple[str, str, bool], Cost] = {}

    def maps(
        self,
        attribution: Attribution,
        subject: Subject,
        pixels: Floats,
        classes: npt.NDArray[np.int64],
        *,
        contrast: bool,
        timed: bool = False,
    ) -> Floats:
        """Explain a batch of images, each for one class.

        Args:
            attribution: The method.
            subject: The classifier.
            pixels: Normalised input (B, C, H, W).
            classes: Class index of each image, shape (B,).
            contrast: Explain the contrast to the other classes instead of the class's own score.
            timed: Whether these maps count for the method's cost, which is kept with them.

        Returns:
            Float32 maps (B, h, w) at the method's own resolution.
        """
        keys = self.keys(attribution, subject, pixels, classes, contrast=contrast)
        known = [self.arrays.read(key, ndim=2, dtype=np.float32) for key in keys]
        bill = digest_of("cost", *keys)  # of this very batch, so that a rerun reports the same
        paid = self.arrays.read(bill, ndim=1, dtype=np.float64) if timed else None
        if missing := missing_rows(known):
            work = partial(
                self._compute, attribution, subject, pixels[missing], classes[missing], contrast
            )
            computed, cost = _paid(work, subject, len(missing)) if timed else (work(), None)
            for row, values in zip(missing, computed, strict=True):
                known[row] = values
                self.arrays.write(keys[row], values)
            if cost is not None:
                self.arrays.write(bill, paid := cost)
        if paid is not None and paid.shape == (2,):
            name = (subject.name, attribution.name, contrast)
            total = self.costs.setdefault(name, Cost())
            total.seconds.append(float(paid[0]))
            total.peak_mib = float(np.fmax(total.peak_mib, paid[1]))
        return np.stack([values for values in known if values is not None])

    def keys(
        self,
        attribution: Attribution,
        subject: Subject,
        pixels: Floats,
        classes: npt.NDArray[np.int64],
        *,
        contrast: bool,
    ) -> list[str]:
        """Identify maps by all that they depend on: method, options, model, image and class."""
        what = [_VERSION, attribution.name, repr(sorted(attribution.options.items()))]
        what.append(self._digest(subject))
        return [
            digest_of(*what, *([str(index), str(contrast)] if attribution.by_class else []), image)
            for image, index in zip(pixels, classes.tolist(), strict=True)
        ]

    def _compute(
        self,
        attribution: Attribution,
        subject: Subject,
        pixels: Floats,
        classes: npt.NDArray[np.int64],
        contrast: bool,
    ) -> Floats:
        self.computed += len(pixels)
        maps = attribution(
            subject,
            torch.from_numpy(np.ascontiguousarray(pixels)),
            torch.from_numpy(classes)[:, None],
            contrast=contrast,
        )
        return np.asarray(maps[:, 0].cpu().numpy(), dtype=np.float32)

    def _digest(self, subject: Subject) -> str:
        known = self._digests.get(id(subject))
        if known is None:
            # The subject is held, so that its id is not given to another.
            known = self._digests[id(subject)] = (subject, subject_digest(subject))
        return known[1]


def _paid(
    work: Callable[[], Floats], subject: Subject, count: int
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Do some work; give also its cost: seconds per map, and growth of memory in MiB."""
    with PeakMemory(subject.device) as memory:
        started = time.perf_counter()
        values = work()
        seconds = (time.perf_counter() - started) / count
    return values, np.array([seconds, memory.grown_mib])
