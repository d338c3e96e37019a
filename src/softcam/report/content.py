"""What a report is made of: plain values, gathered by whoever ran the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from softcam.evaluation.result import Metrics
from softcam.report.figures import Epochs

LIMITATIONS: tuple[str, ...] = (
    "Nothing here is a diagnosis. The model has not been cleared for clinical use.",
    "An evidence map shows what moved this model's answer. It does not show that the reason is "
    "a medical one, and tissue without evidence is not thereby healthy.",
    "The figures hold for images like those of this table. Another camera, scanner, clinic or "
    "population may give others.",
)
"""What every report says at its end unless the caller says otherwise."""


@dataclass(frozen=True)
class SplitCount:
    """What one split of the data holds.

    Attributes:
        split: Its name, for example "train".
        images: Number of images.
        patients: Number of patients.
        classes: Class name to number of images.
    """

    split: str
    images: int
    patients: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class FindingCount:
    """One annotated finding.

    Attributes:
        name: Its name, for example "hard_exudate".
        meaning: The class that it speaks for, or "distractor" or "organ".
        images: Number of images that it is annotated in.
    """

    name: str
    meaning: str
    images: int


@dataclass(frozen=True)
class DataDescription:
    """The data in words and counts.

    Attributes:
        sentences: What the data are and where they come from.
        splits: Counts by split and class.
        findings: Annotated findings; empty without annotations.
        notes: What was skipped or assumed when reading.
    """

    sentences: Sequence[str] = ()
    splits: Sequence[SplitCount] = ()
    findings: Sequence[FindingCount] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Predictions:
    """The probabilities behind the metrics, for the curves.

    Attributes:
        labels: Class indices of shape (N,), or 0, 1 and NaN of shape (N, C) for multi-label.
        probabilities: The model's, shape (N, C).
        twin_probabilities: Those of its black-box twin, shape (N, C), if there is one.
        patients: N patient names; every image its own patient if None.
    """

    labels: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]
    twin_probabilities: npt.NDArray[np.float64] | None = None
    patients: Sequence[str] | None = None


@dataclass(frozen=True)
class CaseFigure:
    """One drawn case.

    Attributes:
        title: Name of the image.
        true_label: The class that is true.
        predicted: The class that was called.
        probability: Probability of `probability_of`, between 0 and 1.
        png: The picture, as `softcam.report.gallery.draw_case` gives it.
        caption: What is to be said about it, such as the resolution of the evidence.
        probability_of: The class whose probability is given; the predicted one if empty.
    """

    title: str
    true_label: str
    predicted: str
    probability: float
    png: bytes
    caption: str = ""
    probability_of: str = ""


@dataclass(frozen=True)
class CaseSection:
    """The cases that one rule chose.

    Attributes:
        title: What they have in common, in a few words.
        rule: The rule that chose them, in a sentence.
        figures: The cases; an empty section says that no image fits.
    """

    title: str
    rule: str
    figures: Sequence[CaseFigure] = ()


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        title: Its heading.
        summary: What was done and found, a few sentences.
        data: The data.
        training: Name of a setting to its value, as the reader should see them.
        history: Epochs of the model: epoch, train_loss, val_loss, val_auc, lr.
        metrics: What the evaluation found.
        twin_history: Epochs of the black-box twin, the same.
        predictions: What the ROC and the reliability are drawn from; None leaves them out.
        cases: The gallery, in the order shown.
        provenance: Versions, seed, command and the like, name to value.
        limitations: What the reader must not conclude.
    """

    title: str
    summary: Sequence[str]
    data: DataDescription
    training: Mapping[str, str]
    history: Epochs
    metrics: Metrics
    twin_history: Epochs = ()
    predictions: Predictions | None = None
    cases: Sequence[CaseSection] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    limitations: Sequence[str] = LIMITATIONS

    @property
    def subject(self) -> str:
        """What the measured model is called."""
        return self.metrics.subject
