"""Every kind of finding planted and found; nothing found where nothing is."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from softcam.data import fingerprint
from softcam.data.duplicates import group_similar
from softcam.data.fingerprint import Fingerprint, fingerprint_table
from softcam.data.hints import find_hint, in_words
from softcam.data.phantom import draw
from softcam.data.quality import check_patients, find_problems
from softcam.data.readers import file_format
from softcam.data.table import read_table
from softcam.errors import InputError

SIZE = 96


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [np.asarray(image) for image in draw("fundus", 24, size=SIZE, seed=3).images]


class DataSet:
    """A small data set that tests spoil: image, label, split and patient of each row."""

    def __init__(self, folder: Path, pictures: list[np.ndarray]) -> None:
        self.folder = folder
        self.rows: list[list[str]] = []
        (folder / "images").mkdir()
        for number, picture in enumerate(pictures):
            split = ("train", "train", "val", "test")[number // 2 % 4]
            self.add(f"{number}.png", picture, ("healthy", "sick")[number % 2], split)

    def add(self, name, picture, label, split, patient=None, **options) -> None:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(self.folder / "images" / name, **options)
        self.rows.append([name, label, split, patient or f"p-{name}"])

    def check(self):
        lines = ["image,label,split,patient", *(",".join(row) for row in self.rows)]
        (self.folder / "table.csv").write_text("\n".join(lines) + "\n")
        table = read_table(self.folder)
        return {f.kind: f for f in find_problems(table, fingerprint_table(table))}


@pytest.fixture
def data(tmp_path, pictures) -> DataSet:
    return DataSet(tmp_path, pictures)


def test_a_clean_table_has_no_findings(data):
    assert data.check() == {}


def test_a_patient_in_two_splits(data):
    data.rows[0][3] = data.rows[7][3] = "anna"
    found = data.check()
    assert list(found) == ["patient_across_splits"]
    finding = found["patient_across_splits"]
    assert (finding.severity, finding.count, finding.fatal) == ("leak", 1, True)
    assert finding.examples == ("patient 'anna': 0.png (row 2, train) = 7.png (row 9, test)",)
    table = read_table(data.folder)
    assert check_patients(table.records) == [finding]
    assert any(finding.sentence.startswith(note) for note in table.notes)


def test_the_same_file_in_two_splits(data, pictures):
    data.add("again.png", pictures[0], "healthy", "test")
    found = data.check()
    assert list(found) == ["file_across_splits"]
    assert found["file_across_splits"].severity == "leak"
    assert found["file_across_splits"].examples == (
        "0.png (row 2, train) = again.png (row 26, test)",
    )


def test_the_same_file_with_two_labels(data, pictures):
    data.add("again.png", pictures[0], "sick", "train")
    found = data.check()
    assert list(found) == ["file_labels"]
    assert found["file_labels"].severity == "conflict"
    assert found["file_labels"].examples == ("0.png (row 2, healthy) = again.png (row 26, sick)",)


def test_the_same_file_twice_in_a_split(data, pictures):
    data.add("again.png", pictures[0], "healthy", "train")
    data.add("third.png", pictures[0], "healthy", "train")
    found = data.check()
    assert list(found) == ["file_twice"]
    assert (found["file_twice"].severity, found["file_twice"].fatal) == ("quality", False)
    assert found["file_twice"].count == 1
    assert "third.png (row 27)" in found["file_twice"].examples[0]


def test_a_recompressed_copy_in_another_split(data, pictures):
    data.add("copy.jpg", pictures[0], "healthy", "test", quality=80)
    found = data.check()
    assert list(found) == ["similar_across_splits"]
    assert found["similar_across_splits"].severity == "leak"
    assert found["similar_across_splits"].examples == (
        "0.png (row 2, train) = copy.jpg (row 26, test)",
    )


def test_a_recompressed_copy_with_another_label(data, pictures):
    data.add("copy.jpg", pictures[0], "sick", "train", quality=80)
    found = data.check()
    assert list(found) == ["similar_labels"]
    assert found["similar_labels"].severity == "conflict"


def test_copies_in_one_split_matter_when_they_have_two_patients(data, pictures):
    data.add("copy.jpg", pictures[0], "healthy", "train", patient="p-0.png", quality=80)
    assert data.check() == {}
    data.rows[-1][3] = "somebody else"
    found = data.check()
    assert list(found) == ["similar_patients"]
    assert found["similar_patients"].severity == "quality"


def test_pages_of_one_file_leak_but_do_not_contradict_each_other(data, pictures):
    pages = [Image.fromarray(np.flipud(picture)) for picture in pictures[:3]]
    pages[0].save(data.folder / "images" / "scan.tif", save_all=True, append_images=pages[1:])
    data.rows += [
        ["scan.tif#1", "healthy", "train", "anna"],
        ["scan.tif#2", "sick", "train", "anna"],
    ]
    assert data.check() == {}
    data.rows.append(["scan.tif#3", "sick", "test", "anna"])
    assert list(data.check()) == ["patient_across_splits", "file_across_splits"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_without_contrast(data, dtype):
    flat = np.full((SIZE, SIZE), 90, dtype)
    nearly = flat.copy()
    nearly[4:20] += 2
    data.add("flat.png", flat, "healthy", "train")
    data.add("nearly.png", nearly, "sick", "test")
    found = data.check()
    assert list(found) == ["constant"]
    assert found["constant"].count == 2
    assert found["constant"].examples == ("flat.png (row 26)", "nearly.png (row 27)")


@pytest.mark.parametrize(
    "kind, spoil, options",
    [
        ("hint_size", lambda a: a[: SIZE - 8, : SIZE - 8], {}),
        ("hint_colour", lambda a: a[:, :, 1], {}),
        ("hint_bits", lambda a: a[:, :, 1].astype(np.uint16) * 257, {}),
        ("hint_format", lambda a: a, {"format": "JPEG", "quality": 90}),
    ],
)
def test_a_property_that_predicts_the_label(data, pictures, kind, spoil, options):
    for (name, label, _, _), picture in zip(data.rows, pictures, strict=True):
        if label == "sick":
            Image.fromarray(spoil(picture)).save(data.folder / "images" / name, **options)
    found = data.check()
    assert kind in found
    assert {f.severity for f in found.values()} == {"hint"}
    assert any("12 of 12 are 'sick'" in example for example in found[kind].examples)
    assert "predicts the label (it explains" in found[kind].sentence
    assert "hint_aspect" not in found


def test_a_multilabel_hint_names_its_class(tmp_path, pictures):
    (tmp_path / "dataset.yaml").write_text("task: multilabel\nclasses: [wet, dry]\n")
    lines = ["image,wet,dry,split"]
    for number, picture in enumerate(pictures):
        tall = number % 2
        Image.fromarray(picture[: SIZE - 20 * tall]).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number // 2 % 2},{tall if number > 1 else ''},train")
    lines.append(f"copy.jpg,,{1},train")  # alike in what is known: no conflict
    Image.fromarray(pictures[3][: SIZE - 20]).save(tmp_path / "copy.jpg", quality=90)
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    table = read_table(tmp_path)
    found = find_problems(table, fingerprint_table(table))
    assert [f.kind for f in found] == ["hint_size", "similar_patients"]
    assert "predicts the label 'dry'" in found[0].sentence


def test_findings_are_sorted_and_repeat(data, pictures):
    data.add("flat.png", np.zeros((9, 9), np.uint8), "sick", "val")
    data.add("again.png", pictures[0], "sick", "test")
    first = data.check()
    assert list(first) == ["file_across_splits", "file_labels", "constant"]
    assert data.check() == first


def test_unreadable_images_are_listed_together(data):
    for name in ("0.png", "1.png"):
        (data.folder / "images" / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"2 problems: row 2: .*0\.png.*; row 3: .*1\.png"):
        data.check()


def test_each_image_is_decoded_once_and_progress_is_told(data, monkeypatch):
    data.check()
    read = []
    original = fingerprint.read_image
    monkeypatch.setattr(fingerprint, "read_image", lambda p: read.append(p) or original(p))
    table, told = read_table(data.folder), []
    fingerprint_table(table, progress=lambda done, total: told.append((done, total)))
    assert read == [record.image for record in table.records]
    assert told == [(i + 1, 24) for i in range(24)]


@pytest.mark.parametrize(
    "head, expected",
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"II*\0", "TIFF"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"\x1f\x8b", "NIfTI"),
    ],
)
def test_a_format_is_named_by_its_first_bytes(head, expected):
    stream = BytesIO(head)
    assert file_format(stream) == expected
    assert stream.tell() == 0


def print_of(array: np.ndarray, digest: str) -> Fingerprint:
    small = fingerprint.thumbnail(array)
    return Fingerprint(
        digest,
        None,
        "PNG",
        array.shape[:2],
        8,
        "RGB",
        False,
        fingerprint.perceptual_hash(small),
        fingerprint.fine_detail(small),
    )


@pytest.fixture(scope="module", params=["fundus", "oct", "chest"])
def phantoms(request) -> list[np.ndarray]:
    return [np.asarray(image) for image in draw(request.param, 40, size=128, seed=5).images]


def test_different_phantoms_are_not_alike(phantoms):
    assert group_similar([print_of(a, str(i)) for i, a in enumerate(phantoms)]) == []


@settings(max_examples=20, deadline=None)
@given(
    index=st.integers(0, 39),
    scale=st.floats(0.6, 1.8),
    quality=st.integers(40, 95),
    gain=st.floats(0.7, 1.0),
)
def test_a_resized_recompressed_dimmed_copy_is_found(phantoms, index, scale, quality, gain):
    image = Image.fromarray((phantoms[index] * gain).astype(np.uint8))
    side = round(128 * scale)
    stream = BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=quality)
    copy = print_of(np.asarray(Image.open(stream)), "copy")
    prints = [print_of(a, str(i)) for i, a in enumerate(phantoms)]
    assert group_similar([*prints, copy]) == [[index, 40]]


def test_photographs_of_one_camera_are_not_alike_for_the_rim_that_they_share():
    """The edge of the field of view, with its notch, is far stronger than any vessel."""
    generator = np.random.default_rng(2)
    row, column = np.mgrid[:128, :160]
    field = np.hypot(row - 64, column - 80) < 70
    field[20:30, 125:135] = False
    photographs = []
    for _ in range(30):
        smooth = Image.fromarray(generator.normal(size=(24, 30)).astype(np.float32))
        vessels = np.asarray(smooth.resize((160, 128), Image.Resampling.BICUBIC))
        photographs.append((field * (150 + 3 * vessels)).clip(0, 255).astype(np.uint8))
    assert group_similar([print_of(a, str(i)) for i, a in enumerate(photographs)]) == []


@pytest.mark.parametrize("spread", [64, 12])  # the second has many pairs that hashes let pass
def test_many_images_are_grouped_exactly(spread):
    """Three thousand images, among them chains over the tiles that are compared at once."""
    generator = np.random.default_rng(0)
    count = 3000
    details = generator.normal(size=(count, 64)).astype(np.float32)
    hashes = generator.integers(0, 2**63, count, dtype=np.uint64) >> np.uint64(64 - spread)
    expected = [[0, 1500, 2999], [7, 8], [700, 2100]]
    for group in expected:
        for step, index in enumerate(group):
            hashes[index] = hashes[group[0]] ^ np.uint64(2**step - 1)
            details[index] = details[group[0]]
    hashes[20], hashes[21] = 5, 5  # alike by hash and not by detail
    details /= np.linalg.norm(details, axis=1, keepdims=True)
    prints = [
        Fingerprint(str(i), None, "PNG", (1, 1), 8, "grey", False, int(h), d.astype(np.float16))
        for i, (h, d) in enumerate(zip(hashes, details, strict=True))
    ]
    assert group_similar(prints) == expected


def test_a_table_of_one_picture_is_one_group():
    detail = np.eye(1, 64, dtype=np.float16)[0]
    prints = [
        Fingerprint(str(i), None, "PNG", (1, 1), 8, "grey", False, 9, detail) for i in range(1500)
    ]
    assert group_similar(prints) == [list(range(1500))]


@pytest.mark.parametrize("count, found", [(2, False), (10, False), (24, True)])
def test_a_few_images_are_no_hint(count, found):
    labels = [i % 2 for i in range(count)]
    values = ["ab"[label] for label in labels]
    patients = [str(i) for i in range(count)]
    assert (find_hint(values, labels, patients) is not None) == found


def test_many_images_of_few_patients_are_no_hint():
    labels = [i % 2 for i in range(200)]
    assert find_hint(["ab"[n] for n in labels], labels, [f"p{i % 4}" for i in range(200)]) is None


def test_a_property_of_its_own_for_each_image_is_no_hint():
    labels = [i % 2 for i in range(60)]
    assert find_hint([str(i) for i in range(60)], labels, [str(i) for i in range(60)]) is None


def test_a_rare_class_is_enough_for_a_hint():
    labels = [int(i % 20 == 0) for i in range(400)]
    values = ["jpeg" if n else "png" for n in labels]
    hint = find_hint(values, labels, [str(i) for i in range(400)])
    assert hint is not None
    assert hint.explained > 0.9
    assert hint.examples == (("png", 0, 380, 380), ("jpeg", 1, 20, 20))


def test_chance_is_no_hint():
    generator = np.random.default_rng(1)
    for _ in range(10):
        labels = generator.integers(0, 3, 90).tolist()
        values = [str(v) for v in generator.integers(0, 4, 90)]
        assert find_hint(values, labels, [str(i) for i in range(90)]) is None


def test_many_numbers_are_sorted_into_bins():
    assert in_words([1, 2, 1], ["a", "b", "a"]) == ["a", "b", "a"]
    numbers = list(range(20))
    words = in_words(numbers, [f"{n} px" for n in numbers])
    assert len(set(words)) == 5
    assert words[0] == "0 px to 3 px"
