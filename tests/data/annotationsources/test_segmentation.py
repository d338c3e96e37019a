from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as Items

from softcam.errors import InputError
from tests.data import dicoms
from tests.data.annotationsources.sets import annotations, error, file_mask, read

SIZE = (9, 7)  # 63 pixels: frames do not begin on a byte
Frame = tuple[np.ndarray, int, str | None, int | None]  # mask, segment, object, frame of it


def _item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _reference(object_uid: str, frame: int | None) -> Dataset:
    made = _item(
        ReferencedSOPClassUID=uid.SecondaryCaptureImageStorage, ReferencedSOPInstanceUID=object_uid
    )
    if frame is not None:
        made.ReferencedFrameNumber = frame
    return made


def _groups(segment: int, object_uid: str | None, frame: int | None) -> Dataset:
    made = _item(SegmentIdentificationSequence=Items([_item(ReferencedSegmentNumber=segment)]))
    if object_uid is not None:
        source = _item(SourceImageSequence=Items([_reference(object_uid, frame)]))
        made.DerivationImageSequence = Items([source])
    return made


def segmentation(
    frames: Sequence[Frame],
    labels: Sequence[str] = ("spot", "disc"),
    series: Sequence[str] = (),
    fractional: bool = False,
) -> FileDataset:
    stack = np.stack([frame[0] for frame in frames])
    made = dicoms.dataset(stack[0].astype(np.uint8))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = uid.SegmentationStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.99"
    made.Modality = "SEG"
    made.NumberOfFrames = len(frames)
    made.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    if fractional:
        made.SegmentationFractionalType = "PROBABILITY"
        made.MaximumFractionalValue = 200
        data = stack.astype(np.uint8).tobytes()
    else:
        made.BitsAllocated = made.BitsStored = 1
        made.HighBit = 0
        data = np.packbits(stack.ravel().astype(np.uint8), bitorder="little").tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB"
    made.SegmentSequence = Items(
        [_item(SegmentNumber=i, SegmentLabel=label) for i, label in enumerate(labels, start=1)]
    )
    made.PerFrameFunctionalGroupsSequence = Items([_groups(*frame[1:]) for frame in frames])
    made.SharedFunctionalGroupsSequence = Items([Dataset()])
    if series:
        references = Items([_reference(object_uid, None) for object_uid in series])
        made.ReferencedSeriesSequence = Items([_item(ReferencedInstanceSequence=references)])
    return made


def image_set(
    folder: Path,
    frames: int = 1,
    listed: Sequence[str] = ("a.dcm", "b.dcm"),
    size: tuple[int, int] = SIZE,
) -> Path:
    """Images 1.2.1, 1.2.2 and 1.2.3, of which two are listed."""
    (folder / "images").mkdir(parents=True)
    (folder / "segmentations").mkdir()
    rng = np.random.default_rng(0)
    for number, name in enumerate(("a", "b", "other"), start=1):
        count = frames if name == "a" else 1
        shape = (count, *size) if count > 1 else size
        made = dicoms.dataset(rng.integers(0, 255, shape, np.uint8), frames=count)
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
        (folder / "images" / f"{name}.dcm").write_bytes(dicoms.save(made))
    rows = "".join(f"{name},{i % 2}\n" for i, name in enumerate(listed))
    (folder / "table.csv").write_text("image,label\n" + rows)
    return folder / "table.csv"


def save(made: FileDataset, path: Path, syntax: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicoms.save(made, syntax))


def _masks(count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, *SIZE)) < 0.4


@pytest.mark.parametrize("place", ["segmentations/x.dcm", "segmentations/p1/x", "masks/x.dcm"])
@pytest.mark.parametrize("syntax", ["implicit", "explicit", "deflated"])
def test_packed_frames_are_matched_by_object_and_segment(
    place: str, syntax: str, tmp_path: Path
) -> None:
    masks = _masks(4)
    frames: list[Frame] = [
        (masks[0], 1, "1.2.2", None),
        (masks[1], 2, "1.2.1", None),
        (masks[2], 1, "1.2.1", None),
        (masks[3], 1, "1.2.3", None),  # of an image that is not listed
    ]
    path = image_set(tmp_path)
    save(segmentation(frames), tmp_path / place, dicoms.NATIVE[syntax])
    found = annotations(path)
    np.testing.assert_array_equal(file_mask(found, "b.dcm", "spot", SIZE), masks[0])
    np.testing.assert_array_equal(file_mask(found, "a.dcm", "disc", SIZE), masks[1])
    np.testing.assert_array_equal(file_mask(found, "a.dcm", "spot", SIZE), masks[2])
    assert not file_mask(found, "b.dcm", "disc", SIZE).any()
    assert found.findings == ("disc", "spot")
    # The loader's processes get it by pickle.
    again = pickle.loads(pickle.dumps(found))  # noqa: S301
    np.testing.assert_array_equal(file_mask(again, "a.dcm", "disc", SIZE), masks[1])


