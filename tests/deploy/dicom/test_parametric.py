from __future__ import annotations

import highdicom as hd
import numpy as np
import pydicom
import pytest

from softcam.data.dicom import read_dicom_header
from softcam.data.geometry import Geometry
from softcam.data.plane import PlaneGeometry
from softcam.data.steps import Flip, Resize
from softcam.deploy.dicom.parametric import cell_plane, make_parametric_map
from softcam.deploy.dicom.source import open_source
from softcam.deploy.dicom.uids import Uids
from tests.deploy.dicom import sources
from tests.deploy.dicom.placing import pixels_of_cells


@pytest.fixture
def written(model, tmp_path):
    def make(path, explanation) -> pydicom.Dataset:
        made = make_parametric_map(explanation, open_source(path), model, Uids())
        made.save_as(tmp_path / "pm.dcm")
        return pydicom.dcmread(tmp_path / "pm.dcm")

    return make


def _matrix(position, orientation, spacing) -> np.ndarray:
    """PS3.3 equation C.7.6.2.1-1: from (column index, row index, 0, 1) to millimetres."""
    matrix = np.zeros((4, 4))
    for k in range(3):
        matrix[k, 0] = float(orientation[k]) * float(spacing[1])
        matrix[k, 1] = float(orientation[k + 3]) * float(spacing[0])
        matrix[k, 3] = float(position[k])
    matrix[3, 3] = 1
    return matrix


def _matrix_of(read: pydicom.Dataset, frame: int = 0) -> np.ndarray:
    shared = read.SharedFunctionalGroupsSequence[0]
    place = read.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
    return _matrix(
        place.ImagePositionPatient,
        shared.PlaneOrientationSequence[0].ImageOrientationPatient,
        shared.PixelMeasuresSequence[0].PixelSpacing,
    )


PLACES = {
    "slice": ((-31.5, 12.25, 804.0), sources.OBLIQUE, (1.4, 0.7)),
    "tomography": ((-3.0, 0.5, 1.5), (1, 0, 0, 0, 0, -1), (0.004, 0.011)),  # its third frame
}


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("name", list(PLACES))
def test_a_cell_read_back_lies_in_the_patient_where_its_pixels_do(name, resize, written, scattered):
    path, explanation = scattered(name, resize=resize)
    read = written(path, explanation)
    header = read_dicom_header(path)
    assert read.FrameOfReferenceUID == header.plane.frame_of_reference
    source = _matrix(*PLACES[name])
    rows, columns = pixels_of_cells(
        header.size, (72, 96), (9, 12), resize, header.pixel_aspect_ratio
    )
    for frame in range(2):
        matrix = _matrix_of(read, frame)
        for i in range(9):
            for j in range(12):
                place = (matrix @ [j, i, 0, 1])[:3]
                expected = (source @ [columns[j] - 0.5, rows[i] - 0.5, 0, 1])[:3]
                cell = np.linalg.norm(matrix[:3, 0]), np.linalg.norm(matrix[:3, 1])
                assert np.linalg.norm(place - expected) < 0.1 * min(cell)


def test_a_mirrored_input_turns_the_rows_of_the_map():
    plane = PlaneGeometry((10.0, 20.0, 30.0), (1, 0, 0), (0, 1, 0), (2.0, 0.5), "1.2.3")
    geometry = Geometry.of((40, 60), Resize(20, 30), Flip(horizontal=True))
    cells = cell_plane(geometry, (4, 6), plane)
    assert cells.row == (-1.0, 0.0, 0.0)
    assert cells.column == (0.0, 1.0, 0.0)
    assert cells.spacing == pytest.approx((20.0, 5.0))
    # The first cell shows pixels 50 to 60 of the file's rows 0 to 10: their middle.
    np.testing.assert_allclose(cells.position, (10 + 54.5 * 0.5, 20 + 4.5 * 2.0, 30.0))


@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_the_mean_of_a_frame_is_the_logit_of_its_class(name, written, explained):
    path, explanation = explained(name)
    read = written(path, explanation)
    values = read.pixel_array
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, explanation.evidence)
    np.testing.assert_allclose(values.mean(axis=(1, 2)), explanation.logits, atol=1e-6)


def test_values_are_logit_units_as_they_are(written, explained):
    path, explanation = explained("slice")
    read = written(path, explanation)
    for k, (class_, short) in enumerate((("healthy", "healthy"), ("Ödem", "Ödem"))):
        item = read.PerFrameFunctionalGroupsSequence[k].RealWorldValueMappingSequence[0]
        assert item.LUTLabel == short
        assert item.LUTExplanation == f"Evidence in logit units, its mean the logit: {class_}"
        assert (item.RealWorldValueSlope, item.RealWorldValueIntercept) == (1.0, 0.0)
        assert item.DoubleFloatRealWorldValueFirstValueMapped == explanation.evidence[k].min()
        assert item.DoubleFloatRealWorldValueLastValueMapped == explanation.evidence[k].max()
        unit = item.MeasurementUnitsCodeSequence[0]
        assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("{logit}", "UCUM")
        quantity = item.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
        assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("130402", "DCM")
    groups = read.PerFrameFunctionalGroupsSequence
    indices = [list(group.FrameContentSequence[0].DimensionIndexValues) for group in groups]
    assert indices == [[1, 1], [2, 1]]
    assert read.DimensionIndexSequence[0].DimensionIndexPointer == 0x00409210  # LUT Label


def test_an_image_without_a_place_has_file_pixels_for_millimetres(written, explained):
    read = written(*explained("fundus"))
    assert read.FrameOfReferenceUID not in (None, "", sources.fundus().SOPInstanceUID)
    # Pixels are 3 high and 4 wide, 40 of each: 64 px of input show 40 x 40 pixels padded.
    rows, columns = pixels_of_cells((40, 40), (64, 64), (8, 8), "pad", 0.75)
    matrix = _matrix_of(read)
    for i, j in ((0, 0), (3, 5), (7, 7)):
        np.testing.assert_allclose(
            (matrix @ [j, i, 0, 1])[:3], (columns[j], 0.75 * rows[i], 0.0), atol=1e-6
        )
    assert read.ContentDescription.endswith("coordinates are file pixels")
    assert "this frame of reference is made up" in read.ImageComments


def test_highdicom_reads_it_back(written, explained, tmp_path):
    path, explanation = explained("tomography")
    written(path, explanation)
    read = hd.imread(tmp_path / "pm.dcm")
    assert read.pixel_array.shape == (2, 8, 8)  # highdicom decodes single frames of whole numbers
    found = read.get_frame(2, apply_real_world_transform=True)
    np.testing.assert_allclose(found, explanation.evidence[1], rtol=1e-7)
    reference = read.PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[0]
    source = reference.SourceImageSequence[0]
    assert source.ReferencedSOPClassUID == sources.tomography().SOPClassUID
    assert source.ReferencedFrameNumber == 3


def test_a_slice_without_a_uid_for_its_frame_of_reference_keeps_its_coordinates(
    written, explained, tmp_path
):
    path, explanation = explained("slice")
    source = pydicom.dcmread(path)
    del source.FrameOfReferenceUID
    source.save_as(path)
    matrix = _matrix_of(written(path, explanation))
    rows, columns = pixels_of_cells(sources.SIZE, (64, 64), (8, 8), "pad", 2.0)
    expected = _matrix(*PLACES["slice"]) @ [columns[3] - 0.5, rows[5] - 0.5, 0, 1]
    np.testing.assert_allclose(matrix @ [3, 5, 0, 1], expected, atol=0.5)
