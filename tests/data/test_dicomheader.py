from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from softcam.data.dicom import read_dicom, read_dicom_header
from softcam.data.dicomheader import DicomHeader
from softcam.errors import InputError
from tests.data import dicoms

OBLIQUE = [0.8, 0.6, 0.0, -0.36, 0.48, 0.8]
PLACE: dict[str, Any] = {
    "ImagePositionPatient": [-12.5, 30.0, 7.25],
    "ImageOrientationPatient": OBLIQUE,
    "PixelSpacing": [0.5, 0.25],
    "FrameOfReferenceUID": "1.2.9",
}


def _header(frames: int = 1, frame: int | None = None, **elements: Any) -> DicomHeader:
    shape = (frames, 6, 5) if frames > 1 else (6, 5)
    made = dicoms.dataset(np.zeros(shape, np.uint8), frames=frames, **elements)
    return read_dicom_header(dicoms.save(made), frame=frame)


def _group(keyword: str, **elements: Any) -> Dataset:
    outer, inner = Dataset(), Dataset()
    for name, value in elements.items():
        setattr(inner, name, value)
    setattr(outer, keyword, Sequence([inner]))
    return outer


def test_a_slice_has_a_plane_with_its_spacing_and_frame_of_reference() -> None:
    plane = _header(**PLACE).patient_plane()
    assert plane.position == (-12.5, 30.0, 7.25)
    assert (plane.row, plane.column) == (tuple(OBLIQUE[:3]), tuple(OBLIQUE[3:]))
    assert (plane.spacing, plane.frame_of_reference) == ((0.5, 0.25), "1.2.9")
    np.testing.assert_allclose(plane.to_patient([0.5, 0.5]), plane.position)
    # Four columns on and two rows down: spacing is between rows first.
    by_hand = np.array(PLACE["ImagePositionPatient"])
    by_hand = by_hand + 4 * 0.25 * np.array(OBLIQUE[:3]) + 2 * 0.5 * np.array(OBLIQUE[3:])
    np.testing.assert_allclose(plane.to_patient([4.5, 2.5]), by_hand)


def test_pixels_carry_plane_and_aspect() -> None:
    made = dicoms.dataset(np.zeros((6, 5), np.uint8), **PLACE)
    image = read_dicom(made)
    assert image.pixels.plane == image.header.plane is not None
    assert image.pixels.pixel_aspect == image.header.pixel_aspect_ratio == 2.0


@pytest.mark.parametrize(
    "kind",
    [
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.XRayAngiographicImageStorage,
        uid.EnhancedXAImageStorage,
    ],
)
def test_a_projection_has_no_plane_whatever_its_header_says(kind: str) -> None:
    header = _header(**PLACE, SOPClassUID=kind, Modality="DX")
    assert header.plane is None
    with pytest.raises(InputError, match=r"DX no plane .*PixelSpacing is no distance"):
        header.patient_plane()


def test_tomosynthesis_slices_are_no_projections() -> None:
    assert _header(**PLACE, SOPClassUID=uid.BreastTomosynthesisImageStorage).plane is not None


def test_the_spacing_at_the_detector_makes_no_plane() -> None:
    place = {name: value for name, value in PLACE.items() if name != "PixelSpacing"}
    header = _header(**place, ImagerPixelSpacing=[0.2, 0.2])
    assert (header.pixel_spacing, header.spacing_source) == ((0.2, 0.2), "ImagerPixelSpacing")
    with pytest.raises(InputError, match="ImagerPixelSpacing is no distance in the patient"):
        header.patient_plane()


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_half_a_place_is_none(missing: str) -> None:
    assert _header(**{k: v for k, v in PLACE.items() if k != missing}).plane is None


def test_directions_that_span_no_plane_are_none() -> None:
    assert _header(**PLACE | {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}).plane is None


def test_one_position_does_not_place_all_frames_of_a_stack() -> None:
    assert _header(frames=3, frame=2, **PLACE).plane is None


def test_every_slice_of_a_tilted_gantry_has_its_own_place() -> None:
    """Enhanced CT: the slices lean, and each moves along the table and not along its normal."""
    tilt = np.deg2rad(20)
    axes = [1, 0, 0, 0, float(np.cos(tilt)), float(-np.sin(tilt))]
    shared = _group("PixelMeasuresSequence", PixelSpacing=[0.9, 0.8])
    shared.update(_group("PlaneOrientationSequence", ImageOrientationPatient=axes))
    places = [[-200.0, -180.0, 5.0 * i] for i in range(3)]
    frames = [_group("PlanePositionSequence", ImagePositionPatient=place) for place in places]
    elements = {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
    }
    for i, place in enumerate(places):
        plane = _header(frames=3, frame=i + 1, **elements).patient_plane()
        expected = np.array(place) + 10 * 0.8 * np.array(axes[:3]) + 7 * 0.9 * np.array(axes[3:])
        np.testing.assert_allclose(plane.to_patient([10.5, 7.5]), expected, atol=1e-9)
        here = plane.to_pixels(places[0])[1]
        np.testing.assert_allclose(here, -5.0 * i * np.cos(tilt), atol=1e-9)


@pytest.mark.parametrize("ratio", [[1, 65535], [0, 1], [30000, 1]])
def test_an_aspect_that_no_pixel_has_is_not_believed(ratio: list[int]) -> None:
    assert _header(PixelAspectRatio=ratio).pixel_aspect_ratio == 1.0
