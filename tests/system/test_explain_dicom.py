from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pydicom
import pytest

from tests.data import dicoms
from tests.deploy.dicom import sources
from tests.deploy.dicom.validator import errors_of, needs_validator


@pytest.fixture
def scan(tmp_path):
    """A radiograph of 40 x 40 pixels with a dot."""
    array = np.random.default_rng(0).integers(60, 90, (40, 40)).astype(np.uint8)
    array[20:28, 10:18] = 230
    made = sources.radiograph()
    made.Rows = made.Columns = 40
    made.PixelData = array.tobytes()
    path = tmp_path / "scan.dcm"
    path.write_bytes(dicoms.save(made))
    return path


def test_objects_name_the_model_of_the_run(trained, softcam, scan, tmp_path):
    _, run = trained
    out, objects = tmp_path / "out", tmp_path / "objects"
    result = softcam("explain", run, scan, "--out", out, "--dicom-out", objects)
    assert result.code == 0, result.err
    assert "file pixels and no place in the patient" in " ".join(result.out.split())
    assert (out / "scan.json").is_file()
    written = sorted(path.name for path in (objects / "scan").iterdir())
    assert written == ["pm.dcm", "sc.dcm", "seg.dcm", "sr.dcm"]
    digest = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    for path in (objects / "scan").iterdir():
        read = pydicom.dcmread(path)
        assert read.DeviceSerialNumber == digest
        assert read.ManufacturerModelName == "softcam resnet18"
        assert read.PatientID == "p01"


@needs_validator
def test_the_validator_finds_no_error(trained, softcam, scan, tmp_path):
    _, run = trained
    result = softcam("explain", run, scan, "--out", tmp_path / "out", "--dicom-out", tmp_path / "d")
    assert result.code == 0, result.err
    written = list((tmp_path / "d" / "scan").iterdir())
    assert len(written) == 4
    assert {path.name: errors_of(path) for path in written if errors_of(path)} == {}


def test_an_image_that_is_no_dicom_file_is_named_and_nothing_is_written_for_it(
    trained, softcam, scan, tmp_path
):
    data, run = trained
    png = data / "images" / "1.png"
    out, objects = tmp_path / "out", tmp_path / "objects"
    result = softcam("explain", run, png, scan, "--out", out, "--dicom-out", objects)
    assert result.code == 2
    assert "1.png is no DICOM file" in result.err
    assert "leave --dicom-out away" in result.err
    assert [path.name for path in objects.iterdir()] == ["scan"]
    assert not list(out.glob("1*"))


def test_a_missing_identifier_is_named(trained, softcam, scan, tmp_path):
    _, run = trained
    made = pydicom.dcmread(scan)
    del made.StudyInstanceUID
    made.save_as(scan)
    out, objects = tmp_path / "out", tmp_path / "objects"
    result = softcam("explain", run, scan, "--out", out, "--dicom-out", objects)
    assert result.code == 2
    assert "no StudyInstanceUID (0020,000D)" in result.err
    assert not objects.exists()
    assert not out.exists()


def test_only_the_objects_asked_for_are_written(trained, softcam, scan, tmp_path):
    _, run = trained
    base = ("explain", run, scan, "--out", tmp_path / "out", "--dicom-out", tmp_path / "d")
    result = softcam(*base, "--dicom-objects", "sr, sc")
    assert result.code == 0, result.err
    assert sorted(path.name for path in (tmp_path / "d" / "scan").iterdir()) == ["sc.dcm", "sr.dcm"]
    result = softcam(*base, "--dicom-objects", "sr,gsps")
    assert result.code == 2
    assert "'gsps' is none" in result.err


def test_a_folder_that_cannot_be_written_is_named(trained, softcam, scan, tmp_path):
    _, run = trained
    (tmp_path / "file").write_text("")
    out, objects = tmp_path / "out", tmp_path / "file" / "d"
    result = softcam("explain", run, scan, "--out", out, "--dicom-out", objects)
    assert result.code == 2
    assert "cannot be written here" in result.err
    assert not out.exists()


def test_no_name_of_a_patient_reaches_the_terminal(trained, scan, tmp_path):
    made = pydicom.dcmread(scan)
    made.PatientName = "Onlyonename"
    scan.write_bytes(dicoms.save(made))
    command = [sys.executable, "-m", "softcam", "explain", trained[1], scan]
    command += ["--out", tmp_path / "out", "--dicom-out", tmp_path / "objects"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pydicom.dcmread(tmp_path / "objects" / "scan" / "sr.dcm").PatientName == "Onlyonename"
    assert "Onlyonename" not in done.stdout + done.stderr
