from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from softcam.deploy.dicom.case import OBJECTS, check_objects, write_dicom
from softcam.errors import InputError
from softcam.explanation.explain import explain
from tests.data import dicoms
from tests.deploy.dicom import sources
from tests.deploy.dicom.conftest import SpotPredictor, info_of
from tests.deploy.dicom.validator import errors_of, needs_validator


@needs_validator
@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_the_validator_finds_no_error_in_any_object(name, explained, model, tmp_path):
    path, explanation = explained(name)
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert {file.name for file in done.files} == {"seg.dcm", "sc.dcm", "sr.dcm", "pm.dcm"}
    assert {file.name: errors_of(file) for file in done.files if errors_of(file)} == {}


@needs_validator
@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_nor_where_there_are_many_regions(name, scattered, model, tmp_path):
    path, explanation = scattered(name)
    done = write_dicom(
        explanation,
        path,
        tmp_path / "out",
        model=model,
        objects=("seg", "sr", "pm"),
        contrast=True,
    )
    assert {file.name: errors_of(file) for file in done.files if errors_of(file)} == {}


def _with_one_logit(explanation):
    """The same image, answered by a binary model with one logit."""
    return replace(explanation, evidence=explanation.evidence[1:], logits=explanation.logits[1:])


@needs_validator
@pytest.mark.parametrize("name", ["slice", "radiograph"])
def test_nor_where_a_model_has_one_map(name, scattered, model, tmp_path):
    path, explanation = scattered(name)
    done = write_dicom(_with_one_logit(explanation), path, tmp_path / "out", model=model)
    assert {file.name for file in done.files} == {"seg.dcm", "sc.dcm", "sr.dcm", "pm.dcm"}
    assert {file.name: errors_of(file) for file in done.files if errors_of(file)} == {}


def test_the_one_map_of_a_binary_model_speaks_for_its_second_class(scattered, model, tmp_path):
    path, explanation = scattered("slice")
    done = write_dicom(_with_one_logit(explanation), path, tmp_path / "out", model=model)
    parametric = pydicom.dcmread(done.folder / "pm.dcm")
    np.testing.assert_array_equal(parametric.pixel_array, explanation.evidence[1])
    shared = parametric.SharedFunctionalGroupsSequence[0]
    assert shared.RealWorldValueMappingSequence[0].LUTLabel == "Ödem"
    segmentation = pydicom.dcmread(done.folder / "seg.dcm")
    # What speaks against it speaks for the first.
    assert [item.SegmentLabel for item in segmentation.SegmentSequence] == ["healthy", "Ödem"]


@needs_validator
def test_nor_where_the_source_says_next_to_nothing(scattered, model, tmp_path):
    path, explanation = scattered("computed-radiograph")
    source = pydicom.dcmread(path)
    kept = ("UID", "Rows", "Columns", "Bit", "Pixel", "Samples", "Photometric", "SOP")
    for element in list(source):
        if not any(word in element.keyword for word in kept):
            del source[element.tag]
    source.save_as(path)
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert {file.name: errors_of(file) for file in done.files if errors_of(file)} == {}
    read = pydicom.dcmread(done.files[0])
    assert (read.PatientID, read.PatientName) == (None, "") or read.PatientID == ""


@needs_validator
def test_nor_where_classes_have_long_and_strange_names(scattered, model, tmp_path):
    path, explanation = scattered("slice")
    explanation.info.classes = ("糖尿病網膜症" * 9, "a\\b^c=d " + "x" * 90)
    explanation.info.positive = explanation.info.classes[0]
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert {file.name: errors_of(file) for file in done.files if errors_of(file)} == {}


@pytest.mark.parametrize("name", list(sources.SOURCES))
def test_objects_are_filed_with_the_image_in_series_of_their_own(name, explained, model, tmp_path):
    path, explanation = explained(name)
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    source = sources.SOURCES[name][0]()
    read = [pydicom.dcmread(file) for file in done.files]
    for made in read:
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert (made.PatientID, str(made.PatientName)) == ("p01", "Müller^Jürgen")
        assert (made.AccessionNumber, made.StudyDate) == ("A-4711", "20240305")
        assert made.DeviceSerialNumber == model.sha256
        assert made.ManufacturerModelName == "softcam tiny"
        assert "model 1.2" in made.SoftwareVersions
        assert made.SeriesDescription.endswith("not a diagnosis")
        assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    used = [source.SOPInstanceUID, source.SeriesInstanceUID]
    used += [uid for made in read for uid in (made.SOPInstanceUID, made.SeriesInstanceUID)]
    assert len(set(used)) == len(used)


def test_a_frame_of_several_is_the_one_that_is_referred_to(explained, model, tmp_path):
    path, explanation = explained("ultrasound")
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert done.folder.name == "ultrasound-2"
    for file in done.files:
        read = pydicom.dcmread(file)
        if read.Modality == "SR":
            continue
        (reference,) = read.SourceImageSequence
        assert reference.ReferencedFrameNumber == 2
        assert reference.ReferencedSOPClassUID == sources.ultrasound().SOPClassUID
        (series,) = read.get("ReferencedSeriesSequence") or [None]
        if series is not None:
            (instance,) = series.ReferencedInstanceSequence
            assert instance.ReferencedSOPClassUID == sources.ultrasound().SOPClassUID
            assert "ReferencedFrameNumber" not in instance


