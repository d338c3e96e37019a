"""The classes of a model and the outputs that speak for them; as in an `Explanation`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.evidence.decision import contrast as contrast_of
from softcam.evidence.info import ModelInfo, Task


@dataclass(frozen=True)
class Names:
    """The classes of a model and the outputs that speak for them.

    Attributes:
        info: What the model file knows.
        outputs: K, the number of logits and maps.
    """

    info: ModelInfo
    outputs: int

    @property
    def task(self) -> Task:
        """What the labels mean."""
        return self.info.task_of(self.outputs)

    @property
    def classes(self) -> tuple[str, ...]:
        """C class names; "class 0" and so on for a model that has none."""
        return self.info.classes_of(self.outputs)

    @property
    def mapped(self) -> tuple[str, ...]:
        """Classes with a logit and a map of their own: all, or the second of a one-logit model."""
        return self.classes[-1:] if self.outputs < len(self.classes) else self.classes

    def maps(
        self, evidence: npt.NDArray[np.float32], *, contrast: bool
    ) -> list[npt.NDArray[np.float32]]:
        """Give the map of every class, as `Explanation.class_evidence`.

        Args:
            evidence: Shape (K, h, w), in logit units.
            contrast: Each class against the others.

        Returns:
            C maps of shape (h, w).
        """
        if self.outputs < len(self.classes):
            return [-evidence[0], evidence[0]]
        return list(contrast_of(evidence, self.task) if contrast else evidence)