def test_pydicom_sees_the_same_bits(tmp_path: Path) -> None:
    masks = _masks(5)
    made = segmentation([(mask, 1, "1.2.1", None) for mask in masks])
    path = image_set(tmp_path)
    save(made, tmp_path / "segmentations" / "x.dcm")
    theirs = pydicom.dcmread(tmp_path / "segmentations" / "x.dcm").pixel_array
    np.testing.assert_array_equal(theirs, masks)
    ((_, mask),) = annotations(path).regions("a.dcm")  # frames of one finding are joined
    np.testing.assert_array_equal(mask, theirs.any(axis=0))


@pytest.mark.parametrize("syntax", ["explicit", "big-endian", "rle"])
def test_of_a_fraction_half_is_inside(syntax: str, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 201, (1, *SIZE))
    values[0, 0, :3] = (99, 100, 101)
    made = segmentation([(values[0], 1, "1.2.1", None)], fractional=True)
    path = image_set(tmp_path)
    (tmp_path / "segmentations" / "x.dcm").write_bytes(dicoms.encode(made, syntax))
    mask = file_mask(annotations(path), "a.dcm", "spot", SIZE)
    np.testing.assert_array_equal(mask, values[0] >= 100)


def test_frames_of_a_source_with_several_are_matched_by_number(tmp_path: Path) -> None:
    masks = _masks(3)
    frames: list[Frame] = [(masks[i], 1, "1.2.1", 3 - i) for i in range(3)]
    path = image_set(tmp_path, 4, ["a.dcm#1", "a.dcm#3", "b.dcm"])
    save(segmentation(frames), tmp_path / "segmentations" / "x.dcm")
    found = annotations(path)
    np.testing.assert_array_equal(file_mask(found, "a.dcm#3", "spot", SIZE), masks[0])
    np.testing.assert_array_equal(file_mask(found, "a.dcm#1", "spot", SIZE), masks[2])
    assert not found.has("b.dcm")
    save(segmentation([(masks[0], 1, "1.2.1", None)]), tmp_path / "segmentations" / "x.dcm")
    assert "does not say which of the 4 frames of 'a.dcm#1' it marks" in error(path)


def test_without_derivations_the_series_names_the_image(tmp_path: Path) -> None:
    (mask,) = _masks(1)
    path = image_set(tmp_path)
    made = segmentation([(mask, 1, None, None)], series=["1.2.2"])
    save(made, tmp_path / "segmentations" / "x.dcm")
    np.testing.assert_array_equal(file_mask(annotations(path), "b.dcm", "spot", SIZE), mask)
    made = segmentation([(mask, 1, None, None)], series=["1.2.1", "1.2.2"])
    save(made, tmp_path / "segmentations" / "x.dcm")
    assert "does not say which of 2 images its frame 1 marks" in error(path)


def test_masks_win_over_boxes_and_are_joined(tmp_path: Path) -> None:
    masks = _masks(2)
    path = image_set(tmp_path)
    for i in range(2):
        made = segmentation([(masks[i], 1, "1.2.1", None)])
        save(made, tmp_path / "segmentations" / f"{i}.dcm")
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height,finding\na.dcm,0,0,7,9,spot\n")
    mask = file_mask(annotations(path), "a.dcm", "spot", SIZE)
    np.testing.assert_array_equal(mask, masks[0] | masks[1])


def test_a_segment_without_a_label_is_called_after_what_it_shows(tmp_path: Path) -> None:
    made = segmentation([(_masks(1)[0], 1, "1.2.1", None)], labels=[""])
    path = image_set(tmp_path)
    save(made, tmp_path / "segmentations" / "x.dcm")
    assert "its segment 1 has no label" in error(path)
    code = _item(CodeValue="1", CodingSchemeDesignator="X", CodeMeaning="Lung")
    made.SegmentSequence[0].SegmentedPropertyTypeCodeSequence = Items([code])
    save(made, tmp_path / "segmentations" / "x.dcm")
    assert annotations(path).findings == ("Lung",)


