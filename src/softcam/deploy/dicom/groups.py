"""Measurement groups of the report: one for each class, each segment and each region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from softcam.deploy.dicom import codes
from softcam.deploy.dicom.findings import ClassFinding, one_polygon
from softcam.deploy.dicom.source import Source
from softcam.deploy.dicom.uids import Uids
from softcam.explanation.outline import Polygon
from softcam.explanation.regions import Region

Group = sr.MeasurementsAndQualitativeEvaluations | sr.PlanarROIMeasurementsAndQualitativeEvaluations

MOST_CORNERS = 5000
"""Corners of an outline. An element holds 65,534 bytes, and a corner in space takes 12."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that shows the evidence of classes.

    Attributes:
        dataset: The object.
        frames: The class's name to the frame that shows it, counted from 1; None where the object
            has one frame.
    """

    dataset: Dataset
    frames: Mapping[str, int | None]

    def shows(self, class_: str) -> sr.ImageContentItem:
        """Refer to the frame that explains the answer about a class."""
        return sr.ImageContentItem(
            name=codes.VISUAL_EXPLANATION,
            referenced_sop_class_uid=self.dataset.SOPClassUID,
            referenced_sop_instance_uid=self.dataset.SOPInstanceUID,
            referenced_frame_numbers=self.frames[class_],
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )


def class_group(
    source: Source,
    finding: ClassFinding,
    uids: Uids,
    algorithm: sr.AlgorithmIdentification,
    pictures: tuple[Picture, ...],
) -> sr.MeasurementsAndQualitativeEvaluations:
    """Give what the model answered about a class (TID 1501).

    Args:
        source: The image.
        finding: The answer.
        uids: Where new identifiers come from.
        algorithm: Which model it was.
        pictures: Images that show the evidence.
    """
    header = source.header
    numbers = [
        _number(codes.PROBABILITY, finding.probability, codes.NUMBER_UNIT),
        _number(codes.LOGIT, finding.logit, codes.LOGIT_UNIT),
        _number(codes.REGION_THRESHOLD, finding.region_threshold, codes.LOGIT_UNIT),
    ]
    if finding.call_threshold is not None:
        numbers.append(_number(codes.CALL_THRESHOLD, finding.call_threshold, codes.NUMBER_UNIT))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(uids, f"answer about {finding.name}"),
        finding_type=codes.answer_code(finding.name),
        algorithm_id=algorithm,
        measurements=numbers,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.CALLED, codes.YES if finding.called else codes.NO)
        ],
        source_images=[
            sr.SourceImageForMeasurementGroup(
                header.sop_class_uid, header.sop_instance_uid, source.frames
            )
        ],
    )
    for picture in pictures:
        if finding.name in picture.frames:
            group[0].ContentSequence.append(picture.shows(finding.name))
    return group


def segment_group(
    source: Source, finding: ClassFinding, uids: Uids, segmentation: Dataset, number: int
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Give all regions of a class as the segment that holds them (TID 1410).

    Args:
        source: The image.
        finding: The class with its regions.
        uids: Where new identifiers come from; the segment has the same for its tracking.
        segmentation: The object that holds the segment.
        number: The segment, and its frame.
    """
    header = source.header
    part = sum(region.contribution for region in finding.regions)
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(uids, f"evidence for {finding.name}"),
        referenced_segment=sr.ReferencedSegmentationFrame(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            number,
            number,
            sr.SourceImageForSegmentation(
                header.sop_class_uid, header.sop_instance_uid, source.frames
            ),
        ),
        finding_type=codes.region_code(finding.name),
        measurements=[_number(codes.REGION_PART, part, codes.LOGIT_UNIT)],
    )
    for item in group[0].ContentSequence:
        if item.ValueType == "IMAGE":
            # Frame and segment may not both be named (PS3.3 table 10-3); one implies the other.
            item.ReferencedSOPSequence[0].pop("ReferencedSegmentNumber", None)
    return group


def region_group(
    source: Source, finding: ClassFinding, number: int, uids: Uids
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Give one region with its outline (TID 1410).

    The outline is in millimetres of the patient where the image has a plane there, else in pixels
    of the image, edges at integers.

    Args:
        source: The image.
        finding: The class with its regions.
        number: Which region, counted from 1.
        uids: Where new identifiers come from.
    """
    region = finding.regions[number - 1]
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(uids, f"evidence for {finding.name}, region {number}"),
        referenced_region=_outline(source, region),
        finding_type=codes.region_code(finding.name),
        measurements=[
            _number(codes.REGION_PART, region.contribution, codes.LOGIT_UNIT),
            _number(codes.CLASS_ACTIVATION, region.peak, codes.LOGIT_UNIT, codes.MAXIMUM),
            _number(codes.REGION_CELLS, region.cells, codes.NUMBER_UNIT),
        ],
    )


def _outline(source: Source, region: Region) -> sr.ImageRegion | sr.ImageRegion3D:
    corners = one_polygon(region.outline)
    if len(corners) > MOST_CORNERS and region.box is not None:
        corners = one_polygon([_corners(region.box)])
    if source.plane is not None:
        return sr.ImageRegion3D(
            sr.GraphicTypeValues3D.POLYGON,
            source.plane.to_patient(corners),
            source.plane.frame_of_reference,
        )
    header = source.header
    return sr.ImageRegion(
        sr.GraphicTypeValues.POLYLINE,
        np.ascontiguousarray(corners),
        sr.SourceImageForRegion(header.sop_class_uid, header.sop_instance_uid, source.frames),
    )


def _corners(box: tuple[float, float, float, float]) -> Polygon:
    x, y, width, height = box
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def _tracked(uids: Uids, what: str) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uids(what), what)


def _number(name: Code, value: float, unit: Code, derivation: Code | None = None) -> sr.Measurement:
    # Decimal strings hold 16 characters; more digits than these mean nothing in float32.
    rounded = float(f"{value:.7g}") if math.isfinite(value) else 0.0
    return sr.Measurement(name=name, value=rounded, unit=unit, derivation=derivation)
