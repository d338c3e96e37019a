"""The report's gallery: cases chosen by rule, with maps and true lesions in file pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.conversion.black_box import BlackBox
from softcam.data.readers import read_record
from softcam.data.records import Record, Table
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.subject import Subject, subject_of
from softcam.explanation.views import View
from softcam.report.cases import Case, choose_cases
from softcam.report.content import CaseFigure, CaseSection
from softcam.report.gallery import MapPanel, draw_case
from softcam.workflows.describe import names_of, probability_of_call
from softcam.workflows.evaluate import Assessment
from softcam.workflows.inference import run_batch, task_of, views_of
from softcam.workflows.localise import findings_for, grad_cam_of, map_of_class
from softcam.workflows.models import preprocessing_of


def draw_cases(
    model: SoftCAM | BlackBox,
    assessment: Assessment,
    *,
    twin: BlackBox | None = None,
    per_rule: int = 2,
    tta: str = "none",
) -> list[CaseSection]:
    """Choose cases by rule and draw them.

    Args:
        model: The model; a black box is drawn with Grad-CAM alone.
        assessment: Its answers.
        twin: The black-box twin, whose Grad-CAM is drawn beside.
        per_rule: Most images that a rule chooses.
        tta: Views of each image that the evidence is averaged over.

    Returns:
        One section per rule.
    """
    answers = assessment.predictions
    info = answers.info
    box = twin if twin is not None else model if isinstance(model, BlackBox) else None
    subject = None if box is None else subject_of(box)
    views = views_of(model, tta)
    groups = choose_cases(
        answers.probabilities,
        assessment.table.labels(),
        answers.calls,
        per_rule,
        task=task_of(info),
        classes=info.classes,
        positive=info.positive,
        thresholds=info.thresholds,
    )
    return [
        CaseSection(
            group.title,
            group.rule,
            [_draw(model, assessment, case, subject, views) for case in group.cases],
        )
        for group in groups
    ]


def _draw(
    model: SoftCAM | BlackBox,
    assessment: Assessment,
    case: Case,
    subject: Subject | None,
    views: Sequence[View],
) -> CaseFigure:
    table, answers = assessment.table, assessment.predictions
    record = table.records[case.index]
    info, task = answers.info, task_of(answers.info)
    name = info.classes[case.class_index]
    pixels = read_record(record)
    sample = preprocessing_of(model)(pixels)
    batch = sample.pixels[None]
    _, evidence = run_batch(model, batch, views)
    panels = []
    caption = ""
    if evidence is not None:
        kinds = [False] if evidence.shape[1] == 1 else [False, True]
        for against in kinds:
            values = map_of_class(evidence[0], case.class_index, task, against=against)
            title = f"{name} against the rest" if against else f"Evidence for {name}"
            panels.append(MapPanel(title, sample.geometry.map_to_file(values, outside=np.nan)))
        height, width = evidence.shape[2:]
        caption = f"Evidence of {height} × {width} cells, each drawn as it is."
    if subject is not None:
        attribution = grad_cam_of(subject, batch, [case.class_index])[0]
        panels.append(
            MapPanel(
                f"Grad-CAM for {name} (black box)",
                sample.geometry.map_to_file(attribution, outside=np.nan),
                unit="relative",
            )
        )
    return CaseFigure(
        title=record.name,
        true_label=names_of(record.label, info.classes, task),
        predicted=names_of(answers.calls[case.index], info.classes, task),
        probability=probability_of_call(assessment, case.index, case.class_index),
        probability_of=name,
        png=draw_case(pixels.array, panels, lesions=_lesions(record, table, name, sample.geometry)),
        caption=caption,
    )


def _lesions(
    record: Record, table: Table, class_name: str, geometry: Any
) -> npt.NDArray[np.bool_] | None:
    """Give the true lesions in file pixels; for a healthy class, those of any class."""
    annotations = table.annotations
    if annotations is None or not annotations.has(record.name):
        return None
    names = {
        finding for other in table.spec.classes for finding in findings_for(other, record, table)
    }
    wanted = set(findings_for(class_name, record, table)) or names
    return annotations.mask(record.name, wanted, geometry, grid="file")
