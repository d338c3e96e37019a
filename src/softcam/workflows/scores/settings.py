"""What is made of every image of a table, and what may differ between two parts of the work."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Any

from softcam.errors import InputError

MAX_BLOCK = 65_536
"""More images than this in a block would make a kill cost hours."""


@dataclass(frozen=True)
class ScoreSettings:
    """What is made of every image; all of it belongs to the results' identity.

    Attributes:
        maps: Whether the evidence maps are kept.
        regions: Whether evidence regions are found.
        contrast: Regions of each class against the others instead of its own evidence.
        threshold: Evidence in logit units from which a cell belongs to a region; None for half of
            the strongest cell of each map.
        tta: Views of each image to average over, see `softcam.explanation.views`.
        block: Images in a block, which is finished or done again as a whole.

    Raises:
        InputError: A value is out of range.
    """

    maps: bool = True
    regions: bool = True
    contrast: bool = False
    threshold: float | None = None
    tta: str = "none"
    block: int = 128

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold < math.inf:
            raise InputError(f"threshold: must be 0 or more logit units, not {self.threshold}.")
        if not 1 <= self.block <= MAX_BLOCK:
            raise InputError(f"block_size: must be 1 to {MAX_BLOCK} images, not {self.block}.")

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Effort:
    """How the work is done, which changes nothing but the last digits of the results.

    Attributes:
        batch_size: Images that the model runs on at once.
        workers: Threads that read and prepare images; 0 for as many as there are cores, up to 8.
        device: "auto", "cpu" or "cuda"; for a torch model only.

    Raises:
        InputError: A value is out of range.
    """

    batch_size: int = 16
    workers: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size: must be 1 or more, not {self.batch_size}.")
        if self.workers < 0:
            raise InputError(f"workers: must be 0 or more, not {self.workers}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device: must be auto, cpu or cuda, not {self.device}.")

    @property
    def threads(self) -> int:
        """How many threads read and prepare images."""
        return self.workers or max(2, min(8, os.cpu_count() or 1))
