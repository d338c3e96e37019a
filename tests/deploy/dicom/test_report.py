from __future__ import annotations

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom import sr
from pydicom.sr.coding import Code

from softcam.data.dicom import read_dicom_header
from softcam.deploy.dicom import codes
from softcam.deploy.dicom.findings import find
from softcam.deploy.dicom.groups import MOST_CORNERS, Picture
from softcam.deploy.dicom.parametric import make_parametric_map
from softcam.deploy.dicom.report import make_report
from softcam.deploy.dicom.segmentation import make_segmentation
from softcam.deploy.dicom.source import open_source
from softcam.deploy.dicom.text import NOT_A_DIAGNOSIS
from softcam.deploy.dicom.uids import Uids
from tests.deploy.dicom import sources

PLACED = ("slice", "tomography")


@pytest.fixture
def written(model, tmp_path):
    """Make a report with a segmentation and a map, write it and read it back by highdicom."""

    def make(path, explanation):
        source, findings, uids = open_source(path), find(explanation), Uids()
        parts = (
            make_segmentation(source, findings, model, uids, {}),
            make_parametric_map(explanation, source, model, uids),
        )
        made = make_report(
            source,
            findings,
            model,
            uids,
            {"views": "none"},
            segmentation=parts[0],
            pictures=(Picture(parts[1], {"healthy": 1, "Ödem": 2}),),
        )
        made.save_as(tmp_path / "sr.dcm")
        return sr.srread(tmp_path / "sr.dcm"), *parts

    return make


def _text(item, name: Code) -> list[str]:
    found = [i for i in item.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == name[0]]
    return [str(i.TextValue) for i in found]


def _value(group, name: Code) -> float:
    (found,) = group.get_measurements(name)
    return found.value


@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_it_is_in_space_where_the_image_is(name, written, explained):
    read, _, _ = written(*explained(name))
    assert type(read) is (sr.Comprehensive3DSR if name in PLACED else sr.ComprehensiveSR)
    assert (read.CompletionFlag, read.PreliminaryFlag) == ("COMPLETE", "PRELIMINARY")
    assert read.VerificationFlag == "UNVERIFIED"


@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_outlines_read_back_hold_the_pixels_of_the_regions(name, written, scattered):
    path, explanation = scattered(name)
    read, _, _ = written(path, explanation)
    header = read_dicom_header(path)
    groups = read.content.get_planar_roi_measurement_groups()
    for finding in find(explanation):
        code = codes.region_code(finding.name)
        outlines = [group.roi for group in groups if group.finding_type == code and group.roi]
        assert len(outlines) == len(finding.regions) > 1
        covered = np.zeros(header.size, int)
        for outline in outlines:
            covered += _inside(_in_pixels(outline, header), header.size)
        # Regions lie apart, so that none covers a pixel of another.
        np.testing.assert_array_equal(covered, finding.mask.astype(int))


def _in_pixels(outline, header) -> np.ndarray:
    points = np.asarray(outline.value, dtype=float)
    if points.shape[1] == 2:
        return points
    assert outline.frame_of_reference_uid == header.plane.frame_of_reference
    plane = header.plane
    axes = np.stack([np.array(plane.row), np.array(plane.column)], axis=1)
    steps = (points - np.array(plane.position)) @ axes
    return steps / np.array(plane.spacing[::-1]) + 0.5


