from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from softcam.data.importers import convert as module
from softcam.data.importers.convert import NO_CIRCLE, Job, convert
from softcam.data.importers.plan import LeftOut, Shape
from softcam.data.importers.sources import Source
from softcam.data.readers import read_image
from softcam.errors import InputError
from tests.data import dicoms
from tests.data.importers.replicas import dicom, jpeg, png, put, retina


def run(tmp_path, data: bytes, shape: Shape, name="a.bin", known=None):
    put(tmp_path / "src" / name, data)
    return convert(Job(tmp_path / "src", tmp_path / "out", name, "sub/a", shape, known))


@pytest.fixture
def scan():
    return np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)


@pytest.mark.parametrize(("make", "suffix"), [(jpeg, ".jpg"), (png, ".png")])
def test_what_fits_is_copied_byte_for_byte_and_named_by_its_content(make, suffix, scan, tmp_path):
    data = make(scan)
    done = run(tmp_path, data, Shape("longer", 60), name="a.jpeg")
    assert (done.image, done.width, done.height) == (f"sub/a{suffix}", 60, 40)
    assert (tmp_path / "out" / done.image).read_bytes() == data


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (Shape("longer", 30), (30, 20)),
        (Shape("shorter", 30), (45, 30)),
        (Shape("longer", None), (60, 40)),
        (Shape("shorter", 100), (60, 40)),  # never enlarged
    ],
)
def test_the_size_follows_the_rule(shape, size, scan, tmp_path):
    done = run(tmp_path, png(scan), shape)
    with Image.open(tmp_path / "out" / done.image) as image:
        assert image.size == size == (done.width, done.height)
    assert done.geometry().input_size == size[::-1]


def test_sixteen_bits_of_grey_stay_sixteen(tmp_path):
    deep = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    done = run(tmp_path, png(deep), Shape("longer", 30))
    written = read_image(tmp_path / "out" / done.image)
    assert written.bit_depth == 16
    assert written.array.max() > 64000


def test_an_orientation_is_kept_in_mind(scan, tmp_path):
    path = put(tmp_path / "src" / "a.jpg", b"")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scan).save(path, exif=exif)
    done = convert(Job(tmp_path / "src", tmp_path / "out", "a.jpg", "a", Shape("longer", 30)))
    assert (done.source_width, done.source_height) == (40, 60)
    assert (done.width, done.height) == (20, 30)


def test_no_circle_is_noted(tmp_path):
    array = np.zeros((60, 90, 3), np.uint8)
    array[20:40, 20:70] = 200
    assert run(tmp_path, png(array), Shape("retina", 32)).note == NO_CIRCLE


@pytest.mark.parametrize("compressed", [True, False])
def test_dicom_becomes_a_png(compressed, scan, tmp_path):
    done = run(tmp_path, dicom(scan, compressed=compressed), Shape("longer", None))
    written = read_image(tmp_path / "out" / done.image).array
    assert done.image == "sub/a.png"
    expected = scan if not compressed else read_image(jpeg(scan)).array
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"text", "not a PNG, JPEG"),
        (jpeg(np.zeros((9, 9), np.uint8))[:-20], "damaged"),
        (png(np.zeros((9, 9), np.uint8))[:40], "damaged"),
        (b"\0" * 128 + b"DICM", "transfer syntax"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_said(data, words, tmp_path):
    done = run(tmp_path, data, Shape())
    assert isinstance(done, LeftOut) and done.problem
    assert words in done.detail
    assert not (tmp_path / "out").exists()


def test_a_missing_and_a_huge_file_are_left_out(tmp_path, monkeypatch):
    job = Job(tmp_path, tmp_path / "out", "gone.png", "gone", Shape())
    assert "cannot be opened" in convert(job).detail
    monkeypatch.setattr(module, "MAX_BYTES", 3)
    assert "more than" in run(tmp_path, b"four", Shape()).detail


def test_what_is_done_is_not_done_again_unless_something_changed(scan, tmp_path, monkeypatch):
    done = run(tmp_path, png(scan), Shape("longer", 30))
    shaped, calls = module._shaped, []

    def counted(*arguments):
        calls.append(1)
        return shaped(*arguments)

    monkeypatch.setattr(module, "_shaped", counted)
    assert run(tmp_path, png(scan), Shape("longer", 30), known=done) == done
    assert calls == []
    (tmp_path / "out" / done.image).write_bytes(b"damaged")
    assert run(tmp_path, png(scan), Shape("longer", 30), known=done) == done
    assert len(calls) == 1
    other = run(tmp_path, png(scan[::-1]), Shape("longer", 30), known=done)
    assert isinstance(other, Source) and other.sha256 != done.sha256
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_image(scan, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match="cannot write here"):
        run(tmp_path, png(scan), Shape())


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (Shape("longer", None), (60, 80)),
        (Shape("longer", 40), (30, 40)),
        (Shape("shorter", 30), (30, 40)),
    ],
)
def test_pixels_that_are_not_square_become_square(shape, size, scan, tmp_path):
    made = dicoms.dataset(scan, PixelAspectRatio=[2, 1])
    done = run(tmp_path, dicoms.save(made), shape)
    with Image.open(tmp_path / "out" / done.image) as image:
        assert image.size == size == (done.width, done.height)
    assert (done.source_width, done.source_height) == (60, 40)
    np.testing.assert_allclose(done.geometry().to_file(np.array(size)), (60, 40))


def test_the_circle_is_found_in_pixels_that_are_not_square(tmp_path):
    squeezed = retina(240, 300, (120.0, 150.0), 90.0)[::2]
    made = dicoms.dataset(squeezed, "RGB", PixelAspectRatio=[2, 1])
    done = run(tmp_path, dicoms.save(made), Shape("retina", 64))
    assert (done.width, done.height, done.note) == (64, 64, "")
    box = done.crop_x, done.crop_y, done.crop_width, done.crop_height
    np.testing.assert_allclose(box, (30, 30, 180, 90), atol=3)
