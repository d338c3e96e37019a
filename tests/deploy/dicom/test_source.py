from __future__ import annotations

import pydicom
import pytest
from pydicom import uid

from softcam.deploy.dicom.source import open_source, stem_of
from softcam.errors import InputError
from tests.data import dicoms
from tests.deploy.dicom import sources

TAGS = {
    "SOPClassUID": r"\(0008,0016\)",
    "SOPInstanceUID": r"\(0008,0018\)",
    "StudyInstanceUID": r"\(0020,000D\)",
    "SeriesInstanceUID": r"\(0020,000E\)",
}


def _written(tmp_path, made, name="a.dcm"):
    path = tmp_path / name
    made.save_as(path, enforce_file_format=False)
    return path


def _refused(path, match) -> str:
    with pytest.raises(InputError, match=match) as raised:
        open_source(path)
    said = str(raised.value)
    assert str(path).split("#")[0] in said
    assert said.endswith(".")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("keyword", list(TAGS))
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_identifier_is_named_with_its_tag_and_a_remedy(keyword, value, tmp_path):
    made = sources.radiograph()
    if value is None:
        delattr(made, keyword)
    else:
        setattr(made, keyword, value)
    said = _refused(_written(tmp_path, made), f"no {keyword} {TAGS[keyword]}")
    assert "export it again" in said


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_an_identifier_that_is_none_is_refused(tmp_path):
    made = sources.radiograph()
    made.StudyInstanceUID = "study 17"
    _refused(_written(tmp_path, made), r"a StudyInstanceUID \(0020,000D\) that is no UID")


def test_an_object_without_pixels_is_refused(tmp_path):
    made = sources.radiograph()
    del made.PixelData
    _refused(_written(tmp_path, made), r"no Pixel Data \(7FE0,0010\)")


def test_an_object_that_is_no_image_is_refused(tmp_path):
    made = sources.radiograph()
    del made.PixelData, made.Rows, made.Columns
    _refused(_written(tmp_path, made), "no usable Rows")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(200), b"text", b""])
def test_another_kind_of_file_is_refused(content, tmp_path):
    path = tmp_path / "eye.png"
    path.write_bytes(content)
    _refused(path, "is no DICOM file|empty|cannot")


def test_a_missing_file_is_refused(tmp_path):
    _refused(tmp_path / "none.dcm", "none.dcm")


def test_results_are_not_explained_again(tmp_path):
    made = sources.radiograph(Manufacturer="softcam")
    _refused(_written(tmp_path, made), "was itself written by softcam")


def test_one_frame_of_several_must_be_named(tmp_path):
    path = sources.write(tmp_path, "ultrasound").split("#")[0]
    _refused(path, "holds 3 frames; name one")
    assert open_source(f"{path}#2").frame == 2
    assert open_source(path, 3).frames == [3]
    _refused(f"{path}#4", "has no frame 4")


def test_a_patient_without_an_id_is_filed_without_one(tmp_path):
    made = sources.radiograph()
    for keyword in ("PatientID", "PatientName", "PatientSex", "StudyDate"):
        delattr(made, keyword)
    stand_in = open_source(_written(tmp_path, made)).stand_in(None)
    assert (stand_in.PatientID, stand_in.PatientSex, stand_in.StudyDate) == ("", "", "")
    assert str(stand_in.PatientName) == ""


@pytest.mark.filterwarnings("ignore:The value length")
def test_whom_it_shows_is_kept_even_so(tmp_path):
    made = sources.radiograph()
    made.PatientID = "p" * 70
    stand_in = open_source(_written(tmp_path, made)).stand_in(None)
    assert stand_in.PatientID == "p" * 70


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:The value length")
def test_values_that_the_standard_forbids_are_left_out(tmp_path):
    made = sources.radiograph()
    made.add_new("PatientSex", "CS", "male")
    made.add_new("StudyDate", "DA", "2024.3.5")
    made.add_new("PatientBirthDate", "DA", "unknown")
    made.add_new("StudyDescription", "LO", "x" * 70)
    stand_in = open_source(_written(tmp_path, made)).stand_in(None)
    assert (stand_in.PatientSex, stand_in.StudyDate, stand_in.PatientBirthDate) == ("", "", "")
    assert "StudyDescription" not in stand_in
    assert stand_in.AccessionNumber == "A-4711"


@pytest.mark.parametrize("said", [None, "by hand"])
def test_an_anonymous_patient_stays_so_with_the_method_that_the_standard_asks_for(said, tmp_path):
    made = sources.radiograph()
    made.PatientIdentityRemoved = "YES"
    if said is not None:
        made.DeidentificationMethod = said
    stand_in = open_source(_written(tmp_path, made)).stand_in(None)
    assert stand_in.PatientIdentityRemoved == "YES"
    assert stand_in.DeidentificationMethod == (said or "Not stated by the source image")


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 192", "王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_are_decoded_whatever_they_were_written_in(charset, name, tmp_path):
    made = sources.radiograph()
    made.SpecificCharacterSet = charset
    made.PatientName = name
    made.StudyDescription = "x"
    made.ReferringPhysicianName = ""
    path = tmp_path / "a.dcm"
    path.write_bytes(dicoms.save(made))
    stand_in = open_source(path).stand_in(None)
    stand_in.file_meta = made.file_meta
    stand_in.save_as(tmp_path / "b.dcm", enforce_file_format=False)
    read = pydicom.dcmread(tmp_path / "b.dcm", force=True)
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert str(read.PatientName) == name


@pytest.mark.parametrize("syntax", list(dicoms.NATIVE))
def test_every_byte_order_is_read(syntax, tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicoms.save(sources.slice_(), dicoms.NATIVE[syntax]))
    source = open_source(path)
    assert source.plane is not None
    assert source.slice_thickness == 2.5


def test_a_private_kind_of_image_keeps_its_own_class(tmp_path):
    made = sources.radiograph()
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.3.4.5"
    source = open_source(_written(tmp_path, made))
    assert source.stand_in(None).SOPClassUID == uid.SecondaryCaptureImageStorage
    assert source.reference().ReferencedSOPClassUID == "1.2.3.4.5"


@pytest.mark.parametrize(
    ("name", "frame", "stem"), [("a.b.dcm", 1, "a.b"), ("a.dcm#3", 3, "a-3"), ("a", 1, "a")]
)
def test_results_are_called_after_the_file_and_its_frame(name, frame, stem):
    assert stem_of(name, frame) == stem
