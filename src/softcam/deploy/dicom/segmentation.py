"""The evidence regions as a Segmentation object on the image's own pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor

from softcam.deploy.dicom.codes import SPATIAL, region_code
from softcam.deploy.dicom.findings import ClassFinding
from softcam.deploy.dicom.identity import CREATOR, ModelIdentity, algorithm_sequence, equipment
from softcam.deploy.dicom.source import Source, point_at
from softcam.deploy.dicom.text import shortened
from softcam.deploy.dicom.uids import Uids

_COLOURS = ((68.0, 45.0, 65.0), (55.0, 10.0, -60.0), (75.0, -55.0, 45.0), (60.0, 70.0, -40.0))
"""Recommended colours of the segments in turn, CIELab: orange, blue, green, purple."""


def segmented(findings: Sequence[ClassFinding]) -> list[ClassFinding]:
    """Give the classes that get a segment: those with a region that covers a pixel's centre."""
    return [finding for finding in findings if finding.mask.any()]


def make_segmentation(
    source: Source,
    findings: Sequence[ClassFinding],
    model: ModelIdentity,
    uids: Uids,
    parameters: Mapping[str, str],
) -> hd.seg.Segmentation | None:
    """Make a binary segmentation with a segment for each class that has regions.

    Args:
        source: The image.
        findings: What was found for each class.
        model: Which model it was.
        uids: Where new identifiers come from.
        parameters: How the model was used, by name.

    Returns:
        The object, its frames in the order of its segments; None where no class has a region.
    """
    shown = segmented(findings)
    if not shown:
        return None
    stand_in = source.stand_in(source.plane)
    made = hd.seg.Segmentation(
        source_images=[stand_in],
        pixel_array=np.stack([finding.mask for finding in shown], axis=-1)[None].astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, finding, model, uids, parameters)
            for number, finding in enumerate(shown, start=1)
        ],
        sop_instance_uid=uids("segmentation"),
        instance_number=1,
        pixel_measures=_measures(source),
        content_label="EVIDENCE_REGIONS",
        content_description="Regions of class evidence, not a diagnosis",
        content_creator_name=CREATOR,
        **equipment(model, uids, "segmentation", 9901, "Evidence regions"),
    )
    point_at(made, source)
    if source.plane is None:
        made.PatientOrientation = source.orientation
    return made


def _segment(
    number: int,
    finding: ClassFinding,
    model: ModelIdentity,
    uids: Uids,
    parameters: Mapping[str, str],
) -> hd.seg.SegmentDescription:
    limit = {"region_threshold_logit": f"{finding.region_threshold:.6g}"}
    described = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=shortened(finding.name),
        segmented_property_category=SPATIAL,
        segmented_property_type=region_code(finding.name),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm_sequence(model, {**parameters, **limit}),
        tracking_uid=uids(f"evidence for {finding.name}"),
        tracking_id=shortened(f"evidence for {finding.name}"),
        display_color=CIELabColor(*_COLOURS[(number - 1) % len(_COLOURS)]),
    )
    described.SegmentDescription = shortened(
        f"p {finding.probability:.3f}, {'called' if finding.called else 'not called'}"
    )
    return described


def _measures(source: Source) -> hd.PixelMeasuresSequence | None:
    """Give the spacing of slices; that of a projection holds at its detector only."""
    plane = source.plane
    if plane is None:
        return None
    return hd.PixelMeasuresSequence(plane.spacing, source.slice_thickness)
