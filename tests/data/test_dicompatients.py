from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.dicompatients import patients_of
from softcam.data.readers import record_header
from softcam.data.table import read_table
from tests.data import dicoms

BLACK = np.zeros((6, 5), np.uint8)


def _dicom(path: Path, patient: str, **elements: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicoms.save(dicoms.dataset(BLACK, PatientID=patient, **elements)))
    return path


def _png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(BLACK).save(path, "PNG")
    return path


def test_the_ids_of_the_headers_are_read_whatever_the_files_are_called(tmp_path: Path) -> None:
    images = [
        _dicom(tmp_path / "a.dcm", "p1"),
        _dicom(tmp_path / "IM0001", " p2 "),
        _dicom(tmp_path / "1.2.840.5", "p1"),
        _png(tmp_path / "b.png"),
        _dicom(tmp_path / "c.dcm", ""),
    ]
    found = patients_of(images)
    assert found.patients == ["p1", "p2", "p1", "", ""]
    assert "3 DICOM header(s): 2 patient(s)" in found.notes[0]
    assert "2 image(s) have no Patient ID" in found.notes[1]


@pytest.mark.parametrize("syntax", dicoms.NATIVE)
def test_the_id_is_read_in_every_byte_order(syntax: str, tmp_path: Path) -> None:
    made = dicoms.dataset(BLACK, PatientID="p7")
    (tmp_path / "a.dcm").write_bytes(dicoms.encode(made, syntax))
    assert patients_of([tmp_path / "a.dcm"]).patients == ["p7"]


def test_without_dicom_files_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert patients_of([_png(tmp_path / "b.png"), _png(tmp_path / "c")]) == (["", ""], [])


def test_a_damaged_file_counts_as_one_without_an_id(tmp_path: Path) -> None:
    path = _dicom(tmp_path / "a.dcm", "p1")
    path.write_bytes(path.read_bytes()[:140])
    found = patients_of([path, _dicom(tmp_path / "b.dcm", "p2"), tmp_path / "gone.dcm"])
    assert found.patients == ["", "p2", ""]
    assert "2 image(s) have no Patient ID" in found.notes[1]


def test_one_id_for_all_is_told(tmp_path: Path) -> None:
    images = [_dicom(tmp_path / f"{i}.dcm", "ANON") for i in range(3)]
    assert "every image has the Patient ID 'ANON'" in patients_of(images).notes[-1]


def test_class_folders_of_dicom_files_are_split_by_the_headers_patients(tmp_path: Path) -> None:
    for i in range(60):
        _dicom(tmp_path / ("ill" if i % 2 else "well") / f"{i}.dcm", f"p{i // 3}")
    table = read_table(tmp_path)
    assert sorted(set(table.patients())) == sorted(f"p{i}" for i in range(20))
    assert any("60 DICOM header(s): 20 patient(s)" in note for note in table.notes)
    splits: dict[str, set[str | None]] = {}
    for record in table.records:
        splits.setdefault(record.patient, set()).add(record.split)
    assert all(len(own) == 1 for own in splits.values())
    assert set(table.splits()) == {"train", "val", "test"}


def _table(folder: Path, text: str) -> Path:
    (folder / "table.csv").write_text(text)
    return folder


def test_patients_that_the_table_names_are_kept(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _dicom(tmp_path / f"{name}.dcm", "same")
    text = "image,label,patient,split\na.dcm,0,x,train\nb.dcm,1,,train\n"
    assert read_table(_table(tmp_path, text)).patients() == ["x", "b.dcm"]


def test_frames_without_an_id_share_the_patient_of_their_file(tmp_path: Path) -> None:
    made = dicoms.dataset(np.zeros((3, 6, 5), np.uint8), frames=3, PatientID="")
    (tmp_path / "oct.dcm").write_bytes(dicoms.save(made))
    _dicom(tmp_path / "b.dcm", "")
    text = "image,label,split\noct.dcm#1,0,train\noct.dcm#3,1,train\nb.dcm,1,train\n"
    table = read_table(_table(tmp_path, text))
    assert table.patients() == ["oct.dcm", "oct.dcm", "b.dcm"]


def test_a_record_leads_to_its_study_series_object_and_side(tmp_path: Path) -> None:
    _dicom(tmp_path / "a.dcm", "p1", ImageLaterality="R")
    _png(tmp_path / "b.png")
    text = "image,label,split\na.dcm,0,train\nb.png,1,train\n"
    first, second = read_table(_table(tmp_path, text)).records
    header = record_header(first)
    assert header is not None
    assert (header.patient_id, header.laterality) == (first.patient, "R")
    assert (header.study_uid, header.series_uid) == ("1.2.3", "1.2.3.1")
    assert header.sop_instance_uid == "1.2.3.4"
    assert record_header(second) is None