def test_a_folder_that_is_there_is_never_touched(explained, model, tmp_path):
    path, explanation = explained("radiograph")
    first = write_dicom(explanation, path, tmp_path / "out", model=model)
    before = {file: file.read_bytes() for file in first.files}
    second = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert [first.folder.name, second.folder.name] == ["radiograph", "radiograph-2"]
    assert {file: file.read_bytes() for file in first.files} == before
    pairs = zip(first.files, second.files, strict=True)
    for one, other in pairs:
        assert pydicom.dcmread(one).SOPInstanceUID != pydicom.dcmread(other).SOPInstanceUID


def test_a_seed_repeats_identifiers_and_another_does_not(explained, model, tmp_path):
    path, explanation = explained("radiograph")
    given = {"model": model, "objects": ("seg", "pm", "sr")}
    found = []
    for seed in (1, 1, 2):
        done = write_dicom(explanation, path, tmp_path / "out", seed=seed, **given)
        read = [pydicom.dcmread(file) for file in done.files]
        found.append(
            [uid for made in read for uid in (made.SOPInstanceUID, made.SeriesInstanceUID)]
        )
    assert found[0] == found[1]
    assert len(found[0]) == 6
    assert not set(found[0]) & set(found[2])


@pytest.mark.parametrize("chosen", [("sr",), ("pm", "seg"), ("sc",)])
def test_only_what_is_asked_for_is_written(chosen, explained, model, tmp_path):
    path, explanation = explained("slice")
    done = write_dicom(explanation, path, tmp_path / "out", model=model, objects=chosen)
    assert {file.stem for file in done.files} == set(chosen)
    assert sorted(p.stem for p in done.folder.iterdir()) == sorted(chosen)


@pytest.mark.parametrize(("given", "said"), [(("seg", "gsps"), "'gsps' is none"), ((), "none is")])
def test_unknown_objects_are_named(given, said):
    with pytest.raises(InputError, match=f"DICOM objects are seg, sc, sr, pm; {said}"):
        check_objects(given)
    assert check_objects(["sr", "seg"]) == ("seg", "sr")


def test_a_map_in_a_new_frame_of_reference_is_noted(explained, model, tmp_path):
    path, explanation = explained("fundus")
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert len(done.notes) == 1
    assert "coordinates are file pixels and no place in the patient" in done.notes[0]
    path, explanation = explained("slice")
    assert write_dicom(explanation, path, tmp_path / "out", model=model).notes == ()


def test_without_regions_the_rest_is_written_and_it_is_said(scattered, model, tmp_path):
    path, explanation = scattered("slice", threshold=99.0)
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert {file.stem for file in done.files} == {"sc", "sr", "pm"}
    assert "No class has a region" in done.notes[0]
    with pytest.raises(InputError, match="there is no object to write"):
        write_dicom(explanation, path, tmp_path / "only", model=model, objects=["seg"])


def test_an_explanation_of_another_image_is_refused(explained, model, tmp_path):
    _, explanation = explained("radiograph")
    other, _ = explained("slice")
    with pytest.raises(InputError, match=r"is not of the image .*slice\.dcm"):
        write_dicom(explanation, other, tmp_path / "out", model=model)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["bytes", "dataset"])
def test_bytes_and_datasets_are_taken_as_well(kind, model, tmp_path):
    made = sources.ultrasound()
    data = dicoms.save(made)
    source = data if kind == "bytes" else pydicom.dcmread(BytesIO(data))
    (tmp_path / "a.dcm").write_bytes(data)
    explanation = explain(SpotPredictor(info_of()), f"{tmp_path / 'a.dcm'}#3")
    done = write_dicom(explanation, source, tmp_path / "out", model=model, frame=3)
    assert len(done.files) == len(OBJECTS)
    assert done.folder.name == "image-3"


def test_a_full_disk_leaves_nothing_behind(explained, model, tmp_path, monkeypatch):
    path, explanation = explained("radiograph")
    written = []
    real = os.fsync

    def fsync(handle):
        written.append(handle)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(InputError, match="No space left on device") as raised:
        write_dicom(explanation, path, tmp_path / "out", model=model)
    assert "\n" not in str(raised.value)
    assert len(written) == 3
    assert not (tmp_path / "out").exists()


def test_an_interruption_leaves_nothing_behind(explained, model, tmp_path, monkeypatch):
    path, explanation = explained("radiograph")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_dicom(explanation, path, tmp_path / "out", model=model)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_named(explained, model, tmp_path):
    path, explanation = explained("radiograph")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/out: .*cannot be written here"):
        write_dicom(explanation, path, tmp_path / "file" / "out", model=model)


def test_a_model_without_a_file_is_refused(explained, tmp_path):
    path, explanation = explained("radiograph")
    with pytest.raises(InputError, match=r"none\.safetensors: cannot be read"):
        write_dicom(explanation, path, tmp_path / "out", model=tmp_path / "none.safetensors")


@pytest.mark.parametrize("syntax", ["rle", "jpeg-ls", "jpeg-2000"])
def test_a_compressed_image_has_objects_too(syntax, model, tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicoms.encode(sources.radiograph(), syntax))
    explanation = explain(SpotPredictor(info_of()), path)
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert len(done.files) == len(OBJECTS)
    for file in done.files:
        assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_name_that_another_program_takes_at_that_moment_stays_its(
    explained, model, tmp_path, monkeypatch
):
    path, explanation = explained("radiograph")
    taken = tmp_path / "out" / "radiograph"
    taken.mkdir(parents=True)
    (taken / "seg.dcm").write_text("another's")
    monkeypatch.setattr("os.path.lexists", lambda _: False)  # looked before it was there
    done = write_dicom(explanation, path, tmp_path / "out", model=model)
    assert done.folder.name == "radiograph-2"
    assert [p.read_text() for p in taken.iterdir()] == ["another's"]


def test_none_of_it_needs_torch():
    code = "import sys, softcam.deploy.dicom.case; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
