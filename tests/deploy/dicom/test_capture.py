from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from softcam.deploy.dicom.capture import draw, make_captures
from softcam.deploy.dicom.findings import find
from softcam.deploy.dicom.source import open_source
from softcam.deploy.dicom.uids import Uids
from softcam.evidence.info import Task
from tests.deploy.dicom import sources

CAPTION = 132


@pytest.fixture
def written(model):
    def make(path, explanation) -> dict[str, pydicom.Dataset]:
        made = make_captures(explanation, open_source(path), find(explanation), model, Uids())
        read = {}
        for name, capture in made.items():
            stream = io.BytesIO()
            capture.save_as(stream)
            read[name] = pydicom.dcmread(io.BytesIO(stream.getvalue()))
        return read

    return make


@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_the_image_keeps_its_true_shape_and_says_that_it_is_burnt_in(name, written, explained):
    path, explanation = explained(name)
    ((class_, read),) = written(path, explanation).items()
    aspect = open_source(path).header.pixel_aspect_ratio
    rows, columns = explanation.image.shape[:2]
    height, width = read.Rows - CAPTION, read.Columns
    content = _content_width(read.pixel_array[:height])
    assert height / content == pytest.approx(rows * aspect / columns, rel=0.02)
    assert max(height, width) >= 720
    assert read.BurnedInAnnotation == "YES"
    assert read.PhotometricInterpretation == "RGB"
    assert class_ == explanation.main_class
    assert read.ImageComments == f"Evidence for {class_}; not a diagnosis"
    assert "not a diagnosis" in read.SeriesDescription
    source = sources.SOURCES[name][0]()
    assert (read.PatientID, read.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    assert read.SOPInstanceUID != source.SOPInstanceUID


def _content_width(pixels: np.ndarray) -> int:
    """Columns that are not black bars beside a narrow image."""
    return int((pixels.max(axis=(0, 2)) > 0).sum())


def test_the_caption_stands_below_the_image_and_on_nothing_of_it(model, explained):
    _, explanation = explained("radiograph")
    finding = find(explanation)[1]
    drawn = draw(explanation, finding, model)
    other = draw(explanation, finding, type(model)("another", "9", "f" * 64))
    changed = np.argwhere((drawn != other).any(axis=2))
    assert len(changed) > 100
    assert changed[:, 0].min() >= drawn.shape[0] - CAPTION
    assert drawn[-CAPTION:].max() == 255


def test_evidence_for_is_orange_and_against_is_blue(model, explained):
    _, explanation = explained("radiograph")
    finding = find(explanation)[1]
    drawn = draw(explanation, finding, model).astype(int)[:-CAPTION]
    values = explanation.map(finding.name, outside=0.0)
    rows, columns = values.shape
    for sign in (1, -1):
        y, x = np.unravel_index((sign * values).argmax(), values.shape)
        place = drawn[int((y + 0.5) * len(drawn) / rows), int((x + 0.5) * drawn.shape[1] / columns)]
        assert sign * (place[0] - place[2]) > 20


def test_each_called_class_of_a_multilabel_model_has_an_instance(written, scattered):
    path, explanation = scattered("radiograph")
    explanation.info.task = Task.MULTILABEL
    explanation.info.thresholds = {"healthy": 0.01, "Ödem": 0.01}
    read = written(path, explanation)
    assert list(read) == [explanation.main_class, *(set(read) - {explanation.main_class})]
    assert set(read) == {"healthy", "Ödem"}
    assert [item.InstanceNumber for item in read.values()] == [1, 2]
    assert len({item.SOPInstanceUID for item in read.values()}) == 2
    assert len({item.SeriesInstanceUID for item in read.values()}) == 1


def test_a_large_image_is_made_smaller(model, explained):
    _, explanation = explained("radiograph")
    drawn = draw(explanation, find(explanation)[1], model, aspect=4.0)
    assert drawn.shape == (720 + CAPTION, 720, 3)  # 48 rows, four times as high as wide


def test_lossy_compression_is_passed_on(written, explained, tmp_path):
    path, explanation = explained("radiograph")
    source = pydicom.dcmread(path)
    source.LossyImageCompression = "01"
    source.LossyImageCompressionRatio = 12.5
    source.save_as(path)
    ((_, read),) = written(path, explanation).items()
    assert (read.LossyImageCompression, read.LossyImageCompressionRatio) == ("01", 12.5)


@pytest.mark.filterwarnings("error:Glyph")
def test_a_class_whose_name_cannot_be_drawn_is_called_by_its_position(model, explained):
    _, explanation = explained("radiograph")
    explanation.info.classes = ("糖尿病網膜症", "class 0")
    first, second = find(explanation)
    alike = replace(second, name=first.name)
    drawn = draw(explanation, alike, model)
    explanation.info.classes = ("class 0", "other")
    named = draw(explanation, replace(second, name="class 0"), model)
    np.testing.assert_array_equal(drawn[-CAPTION:], named[-CAPTION:])
