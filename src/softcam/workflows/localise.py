"""Do the maps lie on the lesions: evidence and Grad-CAM against a table's annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from softcam.conversion.black_box import BlackBox
from softcam.data.geometry import Geometry
from softcam.data.records import Record, Table
from softcam.data.spec import DISTRACTOR, ORGAN, OWN_CLASS
from softcam.evaluation.result import LocalisationRow
from softcam.evaluation.scoring import measure, summarise, uniform_values
from softcam.evidence.decision import contrast
from softcam.evidence.info import ModelInfo, Task
from softcam.explanation.attributions.class_activation import GRAD_CAM as GRAD_CAM_MAPS
from softcam.explanation.attributions.subject import Subject, subject_of

MapKind = Literal["own", "contrast", "-"]

SOFTCAM, GRAD_CAM, UNIFORM = "SoftCAM", "Grad-CAM (twin)", "Uniform map"


@dataclass(frozen=True)
class Lesions:
    """What is marked in one image for one class.

    Attributes:
        class_index: The class that the findings speak for.
        mask: Boolean (H, W) on the grid of the model's input.
    """

    class_index: int
    mask: npt.NDArray[np.bool_]


def lesions_of(record: Record, table: Table, info: ModelInfo, geometry: Geometry) -> list[Lesions]:
    """Find the annotated lesions of an image, class by class.

    Args:
        record: The image.
        table: Its table, with the annotations and the meaning of the findings.
        info: The model's classes.
        geometry: How the image became the model's input.

    Returns:
        One entry for each class with an annotation that reaches the input; distractors and
        organs speak for no class.
    """
    annotations = table.annotations
    if annotations is None or not annotations.has(record.name):
        return []
    found = []
    for index, name in enumerate(info.classes):
        findings = findings_for(name, record, table)
        if not findings:
            continue
        mask = annotations.mask(record.name, findings, geometry)
        if mask.any():
            found.append(Lesions(index, mask))
    return found


def findings_for(class_name: str, record: Record, table: Table) -> list[str]:
    """List the findings that speak for a class in an image.

    Args:
        class_name: The class.
        record: The image; findings without a class of their own speak for its label.
        table: Its table.

    Returns:
        Names of findings.
    """
    # With several labels at once nobody knows which of them an unexplained finding speaks for.
    own = record.label == table.spec.classes.index(class_name)
    return [
        finding
        for finding, meaning in table.spec.findings.items()
        if meaning not in (DISTRACTOR, ORGAN)
        and (meaning == class_name or (meaning == OWN_CLASS and own))
    ]


def map_of_class(
    evidence: npt.NDArray[Any], class_index: int, task: Task, *, against: bool
) -> npt.NDArray[Any]:
    """Take one class's map out of an image's evidence.

    Args:
        evidence: Shape (K, h, w).
        class_index: The class; in a one-logit binary model the map speaks for class 1 and its
            negative for class 0.
        task: What the labels mean.
        against: The contrast with the other classes instead of the class's own map.

    Returns:
        Shape (h, w).
    """
    if evidence.shape[0] == 1:
        return np.asarray(evidence[0] if class_index == 1 else -evidence[0])
    return np.asarray((contrast(evidence, task) if against else evidence)[class_index])


def grad_cam_of(
    subject: Subject,
    pixels: npt.NDArray[np.float32],
    targets: npt.ArrayLike,
    *,
    contrast: bool = False,
) -> npt.NDArray[np.float32]:
    """Explain images by Grad-CAM, signed, each for one class.

    Args:
        subject: The classifier, from `subject_of`.
        pixels: Normalised input (B, C, H, W).
        targets: Class index of each image, shape (B,).
        contrast: Explain the contrast to the other classes.

    Returns:
        Maps of shape (B, h, w).

    Raises:
        InputError: If the model has no last feature map.
    """
    classes = torch.as_tensor(np.asarray(targets, dtype=np.int64))[:, None]
    maps = GRAD_CAM_MAPS(subject, torch.from_numpy(pixels), classes, contrast=contrast)
    return np.asarray(maps[:, 0].cpu().numpy())


@dataclass
class Localiser:
    """Scores maps as the images go by, so that memory does not grow with maps.

    Maps are brought to the model's input grid bicubically; negative values count as zero.

    Args:
        table: Annotations and the meaning of findings.
        info: The model's classes and task.
        twin: The black box whose Grad-CAM is measured beside, if there is one.
    """

    table: Table
    info: ModelInfo
    twin: BlackBox | None = None
    _values: dict[tuple[str, MapKind], list[dict[str, npt.NDArray[np.float64]]]] = field(
        default_factory=dict
    )
    _patients: list[str] = field(default_factory=list)

    @cached_property
    def _subject(self) -> Subject:
        """The twin as Grad-CAM takes it, converted once."""
        if self.twin is None:
            raise ValueError("There is no twin to explain.")
        return subject_of(self.twin)

    def add(
        self,
        records: Sequence[Record],
        geometries: Sequence[Geometry],
        pixels: npt.NDArray[np.float32],
        evidence: npt.NDArray[np.float32] | None,
    ) -> None:
        """Score the maps of one batch.

        Args:
            records: The images.
            geometries: Where their pixels went.
            pixels: Normalised input (B, C, H, W).
            evidence: Evidence (B, K, h, w), or None if the model has none.
        """
        marked = [
            (row, lesions)
            for row, (record, geometry) in enumerate(zip(records, geometries, strict=True))
            for lesions in lesions_of(record, self.table, self.info, geometry)
        ]
        if not marked:
            return
        task = self.info.task or Task.MULTICLASS
        masks = np.stack([lesions.mask for _, lesions in marked])
        rows = np.array([row for row, _ in marked])
        targets = np.array([lesions.class_index for _, lesions in marked])
        self._patients += [records[row].patient for row in rows]
        kinds: list[MapKind] = ["own"] if _one_map(evidence, task) else ["own", "contrast"]
        if evidence is not None:
            for kind in kinds:
                maps = [
                    map_of_class(evidence[row], target, task, against=kind == "contrast")
                    for row, target in zip(rows, targets, strict=True)
                ]
                self._score((SOFTCAM, kind), maps, rows, geometries, masks)
        if self.twin is not None:
            for kind in kinds:
                attributions = grad_cam_of(
                    self._subject, pixels[rows], targets, contrast=kind == "contrast"
                )
                self._score((GRAD_CAM, kind), list(attributions), rows, geometries, masks)
        self._values.setdefault((UNIFORM, "-"), []).append(uniform_values(masks))

    def _score(
        self,
        key: tuple[str, MapKind],
        maps: Sequence[npt.NDArray[Any]],
        rows: npt.NDArray[np.intp],
        geometries: Sequence[Geometry],
        masks: npt.NDArray[np.bool_],
    ) -> None:
        resized = np.stack(
            [
                geometries[row].map_to_input(values, interpolation="bicubic")
                for row, values in zip(rows, maps, strict=True)
            ]
        )
        self._values.setdefault(key, []).append(measure(resized, masks))

    def rows(self, *, resamples: int, seed: int) -> tuple[LocalisationRow, ...]:
        """Average the scores, with intervals from a bootstrap over patients.

        Args:
            resamples: Number of bootstrap resamples.
            seed: Seed of the bootstrap.

        Returns:
            One row per kind of map; none without annotations.
        """
        return tuple(
            LocalisationRow(
                method,
                kind,
                len(self._patients),
                summarise(
                    {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
                    self._patients,
                    resamples,
                    seed,
                ),
            )
            for (method, kind), parts in self._values.items()
        )


def _one_map(evidence: npt.NDArray[np.float32] | None, task: Task) -> bool:
    """Tell whether own map and contrast are the same."""
    return task is Task.MULTILABEL or (evidence is not None and evidence.shape[1] == 1)
