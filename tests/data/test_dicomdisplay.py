"""Grey as displayed: rescaled, windowed, through lookup tables."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.sequence import Sequence

from softcam.data.dicom import read_dicom
from tests.data import dicoms
from tests.data.dicomvalues import refusal, rng, scaled, values_of, windowed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("inverse", ["", "MONOCHROME1", "INVERSE", "both"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_ct_is_rescaled_and_windowed(function: str, inverse: str) -> None:
    values = values_of(12, np.uint16, (9, 9))
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
    expected = np.rint(65535 * windowed(values * 1.5 - 1024, 40, 400, function))
    expected = 65535 - expected if inverse else expected
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_window_can_be_given_and_the_files_own_be_left_out() -> None:
    values = values_of(12, np.int16, (9, 9))
    made = dicoms.dataset(values, bits=12, WindowCenter=0, WindowWidth=10)
    data = dicoms.save(made)
    expected = np.rint(65535 * windowed(values, 100, 500, "LINEAR"))
    np.testing.assert_array_equal(read_dicom(data, window=(100, 500)).pixels.array, expected)
    expected = scaled(values.astype(float), -2048, 2047, 65535)
    np.testing.assert_array_equal(read_dicom(data, window="full").pixels.array, expected)
    assert "finite center" in refusal(data, window=(0, 0))
    assert "'file', 'full'" in refusal(data, window="bone")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_over_the_full_range_the_samples_stand_for_modality_units(photometric, kind) -> None:
    values = values_of(12, kind, (9, 9))
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
    values = values_of(12, np.uint16, (9, 9))
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
    expected = scaled(values.astype(float), -30, 1000, 65535)
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_voi_lut_comes_before_a_window() -> None:
    values = values_of(12, np.uint16, (9, 9))
    entries = rng().integers(0, 1 << 10, 3000)
    made = dicoms.dataset(values, bits=12, WindowCenter=0, WindowWidth=10)
    made.VOILUTSequence = Sequence([dicoms.lut(entries, 500, 10)])
    place = np.clip(values.astype(int) - 500, 0, 2999)
    expected = scaled(entries[place].astype(float), 0, 1023, 65535)
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_modality_lut_comes_before_the_window_and_may_have_8_bits() -> None:
    values = values_of(12, np.uint16, (9, 9))
    entries = rng().integers(0, 256, 4096)
    made = dicoms.dataset(values, bits=12, WindowCenter=100, WindowWidth=100)
    made.ModalityLUTSequence = Sequence([dicoms.lut(entries, 0, 8)])
    made.ModalityLUTSequence[0].ModalityLUTType = "US"
    expected = np.rint(65535 * windowed(entries[values], 100, 100, "LINEAR"))
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)


def test_a_lut_shorter_than_it_says_is_refused() -> None:
    made = dicoms.dataset(values_of(12, np.uint16), bits=12)
    made.VOILUTSequence = Sequence([dicoms.lut(np.arange(100), 0, 12)])
    made.VOILUTSequence[0].LUTDescriptor = [4096, 0, 12]
    assert "VOI LUT of 100 entries" in refusal(dicoms.save(made))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_an_overlay_in_the_unused_bits_is_not_seen(dtype: type) -> None:
    values = values_of(12, dtype)
    overlaid = (values.astype(np.int64) & 0x0FFF) | (rng().integers(0, 16, values.shape) << 12)
    made = dicoms.dataset(overlaid.astype(np.uint16).view(dtype), bits=12)
    expected = scaled(values.astype(float), values.min(), values.max(), 65535)
    np.testing.assert_array_equal(read_dicom(dicoms.save(made)).pixels.array, expected)
