from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.pixels import pixel_array

from softcam.data.dicom import read_dicom, read_dicom_header
from softcam.errors import InputError
from tests.data import dicoms
from tests.data.dicomvalues import refusal, rgb_of, rng, scaled, values_of

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# --- every transfer syntax and photometric interpretation

GREY = [(8, 8, np.uint8), (12, 16, np.uint16), (16, 16, np.uint16), (16, 16, np.int16)]


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize(("bits", "allocated", "dtype"), GREY)
@pytest.mark.parametrize("syntax", dicoms.LOSSLESS)
def test_grey_is_exact(
    syntax: str, bits: int, allocated: int, dtype: type, photometric: str
) -> None:
    values = values_of(bits, dtype)
    data = dicoms.encode(dicoms.dataset(values, photometric, bits=bits), syntax)
    image = read_dicom(data)
    white = 255 if bits == 8 else 65535
    expected = scaled(values.astype(float), values.min(), values.max(), white)
    if photometric == "MONOCHROME1":
        expected = white - expected
    assert image.pixels.bit_depth == allocated
    np.testing.assert_array_equal(image.pixels.array, expected)
    stored = pydicom.dcmread(BytesIO(data)).pixel_array
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("syntax", [*dicoms.NATIVE, "rle"])
def test_rgb_is_exact_in_both_planar_configurations(syntax: str, dtype: type, planar: int) -> None:
    values = values_of(8 * np.dtype(dtype).itemsize, dtype, (7, 9, 3))
    made = dicoms.dataset(values, "RGB")
    if planar and syntax != "rle":
        made.PlanarConfiguration = 1
        data = np.ascontiguousarray(np.moveaxis(values, 2, 0)).tobytes()
        made.PixelData = data + b"\0" * (len(data) % 2)
    image = read_dicom(dicoms.encode(made, syntax))
    np.testing.assert_array_equal(image.pixels.array, values)


@pytest.mark.parametrize("syntax", ["jpeg-ls", "jpeg-2000", *dicoms.GDCM])
def test_compressed_rgb_is_exact(syntax: str) -> None:
    values = values_of(8, np.uint8, (34, 40, 3))
    image = read_dicom(dicoms.encode(dicoms.dataset(values, "RGB"), syntax))
    np.testing.assert_array_equal(image.pixels.array, values)


@pytest.mark.parametrize("syntax", [*dicoms.NATIVE, "rle", "jpeg-ls"])
def test_ybr_full_becomes_rgb(syntax: str) -> None:
    values = values_of(8, np.uint8, (8, 10, 3))
    data = dicoms.encode(dicoms.dataset(values, "YBR_FULL"), syntax)
    array = read_dicom(data).pixels.array
    assert np.abs(array - rgb_of(values)).max() <= 1  # the standard does not say how to round
    np.testing.assert_array_equal(array, pixel_array(pydicom.dcmread(BytesIO(data))))


@pytest.mark.parametrize("syntax", dicoms.NATIVE)
def test_uncompressed_ybr_full_422_becomes_rgb(syntax: str) -> None:
    pairs = values_of(8, np.uint8, (6, 4, 4))  # rows, pairs of pixels, (Y1, Y2, Cb, Cr)
    full = np.empty((6, 8, 3), np.uint8)
    full[:, ::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    full[:, :, 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
    made = dicoms.dataset(full, "YBR_FULL_422")
    made.PixelData = pairs.tobytes()
    array = read_dicom(dicoms.encode(made, syntax)).pixels.array
    assert np.abs(array - rgb_of(full)).max() <= 1


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("syntax", dicoms.LOSSLESS)
def test_a_palette_is_resolved_to_its_colours(syntax: str, depth: int) -> None:
    first = 20
    values = values_of(8, np.uint8)
    colours = rng().integers(0, 1 << depth, (200, 3))
    made = dicoms.dataset(values, "PALETTE COLOR")
    for i, name in enumerate(("Red", "Green", "Blue")):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [200, first, depth])
        data = colours[:, i].astype(f"<u{depth // 8}").tobytes()
        setattr(made, f"{name}PaletteColorLookupTableData", data)
    if syntax == "big-endian" and depth == 16:
        assert "big-endian palette" in refusal(dicoms.encode(made, syntax))
        return
    array = read_dicom(dicoms.encode(made, syntax)).pixels.array
    place = np.clip(values.astype(int) - first, 0, 199)
    assert array.dtype == f"u{depth // 8}"
    np.testing.assert_array_equal(array, colours[place])


def test_a_segmented_palette_is_expanded_and_a_bomb_of_segments_is_not() -> None:
    values = values_of(8, np.uint8)
    made = dicoms.dataset(values, "PALETTE COLOR")
    ramp = np.array([0, 1, 0, 1, 255, 255 * 257], "<u2").tobytes()  # one entry, then a line
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"Segmented{name}PaletteColorLookupTableData", ramp)
    array = read_dicom(dicoms.save(made)).pixels.array
    np.testing.assert_array_equal(array, np.repeat(values[..., None].astype(int) * 257, 3, axis=2))
    bomb = np.tile(np.array([1, 65535, 7], "<u2"), 20_000).tobytes()
    made.SegmentedGreenPaletteColorLookupTableData = bomb
    assert "segmented palette" in refusal(dicoms.save(made))
    made.SegmentedGreenPaletteColorLookupTableData = np.array([2, 1, 0, 0], "<u2").tobytes()
    assert "indirect" in refusal(dicoms.save(made))


