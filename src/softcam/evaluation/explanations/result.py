"""What an explanation benchmark found: plain values, ready to be written and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.measures import MEASURES, Measure
from softcam.evaluation.explanations.shortcut import Shortcut

Floats = npt.NDArray[np.float64]
MapKind = Literal["own", "contrast", "-"]


@dataclass(frozen=True, order=True)
class Method:
    """One kind of map: which model is explained, how, and for what score.

    Attributes:
        subject: The model, such as "SoftCAM" or "Black-box twin".
        name: The attribution's key, such as "grad-cam".
        label: What tables call the attribution, such as "Grad-CAM".
        map: The class's own score, its contrast to the others, or "-" for maps that know none.
    """

    subject: str
    name: str
    label: str
    map: MapKind

    @property
    def short(self) -> str:
        """The method without its model."""
        return self.label if self.map == "-" else f"{self.label}, {self.map}"

    def __str__(self) -> str:
        return f"{self.subject}: {self.short}"


@dataclass(frozen=True)
class Case:
    """One image and the class that its map is asked for.

    Attributes:
        image: The image's name in the table.
        patient: Whom it shows.
        class_name: The class that is explained.
        present: Whether the image is of that class.
        annotated: Whether a lesion of that class is marked in it.
    """

    image: str
    patient: str
    class_name: str
    present: bool
    annotated: bool


@dataclass(frozen=True)
class MethodRow:
    """All measures of one method.

    Attributes:
        method: The method.
        means: Measure key to mean over cases, with its 95 % interval over patients.
        ranks: Measure key to rank among all methods, 1 the best, with its interval; unranked
            measures are missing.
        differences: Measure key to the reference's mean minus this method's, paired by case.
        undefined: Measure key to the number of cases without a value.
        seconds: Seconds per map, the median over batches that were computed; NaN if all came
            from the cache.
        peak_mib: Largest growth of memory while its maps were computed, in MiB; NaN if unknown.
        flags: Sentences on what is wrong with it, such as surviving random weights.
        floor: Whether its maps know nothing of the model, such as a uniform map or the image's
            edges, so that the others must beat it; figures draw it in grey.
    """

    method: Method
    means: Mapping[str, Interval]
    ranks: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    undefined: Mapping[str, int]
    seconds: float = float("nan")
    peak_mib: float = float("nan")
    flags: tuple[str, ...] = ()
    floor: bool = False


@dataclass(frozen=True)
class Curve:
    """One measure along an axis, for one method, with a 95 % band over patients.

    Attributes:
        method: The method.
        mean: Shape (points,), NaN where undefined.
        low: Lower end of the band, shape (points,).
        high: Upper end of the band, shape (points,).
    """

    method: Method
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class CurveSet:
    """The same curve of every method, which one figure shows.

    Attributes:
        key: File name without suffix, such as "deletion_confidence".
        title: Heading.
        x_label: What the axis is, with its unit.
        y_label: What is drawn, with its unit.
        x: Shape (points,).
        curves: One per method.
        higher_is_better: Which way is good; None for neither.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    x: Floats
    curves: tuple[Curve, ...]
    higher_is_better: bool | None = None


@dataclass(frozen=True)
class SizeRecall:
    """How many lesions of one finding and size one method's maps find.

    Attributes:
        method: The method.
        finding: The finding, such as "hemorrhage".
        low: Smallest size, as a share of the image's area, included.
        high: Largest size, not included (but 1 is).
        lesions: Number of lesions in all images: connected parts of the finding's mask.
        found: How many of them the map touches where it is cut at half its maximum.
        recall: Share of the lesions that are found, with its interval over patients; NaN without
            lesions.
    """

    method: Method
    finding: str
    low: float
    high: float
    lesions: int
    found: int
    recall: Interval


@dataclass(frozen=True)
class Answer:
    """How well a subject classifies, because a map of a worse model is worth less.

    Attributes:
        subject: The model.
        auc: Area under the ROC curve (macro average for several classes), with its interval.
        accuracy: Accuracy, with its interval.
    """

    subject: str
    auc: Interval
    accuracy: Interval


@dataclass(frozen=True)
class GalleryMap:
    """One method's map of a gallery image.

    Attributes:
        method: The method.
        values: Signed values on the input grid, shape (H, W), in the method's own unit.
        unit: "logit" for native evidence, else "relative".
    """

    method: Method
    values: npt.NDArray[np.float32]
    unit: str


@dataclass(frozen=True)
class GalleryCase:
    """One image with every method's map.

    Attributes:
        case: Image and class.
        pixels: The image as the models see it, (H, W, 3) uint8.
        mask: The lesions on the same grid, boolean (H, W); None where nothing is marked.
        probabilities: Subject to its probability of the class.
        maps: One per method.
    """

    case: Case
    pixels: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_] | None
    probabilities: Mapping[str, float]
    maps: tuple[GalleryMap, ...]


@dataclass(frozen=True)
class Skipped:
    """A method that could not explain a subject.

    Attributes:
        subject: The model.
        label: The method.
        why: The reason, a sentence without its full stop.
    """

    subject: str
    label: str
    why: str


@dataclass(frozen=True)
class ExplanationBenchmark:
    """All that a benchmark of explanations found.

    Attributes:
        rows: One per method, the reference first.
        reference: The method that the others are compared with.
        cases: The images and classes that were explained.
        values: Measure key to values of shape (cases, rows), NaN where undefined.
        curves: The curves, in the order shown.
        recalls: Lesions found, by method, finding and size; empty without marked lesions.
        answers: Classification of every subject.
        skipped: Methods that could not be used, and why.
        conclusions: What may be concluded, in sentences.
        shortcuts: What each distractor does to the answers of each model; empty where none is
            marked or the task is not binary.
        gallery: Images with every method's map.
        counts: What was counted: images, patients, annotated, left out.
        settings: How it was measured.
    """

    rows: tuple[MethodRow, ...]
    reference: Method
    cases: tuple[Case, ...]
    values: Mapping[str, Floats]
    curves: tuple[CurveSet, ...] = ()
    recalls: tuple[SizeRecall, ...] = ()
    answers: tuple[Answer, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    conclusions: tuple[str, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    gallery: Sequence[GalleryCase] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def measures(self) -> list[Measure]:
        """The measures that at least one method has a value of, in the order shown."""
        return [
            measure
            for measure in MEASURES
            if any(
                measure.key in row.means and not np.isnan(row.means[measure.key].value)
                for row in self.rows
            )
        ]

    def mean_rank(self, row: MethodRow, group: str | None = None) -> float:
        """Average a method's ranks.

        Args:
            row: The method's row.
            group: Only the measures of this group; None for all that are ranked.

        Returns:
            Mean rank; NaN where no measure ranks it.
        """
        ranks = [
            row.ranks[measure.key].value
            for measure in self.measures()
            if measure.key in row.ranks and group in (None, measure.group)
        ]
        known = [rank for rank in ranks if not np.isnan(rank)]
        return sum(known) / len(known) if known else float("nan")
