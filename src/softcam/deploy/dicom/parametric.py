"""The evidence itself as a Parametric Map: 32-bit floats in logit units at its own resolution."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from softcam.data.geometry import Geometry
from softcam.data.plane import PlaneGeometry
from softcam.deploy.dicom.codes import CLASS_ACTIVATION, LOGIT_UNIT
from softcam.deploy.dicom.identity import CREATOR, ModelIdentity, equipment
from softcam.deploy.dicom.source import Source, point_at
from softcam.deploy.dicom.text import NOT_A_DIAGNOSIS, shortened
from softcam.deploy.dicom.uids import Uids
from softcam.explanation.explanation import Explanation

_DECLARED = (
    "The source has no place in the patient: this frame of reference is made up, its coordinates "
    "are file pixels from the image's top left corner, a pixel being one unit wide."
)


def declared_plane(source: Source, uids: Uids) -> PlaneGeometry:
    """Give the plane that the map of an image lies in.

    A slice lies in its own frame of reference. Where a file has none, which is so for every
    projection and photograph, a new one is made up in which a file pixel is one unit wide, the
    corner of the image is the origin, x runs to its right and y down: its numbers are file pixels
    and no place in the patient, whatever viewers take them for.

    Args:
        source: The image.
        uids: Where new identifiers come from.
    """
    if source.plane is not None:
        return source.plane
    new = uids("frame of reference")
    plane = source.header.plane
    if plane is not None:  # a slice whose place is known, in a system of coordinates without a UID
        return PlaneGeometry(plane.position, plane.row, plane.column, plane.spacing, new)
    height = source.header.pixel_aspect_ratio
    return PlaneGeometry((0.5, 0.5 * height, 0.0), (1, 0, 0), (0, 1, 0), (height, 1.0), new)


def cell_plane(geometry: Geometry, size: tuple[int, int], plane: PlaneGeometry) -> PlaneGeometry:
    """Give the plane of an evidence map, whose pixels are the cells.

    Cells on padding count: they lie beyond the image, where the plane goes on.

    Args:
        geometry: From file pixels to the model's input.
        size: (h, w) of the map.
        plane: Where the file's pixels lie.
    """
    # Centres of the first cell, the one to its right and the one below.
    centres = geometry.cell_to_file([(0.5, 0.5), (0.5, 1.5), (1.5, 0.5)], size)
    first, right, down = plane.to_patient(centres)
    width, height = np.linalg.norm(right - first), np.linalg.norm(down - first)
    return PlaneGeometry(
        tuple(first.tolist()),
        tuple(((right - first) / width).tolist()),
        tuple(((down - first) / height).tolist()),
        (float(height), float(width)),
        plane.frame_of_reference,
    )


def make_parametric_map(
    explanation: Explanation, source: Source, model: ModelIdentity, uids: Uids
) -> hd.pm.ParametricMap:
    """Make a parametric map with a frame for each class that has a map of its own.

    The mean of a frame is the logit of its class.

    Args:
        explanation: What the model says about the image.
        source: The image.
        model: Which model it was.
        uids: Where new identifiers come from.
    """
    plane = declared_plane(source, uids)
    names = explanation.mapped_classes
    values = np.stack([explanation.class_evidence(name) for name in names], axis=-1)
    rows, columns = (int(n) for n in values.shape[:2])
    cells = cell_plane(explanation.geometry, (rows, columns), plane)
    limit = explanation.limit()
    declared = source.header.plane is None
    made = hd.pm.ParametricMap(
        source_images=[source.stand_in(plane)],
        pixel_array=values[None],
        sop_instance_uid=uids("parametric map"),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            [_mapping(name, values[..., k])] for k, name in enumerate(names)
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(0.0, 2 * limit)],
        pixel_measures=hd.PixelMeasuresSequence(cells.spacing, source.slice_thickness or 1.0),
        plane_orientation=hd.PlaneOrientationSequence(
            hd.CoordinateSystemNames.PATIENT, (*cells.row, *cells.column)
        ),
        plane_positions=[
            hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, cells.position)
        ],
        content_label="CLASS_EVIDENCE",
        content_description="Class evidence, not a diagnosis"
        + ("; coordinates are file pixels" if declared else ""),
        content_creator_name=CREATOR,
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        image_flavor=hd.pm.ImageFlavorValues.VOLUME,
        derived_pixel_contrast=hd.pm.DerivedPixelContrastValues.QUANTITY,
        **equipment(model, uids, "parametric map", 9904, "Class evidence"),
    )
    point_at(made, source)
    made.Laterality = source.laterality
    made.ImageComments = NOT_A_DIAGNOSIS + (f" {_DECLARED}" if declared else "")
    _index_classes(made)
    return made


def _index_classes(made: hd.pm.ParametricMap) -> None:
    """Name the class as the first dimension; frames of one place would else have one index."""
    index = Dataset()
    index.DimensionOrganizationUID = made.DimensionIndexSequence[0].DimensionOrganizationUID
    index.DimensionIndexPointer = tag_for_keyword("LUTLabel")
    index.FunctionalGroupPointer = tag_for_keyword("RealWorldValueMappingSequence")
    index.DimensionDescriptionLabel = "Class"
    made.DimensionIndexSequence.insert(0, index)
    for number, frame in enumerate(made.PerFrameFunctionalGroupsSequence, start=1):
        frame.FrameContentSequence[0].DimensionIndexValues = [number, 1]


def _mapping(name: str, values: npt.NDArray[np.float32]) -> hd.pm.RealWorldValueMapping:
    """Say that stored values are logit units as they are."""
    return hd.pm.RealWorldValueMapping(
        lut_label=shortened(name, 16),
        lut_explanation=shortened(f"Evidence in logit units, its mean the logit: {name}"),
        unit=LOGIT_UNIT,
        value_range=(float(values.min()), float(values.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=CLASS_ACTIVATION,
    )
