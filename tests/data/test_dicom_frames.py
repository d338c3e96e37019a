"""Frames of a file, and what its header says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from softcam.data.dicom import read_dicom, read_dicom_header
from softcam.data.readers import image_size, read_image
from softcam.errors import InputError
from tests.data import dicoms
from tests.data.dicomvalues import refusal, values_of, windowed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def _volume(syntax: str) -> tuple[np.ndarray, bytes]:
    values = values_of(8, np.uint8, (4, 33, 35))  # an odd number of bytes in each frame
    return values, dicoms.encode(dicoms.dataset(values, frames=4), syntax)


@pytest.mark.parametrize("syntax", [*dicoms.NATIVE, *dicoms.ENCODED, *dicoms.GDCM])
def test_each_frame_is_found(syntax: str, tmp_path: Path) -> None:
    values, data = _volume(syntax)
    path = tmp_path / "oct.dcm"
    path.write_bytes(data)
    for number in (3, 1, 4):
        image = read_dicom(data, frame=number)
        assert (image.frame, image.header.frames) == (number, 4)
        np.testing.assert_array_equal(image.pixels.array, values[number - 1])
        named = f"{path}#{number}"
        np.testing.assert_array_equal(read_image(named).array, values[number - 1])
        assert image_size(named) == (33, 35)
    assert "oct.dcm#1" in refusal(path)
    for call in (read_image, image_size):
        with pytest.raises(InputError, match="4 frames; name one"):
            call(path)
        with pytest.raises(InputError, match="no frame 5; it holds 4"):
            call(f"{path}#5")
    assert "no frame 0" in refusal(data, frame=0)


def test_big_endian_words_hold_pairs_across_odd_frames() -> None:
    values = values_of(8, np.uint8, (4, 3, 5))
    made = dicoms.dataset(values, frames=4)
    made.PixelData = np.frombuffer(values.tobytes(), "<u2").astype(">u2").tobytes()
    made["PixelData"].VR = "OW"
    data = dicoms.save(made, uid.ExplicitVRBigEndian)
    for i in range(4):
        np.testing.assert_array_equal(read_dicom(data, frame=i + 1).pixels.array, values[i])


def test_a_frame_has_its_own_rescale_window_laterality_and_place() -> None:
    values = values_of(12, np.uint16, (2, 6, 5))
    made = dicoms.dataset(values, bits=12, frames=2, Laterality="L", RescaleSlope=9)

    def group(keyword: str, **elements: Any) -> Dataset:
        outer, inner = Dataset(), Dataset()
        for name, value in elements.items():
            setattr(inner, name, value)
        setattr(outer, keyword, Sequence([inner]))
        return outer

    shared = group("PixelMeasuresSequence", PixelSpacing=[0.2, 0.1])
    shared.update(group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    frames = []
    for i in range(2):
        item = group("PixelValueTransformationSequence", RescaleSlope=2, RescaleIntercept=i)
        item.update(group("FrameVOILUTSequence", WindowCenter=3000 + i, WindowWidth=2000))
        item.update(group("PlanePositionSequence", ImagePositionPatient=[0, 0, 5 * i]))
        item.update(group("FrameAnatomySequence", FrameLaterality="R"))
        frames.append(item)
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for i in range(2):
        image = read_dicom(dicoms.save(made), frame=i + 1)
        expected = np.rint(65535 * windowed(values[i] * 2.0 + i, 3000 + i, 2000, "LINEAR"))
        np.testing.assert_array_equal(image.pixels.array, expected)
        header = image.header
        assert header.laterality == "R"
        assert (header.pixel_spacing, header.spacing_source) == ((0.2, 0.1), "PixelSpacing")
        assert header.pixel_aspect_ratio == 2.0
        assert header.plane is not None
        assert header.plane.position == (0, 0, 5 * i)
        assert (header.plane.row, header.plane.column) == ((1, 0, 0), (0, 1, 0))


def test_the_header_tells_whom_and_what_it_shows(tmp_path: Path) -> None:
    made = dicoms.dataset(
        values_of(8, np.uint8),
        ImageLaterality="R",
        ImagerPixelSpacing=[0.1, 0.1],
        PixelAspectRatio=[4, 3],
    )
    path = tmp_path / "no-suffix"
    path.write_bytes(dicoms.save(made))
    header = read_dicom_header(path)
    assert header == read_dicom(path).header
    assert (header.patient_id, header.study_uid, header.series_uid) == ("p01", "1.2.3", "1.2.3.1")
    assert (header.sop_instance_uid, header.modality) == ("1.2.3.4", "OT")
    assert header.sop_class_uid == uid.SecondaryCaptureImageStorage
    assert (header.size, header.frames, header.laterality) == ((35, 40), 1, "R")
    assert header.spacing_source == "ImagerPixelSpacing"
    assert header.pixel_aspect_ratio == pytest.approx(4 / 3)
    assert header.plane is None
    # Told and not applied: a stored pixel is a file pixel.
    assert image_size(path) == read_image(path).size == (35, 40)


def test_what_a_header_lacks_is_empty() -> None:
    made = dicoms.dataset(values_of(8, np.uint8))
    for keyword in ("PatientID", "Modality", "StudyInstanceUID"):
        delattr(made, keyword)
    header = read_dicom_header(dicoms.save(made))
    assert (header.patient_id, header.modality, header.study_uid) == ("", "", "")
    assert (header.pixel_spacing, header.pixel_aspect_ratio) == (None, 1.0)


def test_a_dataset_is_read_as_a_file_is(tmp_path: Path) -> None:
    values = values_of(16, np.uint16)
    made = dicoms.dataset(values)
    for given in (made, dicoms.save(made)):
        np.testing.assert_array_equal(read_dicom(given).pixels.array, values)
        np.testing.assert_array_equal(read_image(given).array, values)
    np.testing.assert_array_equal(read_dicom_header(made).size, values.shape)
    bare = Dataset()
    bare.update(made)
    assert "file_meta" in refusal(bare)
