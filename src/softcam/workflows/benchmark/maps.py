"""Maps of attribution methods, kept on disk by content so that a rerun costs nothing."""

from __future__ import annotations

import hashlib
import io
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from softcam.errors import InputError
from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject
from softcam.files import write_atomically
from softcam.workflows.benchmark.memory import PeakMemory

Floats = npt.NDArray[np.float32]

_VERSION = "1"  # of the computations: another one makes old maps unfindable


@dataclass
class Cost:
    """What maps cost that were computed and not read.

    Attributes:
        seconds: Seconds per map of each computed batch.
        peak_mib: Largest growth of memory of a batch, in MiB; NaN if unknown.
    """

    seconds: list[float] = field(default_factory=list)
    peak_mib: float = math.nan

    @property
    def median(self) -> float:
        """Median seconds per map; NaN if nothing was computed."""
        return float(np.median(self.seconds)) if self.seconds else math.nan


def subject_digest(subject: Subject) -> str:
    """Identify a classifier by its parameters and its structure.

    Args:
        subject: The classifier.

    Returns:
        A hexadecimal digest.
    """
    digest = hashlib.blake2b(repr(subject.classifier).encode(), digest_size=16)
    for name, value in sorted(subject.classifier.state_dict().items()):
        array = value.detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        digest.update(array.view(torch.uint8).numpy().data if array.ndim else array.numpy().data)
    return digest.hexdigest()


class MapStore:
    """Computes maps, or reads them from a folder where they were computed before.

    Args:
        folder: Where maps are kept; None to keep none. Its files may be deleted at any time.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
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
    ) -> Floats:
        """Explain a batch of images, each for one class.

        Args:
            attribution: The method.
            subject: The classifier.
            pixels: Normalised input (B, C, H, W).
            classes: Class index of each image, shape (B,).
            contrast: Explain the contrast to the other classes instead of the class's own score.

        Returns:
            Float32 maps (B, h, w) at the method's own resolution.
        """
        paths = [
            self._path(attribution, subject, image, int(index), contrast)
            for image, index in zip(pixels, classes, strict=True)
        ]
        known = [_read(path) for path in paths]
        missing = [row for row, values in enumerate(known) if values is None]
        if missing:
            computed = self._compute(
                attribution, subject, pixels[missing], classes[missing], contrast
            )
            for row, values in zip(missing, computed, strict=True):
                known[row] = values
                _write(paths[row], values)
        return np.stack([values for values in known if values is not None])

    def _compute(
        self,
        attribution: Attribution,
        subject: Subject,
        pixels: Floats,
        classes: npt.NDArray[np.int64],
        contrast: bool,
    ) -> Floats:
        cost = self.costs.setdefault((subject.name, attribution.name, contrast), Cost())
        with PeakMemory(subject.device) as memory:
            started = time.perf_counter()
            maps = attribution(
                subject,
                torch.from_numpy(np.ascontiguousarray(pixels)),
                torch.from_numpy(classes)[:, None],
                contrast=contrast,
            )
            values = np.asarray(maps[:, 0].cpu().numpy(), dtype=np.float32)
            cost.seconds.append((time.perf_counter() - started) / len(pixels))
        cost.peak_mib = float(np.fmax(cost.peak_mib, memory.grown_mib))
        return values

    def _path(
        self,
        attribution: Attribution,
        subject: Subject,
        image: Floats,
        class_index: int,
        contrast: bool,
    ) -> Path | None:
        if self._folder is None:
            return None
        # What knows no class or no model is computed once for all of them.
        what = [_VERSION, attribution.name, repr(sorted(attribution.options.items()))]
        if attribution.by_class:
            what += [str(class_index), str(contrast)]
        what.append(self._digest(subject))
        digest = hashlib.blake2b("\n".join(what).encode(), digest_size=16)
        digest.update(f"{image.shape}".encode())
        digest.update(np.ascontiguousarray(image).data)
        name = digest.hexdigest()
        return self._folder / name[:2] / f"{name}.npy"

    def _digest(self, subject: Subject) -> str:
        known = self._digests.get(id(subject))
        if known is None:
            # The subject is held, so that its id is not given to another.
            known = self._digests[id(subject)] = (subject, subject_digest(subject))
        return known[1]


def _read(path: Path | None) -> Floats | None:
    """A stored map, or None; a damaged file is computed again."""
    if path is None or not path.is_file():
        return None
    try:
        values = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = isinstance(values, np.ndarray) and values.dtype == np.float32 and values.ndim == 2
    return values if whole else None


def _write(path: Path | None, values: Floats) -> None:
    if path is None:
        return
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot keep maps here ({error.strerror}); choose another --cache."
        ) from error
    write_atomically(path, stream.getvalue())
