from __future__ import annotations

import highdicom as hd
import numpy as np
import pydicom
import pytest

from softcam.data.dicom import read_dicom_header
from softcam.data.frames import split_frame
from softcam.deploy.dicom.findings import find
from softcam.deploy.dicom.segmentation import make_segmentation
from softcam.deploy.dicom.source import open_source
from softcam.deploy.dicom.uids import Uids
from tests.data.annotationsources.sets import annotations, file_mask
from tests.deploy.dicom import sources
from tests.deploy.dicom.placing import cells_of_pixels


@pytest.fixture
def written(model, tmp_path):
    """Make the segmentation of an explanation, write it and read it back by highdicom."""

    def make(path, explanation) -> hd.seg.Segmentation:
        source = open_source(path)
        made = make_segmentation(source, find(explanation), model, Uids(), {"views": "none"})
        made.save_as(tmp_path / "seg.dcm")
        return hd.seg.segread(tmp_path / "seg.dcm")

    return make


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_a_region_read_back_sits_on_the_pixels_that_its_cells_lie_on(
    name, resize, written, scattered
):
    path, explanation = scattered(name, resize=resize)
    read = written(path, explanation)
    header = read_dicom_header(path)
    grids = cells_of_pixels(header.size, (72, 96), (9, 12), resize, header.pixel_aspect_ratio)
    # Pixels within a tenth of a cell of an edge may fall on either side by the rounding of sizes.
    sure = [np.abs(grid - np.rint(grid)) > 0.1 for grid in grids]
    cells = [np.floor(grid).astype(int) for grid in grids]
    inside = [(c >= 0) & (c < n) for c, n in zip(cells, (9, 12), strict=True)]
    seen = np.outer(sure[0] & inside[0], sure[1] & inside[1])
    assert seen.mean() > 0.2
    for number, values in enumerate(explanation.evidence, start=1):
        rows, columns = cells[0].clip(0, 8), cells[1].clip(0, 11)
        expected = values[np.ix_(rows, columns)] >= 0.5
        mask = _frame(read, number)
        assert expected[seen].any()
        assert not expected[seen].all()
        np.testing.assert_array_equal(mask[seen], expected[seen])


def _frame(read: hd.seg.Segmentation, segment: int) -> np.ndarray:
    frames = read.pixel_array.reshape(-1, read.Rows, read.Columns)
    for index, groups in enumerate(read.PerFrameFunctionalGroupsSequence):
        shared = read.SharedFunctionalGroupsSequence[0]
        found = groups if "SegmentIdentificationSequence" in groups else shared
        if found.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment:
            return frames[index] == 1
    raise AssertionError(f"no frame for segment {segment}")


@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_highdicom_finds_the_pixels_by_the_source(name, written, explained):
    path, explanation = explained(name)
    read = written(path, explanation)
    source = pydicom.dcmread(split_frame(path)[0])
    frame = split_frame(path)[1]
    options = {"assert_missing_frames_are_empty": True, "combine_segments": False}
    if frame is None:
        found = read.get_pixels_by_source_instance([source.SOPInstanceUID], **options)
    else:
        found = read.get_pixels_by_source_frame(source.SOPInstanceUID, [frame], **options)
    masks = [finding.mask for finding in find(explanation)]
    assert any(mask.any() for mask in masks)
    np.testing.assert_array_equal(found[0], np.stack(masks, axis=-1))


@pytest.mark.parametrize("name", ["slice", "ultrasound"])
def test_softcam_reads_it_as_an_annotation_of_its_image(name, written, explained, tmp_path):
    path, explanation = explained(name)
    written(path, explanation)
    file, frame = split_frame(path)
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    (data / "segmentations").mkdir()
    file.rename(data / "images" / file.name)
    (tmp_path / "seg.dcm").rename(data / "segmentations" / "seg.dcm")
    sources.write(data / "images", "radiograph")
    listed = ["radiograph.dcm", file.name]
    if frame is not None:
        listed = [f"{file.name}#{n}" for n in (1, 2)]
    rows = "".join(f"{name},{label}\n" for label, name in enumerate(listed))
    (data / "table.csv").write_text("image,label\n" + rows)
    found = annotations(data / "table.csv")
    for finding in find(explanation):
        read = file_mask(found, listed[-1], finding.name, sources.SIZE)
        np.testing.assert_array_equal(read, finding.mask)
        if frame is not None:  # the other frame is not marked
            assert not file_mask(found, listed[0], finding.name, sources.SIZE).any()


def test_a_segment_tells_its_class_its_algorithm_and_its_file(written, explained, model):
    path, explanation = explained("slice")
    read = written(path, explanation)
    described = read.get_segment_description(2)
    assert described.SegmentLabel == "Ödem"
    assert described.segmented_property_category.meaning == "Spatial and Relational Concept"
    assert described.segmented_property_type.meaning == "Region of evidence for: Ödem"
    assert described.algorithm_type == hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    algorithm = described.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("softcam tiny", "1.2")
    assert f"model_file_sha256={model.sha256}" in algorithm.AlgorithmParameters
    assert "views=none" in algorithm.AlgorithmParameters
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"


def test_a_class_without_a_region_has_no_segment(written, scattered):
    path, explanation = scattered("slice")
    explanation.evidence[0] = -np.abs(explanation.evidence[0])
    explanation.logits[0] = explanation.evidence[0].mean(dtype=np.float64)
    read = written(path, explanation)
    assert [item.SegmentLabel for item in read.SegmentSequence] == ["Ödem"]
    assert read.NumberOfFrames == 1


def test_without_any_region_there_is_no_object(scattered, model):
    path, explanation = scattered("slice")
    explanation.evidence[:] = -np.abs(explanation.evidence)
    explanation.logits[:] = explanation.evidence.mean(axis=(1, 2), dtype=np.float64)
    assert make_segmentation(open_source(path), find(explanation), model, Uids(), {}) is None


def test_a_slice_keeps_its_place_and_a_projection_gets_none(written, explained):
    read = written(*explained("slice"))
    source = sources.slice_()
    shared = read.SharedFunctionalGroupsSequence[0]
    assert read.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert shared.PixelMeasuresSequence[0].PixelSpacing == source.PixelSpacing
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(orientation, source.ImageOrientationPatient, atol=1e-9)
    place = read.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    np.testing.assert_allclose(place.ImagePositionPatient, source.ImagePositionPatient, atol=1e-6)
    flat = written(*explained("radiograph"))
    assert "FrameOfReferenceUID" not in flat
    assert flat.PatientOrientation == ["L", "F"]