def _inside(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which pixel centres an outline holds, by the even-odd rule, pixel by pixel."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    found = np.zeros(size, bool)
    for (x0, y0), (x1, y1) in zip(corners[:-1], corners[1:], strict=True):  # noqa: RUF007
        if y0 == y1:
            continue
        found ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return found


def test_each_class_has_its_answer(written, scattered):
    path, explanation = scattered("radiograph")
    explanation.info.thresholds = {"Ödem": 0.25}
    read, _, _ = written(path, explanation)
    groups = read.content.get_image_measurement_groups()
    assert [group.finding_type for group in groups] == [
        codes.answer_code("healthy"),
        codes.answer_code("Ödem"),
    ]
    for index, group in enumerate(groups):
        assert _value(group, codes.PROBABILITY) == pytest.approx(
            explanation.probabilities[index], abs=1e-6
        )
        assert _value(group, codes.LOGIT) == pytest.approx(explanation.logits[index], abs=1e-6)
        assert _value(group, codes.REGION_THRESHOLD) == 0.5
        (called,) = group.get_qualitative_evaluations(codes.CALLED)
        yes = explanation.classes[index] in explanation.predicted
        assert called.value == (codes.YES if yes else codes.NO)
        (image,) = group.source_images
        assert image.referenced_sop_instance_uid == sources.radiograph().SOPInstanceUID
    assert groups[0].get_measurements(codes.CALL_THRESHOLD) == []
    assert _value(groups[1], codes.CALL_THRESHOLD) == 0.25


def test_the_parts_of_a_logit_are_those_of_its_regions(written, scattered):
    path, explanation = scattered("slice")
    read, segmentation, _ = written(path, explanation)
    groups = read.content.get_planar_roi_measurement_groups()
    for number, finding in enumerate(find(explanation), start=1):
        own = [g for g in groups if g.finding_type == codes.region_code(finding.name)]
        (whole,) = [g for g in own if g.roi is None]
        parts = [g for g in own if g.roi is not None]
        expected = [region.contribution for region in finding.regions]
        found = [_value(group, codes.REGION_PART) for group in parts]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert _value(whole, codes.REGION_PART) == pytest.approx(sum(expected), rel=1e-6)
        peaks = [_value(group, codes.CLASS_ACTIVATION) for group in parts]
        np.testing.assert_allclose(peaks, [region.peak for region in finding.regions], rtol=1e-6)
        reference = whole.referenced_segmentation_frame[0]
        assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert reference.referenced_frame_numbers == [number]
        # What frame and report mark is tracked by one identifier.
        described = segmentation.get_segment_description(number)
        assert described.tracking_uid == whole.tracking_uid


def test_the_model_its_file_and_the_warning_are_in_it(written, explained, model):
    read, _, _ = written(*explained("fundus"))
    (observer,) = read.content.get_observer_contexts()
    device = observer.observer_identifying_attributes
    assert (device.model_name, device.serial_number) == ("softcam tiny", model.sha256)
    root = read.content[0]
    assert _text(root, codes.COMMENT) == [NOT_A_DIAGNOSIS]
    for group in read.content.get_image_measurement_groups():
        assert _text(group[0], Code("111001", "DCM", "")) == ["softcam tiny"]
        assert _text(group[0], Code("111003", "DCM", "")) == ["1.2"]
        assert _text(group[0], Code("122405", "DCM", "")) == ["softcam"]
        assert _text(group[0], Code("111002", "DCM", "")) == [
            f"model_file_sha256={model.sha256}",
            "views=none",
        ]


def test_everything_that_it_refers_to_is_evidence_of_the_study(written, explained):
    read, segmentation, parametric = written(*explained("ultrasound"))
    source = sources.ultrasound()
    found = {
        (str(series), str(instance), str(kind))
        for _, series, instance, kind in read.get_evidence(current_procedure_only=True)
    }
    assert found == {
        (str(d.SeriesInstanceUID), str(d.SOPInstanceUID), str(d.SOPClassUID))
        for d in (source, segmentation, parametric)
    }
    assert read.StudyInstanceUID == source.StudyInstanceUID
    shown = [
        item.ReferencedSOPSequence[0]
        for group in read.content.get_image_measurement_groups()
        for item in group[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Visual explanation"
    ]
    assert [item.ReferencedSOPInstanceUID for item in shown] == [parametric.SOPInstanceUID] * 2
    assert [item.ReferencedFrameNumber for item in shown] == [1, 2]
    for group in read.content.get_image_measurement_groups():
        assert group.source_images[0].referenced_frame_numbers == [2]


def test_an_outline_too_long_for_an_element_becomes_its_box(written, scattered, monkeypatch):
    monkeypatch.setattr("softcam.deploy.dicom.groups.MOST_CORNERS", 12)
    path, explanation = scattered("radiograph")
    read, _, _ = written(path, explanation)
    groups = read.content.get_planar_roi_measurement_groups()
    lengths = [len(group.roi.value) for group in groups if group.roi is not None]
    assert max(lengths) <= 12
    assert MOST_CORNERS * 12 < 65534


def test_it_names_the_patient_in_the_letters_of_the_source(written, explained, tmp_path):
    written(*explained("radiograph"))
    read = pydicom.dcmread(tmp_path / "sr.dcm")
    assert str(read.PatientName) == "Müller^Jürgen"
    assert read.StudyDescription == "Prüfung"
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert hd.__version__ in str(read.SoftwareVersions)