def test_segmentations_of_images_outside_the_table_are_counted(tmp_path: Path) -> None:
    path = image_set(tmp_path)
    made = segmentation([(_masks(1)[0], 1, "1.2.3", None)])
    save(made, tmp_path / "segmentations" / "x.dcm")
    (tmp_path / "segmentations" / "notes.md").write_text("x")
    table = read(path)
    assert table.annotations is None
    assert any(note.startswith("1 DICOM segmentation(s) belong") for note in table.notes)
    assert any("1 file(s)" in note and "no DICOM file" in note for note in table.notes)


def test_a_segmentation_that_marks_no_image_at_all_is_refused(tmp_path: Path) -> None:
    path = image_set(tmp_path)
    good = segmentation([(_masks(1)[0], 1, "1.2.1", None)])
    save(good, tmp_path / "segmentations" / "good.dcm")
    lost = segmentation([(_masks(1)[0], 1, "1.2.8", None)])
    save(lost, tmp_path / "segmentations" / "lost.dcm")
    message = error(path)
    assert "lost.dcm: it refers to none of the images" in message
    assert "good.dcm" not in message


def test_one_of_another_size_is_refused(tmp_path: Path) -> None:
    path = image_set(tmp_path)
    made = segmentation([(np.ones((7, 9), bool), 1, "1.2.1", None)])
    save(made, tmp_path / "segmentations" / "x.dcm")
    assert "its masks have 9 x 7 px and the image 'a.dcm' 7 x 9" in error(path)


def _without(keyword: str) -> Any:
    return lambda made: delattr(made, keyword)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: setattr(made, "SegmentationType", "LABELMAP"), "of the type 'LABELMAP'"),
        (_without("SegmentationType"), "of the type ''"),
        (_without("PerFrameFunctionalGroupsSequence"), "does not say of each what it marks"),
        (lambda made: setattr(made, "NumberOfFrames", 2), "does not say of each what it marks"),
        (_without("SegmentSequence"), "its frame 1 belongs to no segment"),
        (_without("PixelData"), "has no pixels"),
        (lambda made: setattr(made, "PixelData", b"\0\0"), "truncated"),
        (lambda made: setattr(made, "Rows", 0), "which is no image"),
        (lambda made: setattr(made, "Rows", 60000), "has 7 x 60000 px|truncated"),
        (lambda made: setattr(made, "SOPClassUID", uid.CTImageStorage), "but 'CT Image Storage'"),
    ],
)
def test_a_file_that_is_no_segmentation_is_named(change: Any, said: str, tmp_path: Path) -> None:
    path = image_set(tmp_path)
    made = segmentation([(_masks(1)[0], 1, "1.2.1", None)])
    change(made)
    save(made, tmp_path / "segmentations" / "x.dcm")
    message = error(path)
    assert message.startswith(f"{tmp_path / 'segmentations'}, x.dcm: ")
    assert any(part in message for part in said.split("|"))


def test_an_image_among_the_segmentations_is_refused(tmp_path: Path) -> None:
    path = image_set(tmp_path)
    data = (tmp_path / "images" / "a.dcm").read_bytes()
    (tmp_path / "segmentations" / "x.dcm").write_bytes(data)
    assert "is no DICOM segmentation but 'Secondary Capture Image Storage'" in error(path)
    (tmp_path / "segmentations" / "x.dcm").write_text("not a DICOM file")
    assert "is not a DICOM file" in error(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about odd values
def test_damaged_files_end_in_one_sentence(tmp_path: Path) -> None:
    path = image_set(tmp_path)
    made = segmentation([(mask, 1, "1.2.1", None) for mask in _masks(3)])
    whole = dicoms.save(made)
    target = tmp_path / "segmentations" / "x.dcm"
    for length in range(140, len(whole), 37):
        target.write_bytes(whole[:length])
        error(path)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(132, len(whole), 4):
            data[place] = int(rng.integers(256))
        target.write_bytes(bytes(data))
        try:
            found = read(path).annotations
            regions = [] if found is None else found.regions("a.dcm")
            assert all(np.shape(mask) == SIZE for _, mask in regions)
        except InputError as caught:
            assert "\n" not in str(caught)
            refused += 1
    assert refused > 5
