"""The answer for one image: probabilities, evidence maps on the image, evidence regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.plane import PlaneGeometry
from softcam.data.resample import Interpolation
from softcam.errors import InputError
from softcam.evidence.decision import contrast as contrast_of
from softcam.evidence.decision import decide, probabilities
from softcam.evidence.info import ModelInfo, Task
from softcam.explanation.regions import Region, cell_edges, find_regions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCOMPLETE = 1e-3
"""Completeness error, as a fraction of the largest logit or 1, from which maps explain nothing."""


def completeness_error(
    logits: npt.NDArray[np.floating[Any]], evidence: npt.NDArray[np.floating[Any]]
) -> float:
    """Give the largest difference between a logit and the mean of its map, in logit units.

    Args:
        logits: Shape (K,).
        evidence: Shape (K, h, w), in logit units.
    """
    means = evidence.mean(axis=(1, 2), dtype=np.float64)
    return float(np.abs(logits - means).max())


def evidence_problem(
    name: str, logits: npt.NDArray[np.floating[Any]], evidence: npt.NDArray[np.floating[Any]]
) -> str | None:
    """Say why a model's maps explain nothing; None if they do explain its logits.

    Args:
        name: What the image is called.
        logits: Shape (K,).
        evidence: Shape (K, h, w), in logit units.
    """
    if not (np.isfinite(evidence).all() and np.isfinite(logits).all()):
        return (
            f"The model's evidence for {name} is not finite; check its weights and that it runs "
            "in float32."
        )
    error = completeness_error(logits, evidence)
    if error > _INCOMPLETE * max(1.0, float(np.abs(logits).max())):
        return (
            f"The logits for {name} differ from the mean of their maps by {error:.2g}, so the "
            "maps do not explain them; use a SoftCAM model whose evidence head runs in float32."
        )
    return None


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a model says about one image, and the evidence that it says it from.

    The evidence is the decision: the mean of a class's map is its logit. Two maps are offered
    for every class. Its own evidence adds up to its logit; its contrast (own minus the other's,
    or minus the mean of the rest) is what decided under a softmax, where whatever is added to
    every class cancels. A binary model with one logit has one map: it speaks for the second
    class, and the first class's map, logit and regions are those with the sign turned.

    Attributes:
        name: What the image is called.
        image: The image as displayed, (H, W) grey or (H, W, 3) RGB, 8 or 16 bits.
        logits: Shape (K,), in float32.
        evidence: Shape (K, h, w), in float32 and logit units.
        geometry: From file pixels to the model's input and back.
        info: What the model file knows: task, classes, thresholds.
        threshold: Evidence in logit units from which a cell belongs to a region; None for half
            of the strongest cell of each map.
        plane: Where the image lies in the patient; None unless its file said so.

    Raises:
        InputError: If the parts do not fit, the model has other than 2-D maps or gives values
            that are not finite, or its logits are not the mean of its maps.
    """

    name: str
    image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    logits: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]
    geometry: Geometry
    info: ModelInfo
    threshold: float | None = None
    plane: PlaneGeometry | None = None

    def __post_init__(self) -> None:
        if self.evidence.ndim != 3 or self.logits.shape != self.evidence.shape[:1]:
            raise InputError(
                f"An explanation of {self.name} needs one logit and one 2-D map for each output, "
                f"got logits of shape {self.logits.shape} and evidence of shape "
                f"{self.evidence.shape}."
            )
        if self.image.shape[:2] != tuple(self.geometry.file_size):
            raise InputError(
                f"The image {self.name} is {self.image.shape[1]} × {self.image.shape[0]} pixels, "
                f"but its geometry was recorded for {self.geometry.file_size[1]} × "
                f"{self.geometry.file_size[0]}."
            )
        if self.info.classes and len(self.info.classes) != self.num_classes:
            raise InputError(
                f"The model names {len(self.info.classes)} classes "
                f"({', '.join(self.info.classes)}) but tells {self.num_classes} apart; set "
                "info.classes to as many names."
            )
        problem = evidence_problem(self.name, self.logits, self.evidence)
        if problem is not None:
            raise InputError(problem)

    @property
    def task(self) -> Task:
        """What the labels mean; a model that does not say is taken for a softmax over classes."""
        return self.info.task_of(len(self.logits))

    @property
    def num_classes(self) -> int:
        """C: the number of outputs, or 2 for a binary model with one."""
        one_logit = len(self.logits) == 1 and self.task is not Task.MULTILABEL
        return 2 if one_logit else len(self.logits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; "class 0" and so on for a model that has none."""
        return self.info.classes_of(len(self.logits))

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Class probabilities, shape (C,)."""
        return np.asarray(probabilities(self.logits[None], self.task)[0])

    @property
    def predicted(self) -> tuple[str, ...]:
        """Names of the called classes: one, or for a multi-label model any number."""
        called = decide(
            self.probabilities[None],
            self.task,
            self.classes,
            self.info.positive,
            self.info.thresholds,
        )[0]
        if self.task is Task.MULTILABEL:
            return tuple(name for name, yes in zip(self.classes, called, strict=True) if yes)
        return (self.classes[int(called)],)

    @property
    def main_class(self) -> str:
        """The class to show first: the called one, the likeliest if several or none are."""
        names = self.predicted or self.classes
        return max(names, key=lambda name: self.probabilities[self.classes.index(name)])

    @property
    def mapped_classes(self) -> tuple[str, ...]:
        """Classes with a map of their own: all, or the second of a model with one logit."""
        return self.classes[-1:] if len(self.logits) < self.num_classes else self.classes

    @property
    def completeness_error(self) -> float:
        """The largest difference between a logit and the mean of its map, in logit units.

        Rounding of float32 is all that it may hold.
        """
        return completeness_error(self.logits, self.evidence)

    def class_index(self, class_: str | int | None) -> int:
        """Give a class's position by name or position; None is `main_class`.

        Raises:
            InputError: For a class that the model does not have.
        """
        if class_ is None:
            return self.classes.index(self.main_class)
        if isinstance(class_, str):
            if class_ in self.classes:
                return self.classes.index(class_)
        elif 0 <= class_ < self.num_classes:
            return int(class_)
        raise InputError(
            f"The model has no class {class_!r}; its classes are {', '.join(self.classes)}."
        )

    def class_evidence(
        self, class_: str | int | None = None, *, contrast: bool = False
    ) -> npt.NDArray[np.float32]:
        """Give a class's map at the evidence's own resolution, shape (h, w), in logit units."""
        index = self.class_index(class_)
        if len(self.logits) < self.num_classes:
            sign = np.float32(1 if index == 1 else -1)
            return np.asarray(sign * self.evidence[0])
        maps = contrast_of(self.evidence, self.task) if contrast else self.evidence
        return np.asarray(maps[index], dtype=np.float32)

    def logit(self, class_: str | int | None = None, *, contrast: bool = False) -> float:
        """Give the mean of a class's map: its logit, or the difference that decided."""
        return float(self.class_evidence(class_, contrast=contrast).mean(dtype=np.float64))

    def map(
        self,
        class_: str | int | None = None,
        *,
        contrast: bool = False,
        interpolation: Interpolation = "nearest",
        outside: float = 0.0,
    ) -> npt.NDArray[np.float32]:
        """Lay a class's evidence on the image.

        Args:
            class_: Name or index; the called class if None.
            contrast: The class against the others instead of its own evidence.
            interpolation: "nearest" shows the evidence's true resolution.
            outside: Value where the image was cut off before the model.

        Returns:
            Evidence at every file pixel, shape (H, W), in logit units.
        """
        values = self.class_evidence(class_, contrast=contrast)
        return self.geometry.map_to_file(values, interpolation=interpolation, outside=outside)

    def regions(
        self,
        class_: str | int | None = None,
        *,
        contrast: bool = False,
        threshold: float | None = None,
        sign: Literal[1, -1] = 1,
    ) -> list[Region]:
        """Find the connected parts of a class's evidence, with their exact part of its logit.

        Args:
            class_: Name or index; the called class if None.
            contrast: The class against the others instead of its own evidence.
            threshold: Evidence that a cell must reach, in logit units; by default the
                explanation's own, and without one half of the map's strongest cell.
            sign: 1 for evidence for the class, -1 for evidence against it.

        Returns:
            Regions by falling absolute contribution.
        """
        return find_regions(
            self.class_evidence(class_, contrast=contrast),
            self.geometry,
            threshold=self.threshold if threshold is None else threshold,
            sign=sign,
        )

    def to_patient(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Take points from file pixels to the patient; see `PlaneGeometry.to_patient`.

        Args:
            points: (..., 2) array of x, y in file pixels, such as a region's `peak_xy`.

        Returns:
            (..., 3) float64 array of x, y, z in millimetres of the DICOM patient system.

        Raises:
            InputError: The file does not say where the image lies in the patient, as no
                photograph and no projection does.
        """
        if self.plane is None:
            raise InputError(
                f"The file of {self.name} does not say where in the patient its pixels lie (no "
                "photograph or projection can); use file pixels."
            )
        return self.plane.to_patient(points)

    def padding_evidence(self, class_: str | int | None = None, *, contrast: bool = False) -> float:
        """Give the part of a class's logit that comes from padding around the image.

        A cell that the image fills in part counts in part.
        """
        values = self.class_evidence(class_, contrast=contrast).astype(np.float64)
        visible = cell_edges(self.geometry, (values.shape[0], values.shape[1])).visible
        return float((values * (1.0 - visible)).mean())

    def limit(self, *, contrast: bool = False) -> float:
        """Give the end of the colour scale that all classes share, in logit units.

        It is the largest absolute evidence of any class in a cell that shows the image.
        """
        height, width = self.evidence.shape[1:]
        shown = cell_edges(self.geometry, (height, width)).visible > 0
        largest = max(
            float(np.abs(self.class_evidence(name, contrast=contrast)[shown]).max())
            for name in self.mapped_classes
        )
        return largest or 1.0

    def plot(
        self,
        classes: Sequence[str | int] | str | int | None = None,
        *,
        contrast: bool = False,
        interpolation: Interpolation = "nearest",
    ) -> Figure:
        """Draw the image and a signed overlay for each class, on one colour scale.

        Args:
            classes: Names or indices; every class that has a map of its own if None. A single
                class is drawn large, with its regions.
            contrast: Each class against the others instead of its own evidence.
            interpolation: "nearest" shows the evidence's true resolution; others say so.

        Returns:
            A figure of its own, not known to pyplot.
        """
        from softcam.explanation.page import draw_page

        if classes is None:
            chosen = [self.classes.index(name) for name in self.mapped_classes]
        elif isinstance(classes, str | int):
            chosen = [self.class_index(classes)]
        else:
            chosen = [self.class_index(item) for item in classes]
        return draw_page(self, chosen, contrast=contrast, interpolation=interpolation)

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the maps as JSON values, without NaN; see `document.to_dict`."""
        from softcam.explanation.document import to_dict

        return to_dict(self)

    def save(
        self, folder: Path | str, *, stem: str | None = None, contrast: bool = False
    ) -> list[Path]:
        """Write the JSON, the maps and the overlays; see `saving.save`."""
        from softcam.explanation.saving import save

        return save(self, folder, stem=stem, contrast=contrast)

    def _repr_html_(self) -> str:
        from softcam.explanation.document import to_html

        return to_html(self)
