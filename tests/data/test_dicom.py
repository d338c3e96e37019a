from __future__ import annotations

import time
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence

from softcam.data import dicomframe
from softcam.data.dicom import read_dicom, read_dicom_header
from softcam.data.readers import image_size, read_image
from softcam.errors import InputError, MissingExtraError
from tests.data import dicoms

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def _rng() -> np.random.Generator:
    return np.random.default_rng(3)


def _values(bits: int, dtype: type, shape: tuple[int, ...] = (35, 40)) -> np.ndarray:
    """Random values with the whole range among them."""
    info = (-(1 << (bits - 1)), 1 << (bits - 1)) if np.dtype(dtype).kind == "i" else (0, 1 << bits)
    array = _rng().integers(*info, shape)
    array.reshape(-1)[:2] = info[0], info[1] - 1
    return array.astype(dtype)


def _scaled(values: np.ndarray, low: float, high: float, white: int) -> np.ndarray:
    low, high = float(low), float(high)
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * white)


def _rgb(ybr: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2, solved for RGB."""
    y, cb, cr = np.moveaxis(ybr.astype(np.float64), -1, 0)
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255)


def _refused(source: Any, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_dicom(source, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- every transfer syntax and photometric interpretation

GREY = [(8, 8, np.uint8), (12, 16, np.uint16), (16, 16, np.uint16), (16, 16, np.int16)]


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize(("bits", "allocated", "dtype"), GREY)
@pytest.mark.parametrize("syntax", dicoms.LOSSLESS)
def test_grey_is_exact(
    syntax: str, bits: int, allocated: int, dtype: type, photometric: str
) -> None:
    values = _values(bits, dtype)
    data = dicoms.encode(dicoms.dataset(values, photometric, bits=bits), syntax)
    image = read_dicom(data)
    white = 255 if bits == 8 else 65535
    expected = _scaled(values.astype(float), values.min(), values.max(), white)
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
    values = _values(8 * np.dtype(dtype).itemsize, dtype, (7, 9, 3))
    made = dicoms.dataset(values, "RGB")
    if planar and syntax != "rle":
        made.PlanarConfiguration = 1
        data = np.ascontiguousarray(np.moveaxis(values, 2, 0)).tobytes()
        made.PixelData = data + b"\0" * (len(data) % 2)
    image = read_dicom(dicoms.encode(made, syntax))
    np.testing.assert_array_equal(image.pixels.array, values)


@pytest.mark.parametrize("syntax", ["jpeg-ls", "jpeg-2000", *dicoms.GDCM])
def test_compressed_rgb_is_exact(syntax: str) -> None:
    values = _values(8, np.uint8, (34, 40, 3))
    image = read_dicom(dicoms.encode(dicoms.dataset(values, "RGB"), syntax))
    np.testing.assert_array_equal(image.pixels.array, values)


@pytest.mark.parametrize("syntax", [*dicoms.NATIVE, "rle", "jpeg-ls"])
def test_ybr_full_becomes_rgb(syntax: str) -> None:
    values = _values(8, np.uint8, (8, 10, 3))
    data = dicoms.encode(dicoms.dataset(values, "YBR_FULL"), syntax)
    array = read_dicom(data).pixels.array
    assert np.abs(array - _rgb(values)).max() <= 1  # the standard does not say how to round
    np.testing.assert_array_equal(array, pixel_array(pydicom.dcmread(BytesIO(data))))


@pytest.mark.parametrize("syntax", dicoms.NATIVE)
def test_uncompressed_ybr_full_422_becomes_rgb(syntax: str) -> None:
    pairs = _values(8, np.uint8, (6, 4, 4))  # rows, pairs of pixels, (Y1, Y2, Cb, Cr)
    full = np.empty((6, 8, 3), np.uint8)
    full[:, ::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    full[:, :, 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
    made = dicoms.dataset(full, "YBR_FULL_422")
    made.PixelData = pairs.tobytes()
    array = read_dicom(dicoms.encode(made, syntax)).pixels.array
    assert np.abs(array - _rgb(full)).max() <= 1


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("syntax", dicoms.LOSSLESS)
def test_a_palette_is_resolved_to_its_colours(syntax: str, depth: int) -> None:
    first = 20
    values = _values(8, np.uint8)
    colours = _rng().integers(0, 1 << depth, (200, 3))
    made = dicoms.dataset(values, "PALETTE COLOR")
    for i, name in enumerate(("Red", "Green", "Blue")):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [200, first, depth])
        data = colours[:, i].astype(f"<u{depth // 8}").tobytes()
        setattr(made, f"{name}PaletteColorLookupTableData", data)
    if syntax == "big-endian" and depth == 16:
        assert "big-endian palette" in _refused(dicoms.encode(made, syntax))
        return
    array = read_dicom(dicoms.encode(made, syntax)).pixels.array
    place = np.clip(values.astype(int) - first, 0, 199)
    assert array.dtype == f"u{depth // 8}"
    np.testing.assert_array_equal(array, colours[place])


def test_a_segmented_palette_is_expanded_and_a_bomb_of_segments_is_not() -> None:
    values = _values(8, np.uint8)
    made = dicoms.dataset(values, "PALETTE COLOR")
    ramp = np.array([0, 1, 0, 1, 255, 255 * 257], "<u2").tobytes()  # one entry, then a line
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"Segmented{name}PaletteColorLookupTableData", ramp)
    array = read_dicom(dicoms.save(made)).pixels.array
    np.testing.assert_array_equal(array, np.repeat(values[..., None].astype(int) * 257, 3, axis=2))
    bomb = np.tile(np.array([1, 65535, 7], "<u2"), 20_000).tobytes()
    made.SegmentedGreenPaletteColorLookupTableData = bomb
    assert "segmented palette" in _refused(dicoms.save(made))
    made.SegmentedGreenPaletteColorLookupTableData = np.array([2, 1, 0, 0], "<u2").tobytes()
    assert "indirect" in _refused(dicoms.save(made))


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
    values = _values(bits, np.uint16 if bits > 8 else np.uint8, (16, 20))
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


# --- grey as displayed


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, value by value."""
    out = np.empty(values.shape)
    for place, x in np.ndenumerate(values.astype(float)):
        if function == "SIGMOID":
            out[place] = 1 / (1 + np.exp(-4 * (x - center) / width))
            continue
        c, w = (center - 0.5, width - 1) if function == "LINEAR" else (center, width)
        if x <= c - w / 2:
            out[place] = 0
        elif x > c + w / 2:
            out[place] = 1
        else:
            out[place] = (x - c) / w + 0.5
    return out


@pytest.mark.parametrize("inverse", ["", "MONOCHROME1", "INVERSE", "both"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_ct_is_rescaled_and_windowed(function: str, inverse: str) -> None:
    values = _values(12, np.uint16, (9, 9))
    made = dicoms.dataset(
        values,
        "MONOCHROME1" if inverse in ("MONOCHROME1", "both") else "MONOCHROME2",
        bits=12,
        RescaleSlope="1.5",
        RescaleIntercept="-1024",
        WindowCenter=["40", "300"],
        WindowWidth=["400", "1500"],
        VOILUTFunction=function,
    )
    if inverse in ("INVERSE", "both"):
        made.PresentationLUTShape = "INVERSE"
    expected = np.rint(65535 * _window(values * 1.5 - 1024, 40, 400, function))
    expected = 65535 - expected if inverse else expected
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_window_can_be_given_and_the_files_own_be_left_out() -> None:
    values = _values(12, np.int16, (9, 9))
    made = dicoms.dataset(values, bits=12, WindowCenter=0, WindowWidth=10)
    data = dicoms.save(made)
    expected = np.rint(65535 * _window(values, 100, 500, "LINEAR"))
    np.testing.assert_array_equal(read_dicom(data, window=(100, 500)).pixels.array, expected)
    expected = _scaled(values.astype(float), -2048, 2047, 65535)
    np.testing.assert_array_equal(read_dicom(data, window="full").pixels.array, expected)
    assert "finite center" in _refused(data, window=(0, 0))
    assert "'file', 'full'" in _refused(data, window="bone")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_over_the_full_range_the_samples_stand_for_modality_units(photometric, kind) -> None:
    values = _values(12, kind, (9, 9))
    made = dicoms.dataset(
        values,
        photometric,
        bits=12,
        Modality="CT",
        RescaleSlope="1.5",
        RescaleIntercept="-1024",
        WindowCenter=["40", "300"],
        WindowWidth=["400", "1500"],
    )
    image = read_dicom(dicoms.save(made), window="full")
    scale = image.scale
    assert scale is not None
    assert (scale.unit, scale.center, scale.width, scale.function) == ("HU", 40, 400, "LINEAR")
    units = scale.black + image.pixels.array / 65535 * (scale.white - scale.black)
    np.testing.assert_allclose(units, values * 1.5 - 1024, atol=0.06)
    assert (scale.white < scale.black) == (photometric == "MONOCHROME1")
    assert read_dicom(dicoms.save(made)).scale is None


def test_a_lookup_table_is_no_window_and_colour_has_no_scale() -> None:
    values = _values(12, np.uint16, (9, 9))
    table = dicoms.lut(np.arange(0, 4096, 16), 0, 12)
    made = dicoms.dataset(values, bits=12, VOILUTSequence=[table], WindowCenter=1, WindowWidth=9)
    scale = read_dicom(dicoms.save(made), window="full").scale
    assert scale is not None
    assert (scale.black, scale.white, scale.unit, scale.center) == (0, 4095, "", None)
    colour = dicoms.dataset(np.zeros((4, 4, 3), np.uint8), "RGB")
    assert read_dicom(dicoms.save(colour), window="full").scale is None


def test_a_window_of_width_0_means_none_and_padding_is_left_out() -> None:
    values = np.array([[-2000, -2000, 5], [1000, 400, -30]], np.int16)
    made = dicoms.dataset(values, WindowCenter=0, WindowWidth=0, PixelPaddingValue=-2000)
    expected = _scaled(values.astype(float), -30, 1000, 65535)
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_voi_lut_comes_before_a_window() -> None:
    values = _values(12, np.uint16, (9, 9))
    entries = _rng().integers(0, 1 << 10, 3000)
    made = dicoms.dataset(values, bits=12, WindowCenter=0, WindowWidth=10)
    made.VOILUTSequence = Sequence([dicoms.lut(entries, 500, 10)])
    place = np.clip(values.astype(int) - 500, 0, 2999)
    expected = _scaled(entries[place].astype(float), 0, 1023, 65535)
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_modality_lut_comes_before_the_window_and_may_have_8_bits() -> None:
    values = _values(12, np.uint16, (9, 9))
    entries = _rng().integers(0, 256, 4096)
    made = dicoms.dataset(values, bits=12, WindowCenter=100, WindowWidth=100)
    made.ModalityLUTSequence = Sequence([dicoms.lut(entries, 0, 8)])
    made.ModalityLUTSequence[0].ModalityLUTType = "US"
    expected = np.rint(65535 * _window(entries[values], 100, 100, "LINEAR"))
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_lut_shorter_than_it_says_is_refused() -> None:
    made = dicoms.dataset(_values(12, np.uint16), bits=12)
    made.VOILUTSequence = Sequence([dicoms.lut(np.arange(100), 0, 12)])
    made.VOILUTSequence[0].LUTDescriptor = [4096, 0, 12]
    assert "VOI LUT of 100 entries" in _refused(dicoms.save(made))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_an_overlay_in_the_unused_bits_is_not_seen(dtype: type) -> None:
    values = _values(12, dtype)
    overlaid = (values.astype(np.int64) & 0x0FFF) | (_rng().integers(0, 16, values.shape) << 12)
    made = dicoms.dataset(overlaid.astype(np.uint16).view(dtype), bits=12)
    expected = _scaled(values.astype(float), values.min(), values.max(), 65535)
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


# --- frames and what the header says


def _volume(syntax: str) -> tuple[np.ndarray, bytes]:
    values = _values(8, np.uint8, (4, 33, 35))  # an odd number of bytes in each frame
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
    assert "oct.dcm#1" in _refused(path)
    for call in (read_image, image_size):
        with pytest.raises(InputError, match="4 frames; name one"):
            call(path)
        with pytest.raises(InputError, match="no frame 5; it holds 4"):
            call(f"{path}#5")
    assert "no frame 0" in _refused(data, frame=0)


def test_big_endian_words_hold_pairs_across_odd_frames() -> None:
    values = _values(8, np.uint8, (4, 3, 5))
    made = dicoms.dataset(values, frames=4)
    made.PixelData = np.frombuffer(values.tobytes(), "<u2").astype(">u2").tobytes()
    made["PixelData"].VR = "OW"
    data = dicoms.save(made, uid.ExplicitVRBigEndian)
    for i in range(4):
        np.testing.assert_array_equal(read_dicom(data, frame=i + 1).pixels.array, values[i])


def test_a_frame_has_its_own_rescale_window_laterality_and_place() -> None:
    values = _values(12, np.uint16, (2, 6, 5))
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
        expected = np.rint(65535 * _window(values[i] * 2.0 + i, 3000 + i, 2000, "LINEAR"))
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
        _values(8, np.uint8),
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
    made = dicoms.dataset(_values(8, np.uint8))
    for keyword in ("PatientID", "Modality", "StudyInstanceUID"):
        delattr(made, keyword)
    header = read_dicom_header(dicoms.save(made))
    assert (header.patient_id, header.modality, header.study_uid) == ("", "", "")
    assert (header.pixel_spacing, header.pixel_aspect_ratio) == (None, 1.0)


def test_a_dataset_is_read_as_a_file_is(tmp_path: Path) -> None:
    values = _values(16, np.uint16)
    made = dicoms.dataset(values)
    for given in (made, dicoms.save(made)):
        np.testing.assert_array_equal(read_dicom(given).pixels.array, values)
        np.testing.assert_array_equal(read_image(given).array, values)
    np.testing.assert_array_equal(read_dicom_header(made).size, values.shape)
    bare = Dataset()
    bare.update(made)
    assert "file_meta" in _refused(bare)


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BitsAllocated": 32}, "8 to 16 bits"),
        ({"BitsStored": 0}, "8 to 16 bits"),
        ({"BitsStored": 12, "HighBit": 15}, "HighBit 15"),
        ({"PhotometricInterpretation": "HSV"}, "'HSV'"),
        ({"SamplesPerPixel": 3}, "3 sample"),
        ({"Rows": 0}, "which is no image"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000 px"),
        ({"Rows": 5000}, "truncated"),
        ({"Rows": None}, "no usable Rows"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": 1, "WindowWidth": 9}, "CUBIC"),
    ],
)
def test_what_cannot_be_shown_is_refused(changes: dict[str, Any], words: str) -> None:
    made = dicoms.dataset(_values(16, np.uint16))
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    assert words in _refused(dicoms.save(made))


def test_floating_point_pixels_are_refused() -> None:
    made = dicoms.dataset(_values(8, np.uint8))
    del made.PixelData
    assert "without pixels" in _refused(dicoms.save(made))
    made.FloatPixelData = np.zeros((35, 40), np.float32).tobytes()
    assert "floating-point" in _refused(dicoms.save(made))


def test_a_codestream_larger_than_the_header_says_is_refused_before_it_is_decoded() -> None:
    for syntax in ("jpeg-ls", "jpeg-2000", "jpeg-lossless"):
        data = dicoms.encode(dicoms.dataset(_values(8, np.uint8, (40, 36))), syntax)
        small = pydicom.dcmread(BytesIO(data))
        small.Rows = 20
        assert "compressed pixels have 1 of 36 x 40" in _refused(dicoms.save(small))


def test_a_bomb_of_rle_runs_is_refused() -> None:
    made = dicoms.dataset(_values(8, np.uint8))
    data = dicoms.encode(made, "rle")
    bomb = pydicom.dcmread(BytesIO(data))
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    bomb.PixelData = pydicom.encaps.encapsulate([header.tobytes() + b"\x81\0" * 1_000_000])
    start = time.perf_counter()
    assert "RLE" in _refused(dicoms.save(bomb))
    assert time.perf_counter() - start < 1


def test_a_deflated_bomb_is_refused() -> None:
    data = dicoms.encode(dicoms.dataset(_values(8, np.uint8)), "deflated")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    zeros = b"\0" * (1 << 20)
    body = b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()
    head = data[: 144 + int.from_bytes(data[140:144], "little")]
    start = time.perf_counter()
    assert "inflates to more than 256 MiB" in _refused(head + body)
    assert time.perf_counter() - start < 5


def test_twelve_bit_lossy_jpeg_is_refused_for_want_of_a_free_decoder() -> None:
    assert "freely licensed" in _refused(BUNDLED / "JPEG-lossy.dcm")


def test_an_unknown_transfer_syntax_is_named() -> None:
    made = dicoms.dataset(_values(8, np.uint8))
    made.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    made.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    assert "MPEG2" in _refused(dicoms.save(made))


def test_a_missing_decoder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicoms.encode(dicoms.dataset(_values(8, np.uint8)), "jpeg-lossless")
    monkeypatch.setitem(dicomframe._DECODERS, uid.JPEGLossless, "absent")
    with pytest.raises(MissingExtraError, match=r"absent.*pip install softcam\[dicom\]"):
        read_dicom(data)


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