def test_grey_jpeg_baseline_is_what_pillow_decodes() -> None:
    smooth = np.linspace(0, 255, 32 * 40).reshape(32, 40).astype(np.uint8)
    data, jpeg = dicoms.lossy_jpeg(smooth, "MONOCHROME2", quality=90)
    expected = np.asarray(Image.open(BytesIO(jpeg)))
    np.testing.assert_array_equal(read_dicom(data).pixels.array, expected)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_colour_jpeg_baseline_is_what_pydicom_decodes(subsampling: int) -> None:
    grey = np.linspace(0, 255, 32 * 40).reshape(32, 40).astype(np.uint8)
    colour = np.stack([grey, 255 - grey, np.full_like(grey, 90)], axis=2)
    data, jpeg = dicoms.lossy_jpeg(colour, "YBR_FULL_422", quality=95, subsampling=subsampling)
    array = read_dicom(data).pixels.array
    np.testing.assert_array_equal(array, pixel_array(BytesIO(data)))
    near = np.asarray(Image.open(BytesIO(jpeg))).astype(int)
    assert np.abs(array.astype(int) - near).max() <= 2  # YBR to RGB in float and in integers


@pytest.mark.parametrize("bits", [8, 12])
def test_near_lossless_jpeg_ls_stays_within_its_error(bits: int) -> None:
    values = values_of(bits, np.uint16 if bits > 8 else np.uint8, (16, 20))
    made = dicoms.dataset(values, bits=bits, WindowCenter=1 << (bits - 1), WindowWidth=1 << bits)
    made.compress(uid.JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    array = read_dicom(dicoms.save(made)).pixels.array
    white = 255 if bits == 8 else 65535
    step = white / ((1 << bits) - 1)
    assert np.abs(array - values * step).max() <= 2 * step + 1


def test_lossy_jpeg_2000_in_ybr_ict_is_near() -> None:
    grey = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    colour = np.stack([grey, grey[::-1], grey.T], axis=2)
    made = dicoms.dataset(colour, "RGB")
    made.PhotometricInterpretation = "YBR_ICT"
    made.compress(uid.JPEG2000, np.asarray(colour), j2k_psnr=[50], generate_instance_uid=False)
    array = read_dicom(dicoms.save(made)).pixels.array
    assert np.abs(array.astype(int) - colour).max() < 12


# --- files from elsewhere


def _bundled() -> list[Path]:
    return sorted(path for path in BUNDLED.rglob("*") if path.is_file())


def test_there_are_bundled_files() -> None:
    assert len(_bundled()) > 100


@pytest.mark.parametrize("path", _bundled(), ids=lambda path: path.name)
def test_pydicoms_own_files_are_read_as_by_pydicom_or_refused(path: Path) -> None:
    try:
        header = read_dicom_header(path)
        count = header.frames
        image = read_dicom(path, frame=1 if count > 1 else None)
    except InputError as error:
        assert "\n" not in str(error)
        assert path.name in str(error)
        return
    assert image.pixels.size == header.size
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array
    stored = stored[0] if count > 1 else stored
    if stored.ndim == 3:
        expected = pixel_array(dataset, index=0 if count > 1 else None)
        np.testing.assert_array_equal(image.pixels.array, expected)
    elif dataset.PhotometricInterpretation != "PALETTE COLOR":
        order = np.argsort(stored, axis=None, kind="stable")
        rising = np.diff(image.pixels.array.reshape(-1)[order].astype(int))
        inverse = dataset.PhotometricInterpretation == "MONOCHROME1"
        assert (rising <= 0).all() if inverse else (rising >= 0).all()


def test_most_of_pydicoms_images_are_read() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = 0
        for path in BUNDLED.glob("*.dcm"):
            try:
                read_dicom(path, frame=1)
            except InputError:
                continue
            read += 1
    assert read >= 40


def test_colour_in_jpeg_2000_counts_twice_against_the_limit() -> None:
    colour = np.zeros((64, 50, 3), np.uint8)
    packed, plain = (
        dicoms.encode(dicoms.dataset(colour, "RGB"), name) for name in ("jpeg-2000", "explicit")
    )
    assert read_dicom(plain, max_pixels=3200).pixels.size == (64, 50)
    assert read_dicom(packed, max_pixels=6400).pixels.size == (64, 50)
    with pytest.raises(InputError, match="50 x 64 px in JPEG 2000 colour, more than the 3199 px"):
        read_dicom(packed, max_pixels=6399)


def test_twelve_bit_lossy_jpeg_is_refused_for_want_of_a_free_decoder() -> None:
    assert "freely licensed" in refusal(BUNDLED / "JPEG-lossy.dcm")
