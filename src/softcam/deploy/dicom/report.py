"""The answer as a Structured Report: a measurement report after PS3.16 TID 1500."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from highdicom import sr
from pydicom.dataset import Dataset

from softcam.deploy.dicom import codes
from softcam.deploy.dicom.findings import ClassFinding
from softcam.deploy.dicom.groups import Group, Picture, class_group, region_group, segment_group
from softcam.deploy.dicom.identity import ModelIdentity, algorithm_items, equipment
from softcam.deploy.dicom.segmentation import segmented
from softcam.deploy.dicom.source import MANUFACTURER, Source, name_class
from softcam.deploy.dicom.text import NOT_A_DIAGNOSIS
from softcam.deploy.dicom.uids import Uids, device_uid


def make_report(
    source: Source,
    findings: Sequence[ClassFinding],
    model: ModelIdentity,
    uids: Uids,
    parameters: Mapping[str, str],
    *,
    segmentation: Dataset | None = None,
    pictures: tuple[Picture, ...] = (),
) -> sr.ComprehensiveSR | sr.Comprehensive3DSR:
    """Make a report.

    Each class has a group with its probability, its logit and whether it was called; each region
    one with its outline. It is a Comprehensive 3D SR where the image has a plane in the patient,
    else a Comprehensive SR, whose outlines are in pixels.

    Args:
        source: The image.
        findings: What was found for each class.
        model: Which model it was.
        uids: Where new identifiers come from.
        parameters: How the model was used, by name.
        segmentation: The segmentation made from the same findings, if there is one.
        pictures: Images that show the evidence.

    Returns:
        The report: complete, preliminary, and verified by nobody.
    """
    algorithm = algorithm_items(model, parameters)
    numbers = {finding.name: number for number, finding in enumerate(segmented(findings), start=1)}
    groups: list[Group] = []
    for finding in findings:
        groups.append(class_group(source, finding, uids, algorithm, pictures))
        if segmentation is not None and finding.name in numbers:
            number = numbers[finding.name]
            groups.append(segment_group(source, finding, uids, segmentation, number))
        for number in range(1, len(finding.regions) + 1):
            groups.append(region_group(source, finding, number, uids))
    content = sr.MeasurementReport(
        observation_context=_observer(model),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=groups,
    )
    content[0].ContentSequence.append(
        sr.TextContentItem(codes.COMMENT, NOT_A_DIAGNOSIS, sr.RelationshipTypeValues.CONTAINS)
    )
    kind = sr.ComprehensiveSR if source.plane is None else sr.Comprehensive3DSR
    made = kind(
        evidence=[
            source.stand_in(None),
            *([] if segmentation is None else [segmentation]),
            *(picture.dataset for picture in pictures),
        ],
        content=content,
        sop_instance_uid=uids("report"),
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **equipment(model, uids, "report", 9903, "Class evidence report"),
    )
    for study in made.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            name_class(series.ReferencedSOPSequence, source)
    return made


def _observer(model: ModelIdentity) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(model.sha256),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=model.name,
        serial_number=model.sha256,
    )
    context = sr.ObserverContext(sr.CodedConcept.from_code(codes.DEVICE), device)
    return sr.ObservationContext(observer_device_context=context)
