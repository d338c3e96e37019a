from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import Pixels, read_image
from softcam.data.steps import Crop, Pad, Resize
from softcam.errors import InputError
from tests.data import files
from tests.data.importers.replicas import retina


def _pixels(height: int, width: int, dtype: type = np.uint8, channels: int = 3) -> Pixels:
    top = np.iinfo(dtype).max
    shape = (height, width, 3) if channels == 3 else (height, width)
    return Pixels(np.random.default_rng(0).integers(0, top + 1, shape, dtype=dtype))


def _slow_resize(row: np.ndarray, length: int) -> np.ndarray:
    """Bilinear with a triangle as wide as the reduction, along the first axis."""
    scale = len(row) / length
    reach = max(scale, 1)
    out = []
    for i in range(length):
        centre = (i + 0.5) * scale
        weights = np.array([max(0, 1 - abs(j + 0.5 - centre) / reach) for j in range(len(row))])
        out.append(np.tensordot(weights / weights.sum(), row, axes=(0, 0)))
    return np.array(out)


def _slow(array: np.ndarray, height: int, width: int) -> np.ndarray:
    down = _slow_resize(array.astype(np.float64), height)
    return _slow_resize(down.swapaxes(0, 1), width).swapaxes(0, 1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.uint8, 1.1), (np.uint16, 0.51)])
@pytest.mark.parametrize("size", [(12, 20), (40, 30), (50, 77)])
def test_a_resize_is_bilinear_and_keeps_the_bits(
    size: tuple[int, int], dtype: type, tolerance: float
) -> None:
    pixels = _pixels(33, 47, dtype)
    prepared, _ = Preprocessing(size, resize="stretch").prepare(pixels)
    assert prepared.dtype == dtype
    slow = _slow(pixels.array, *size)
    # uint8 is rounded after each axis, uint16 once at the end.
    assert np.abs(prepared - slow).max() <= tolerance


def test_sixteen_bits_are_not_squeezed_through_eight() -> None:
    ramp = np.tile(np.arange(1000, 1064, dtype=np.uint16), (64, 1))
    prepared, _ = Preprocessing((64, 128), channels="grey", resize="stretch").prepare(Pixels(ramp))
    assert len(np.unique(prepared)) >= 64
    np.testing.assert_array_equal(
        Preprocessing((64, 64), channels="grey").prepare(Pixels(ramp))[0][:, :, 0], ramp
    )


def test_pad_keeps_the_aspect_and_adds_black_around() -> None:
    pixels = Pixels(np.full((30, 60, 3), 200, np.uint8))
    prepared, geometry = Preprocessing((40, 40)).prepare(pixels)
    assert geometry.steps == (Resize(40, 20), Pad(0, 10, 0, 10))
    assert geometry.content_box() == (0, 10, 40, 30)
    assert (prepared[10:30] == 200).all()
    assert not prepared[:10].any()
    assert not prepared[30:].any()


def test_crop_fits_the_shorter_side_and_cuts_the_middle_out() -> None:
    pixels = Pixels(np.tile(np.arange(60, dtype=np.uint8), (30, 1)))
    prepared, geometry = Preprocessing((30, 30), resize="crop").prepare(pixels)
    assert geometry.steps == (Resize(60, 30), Crop(15, 0, 30, 30))
    assert geometry.visible_box() == (15, 0, 45, 30)
    np.testing.assert_array_equal(prepared[:, :, 1], pixels.array[:, 15:45])


def test_stretch_fills_the_input() -> None:
    _, geometry = Preprocessing((20, 30), resize="stretch").prepare(_pixels(44, 18))
    assert geometry.steps == (Resize(30, 20),)


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (7, 999), (224, 224), (333, 111)])
def test_every_image_becomes_the_models_size(size: tuple[int, int], resize: str) -> None:
    preprocessing = Preprocessing((24, 32), resize=resize)  # type: ignore[arg-type]
    sample = preprocessing(_pixels(*size))
    assert sample.pixels.shape == (3, 24, 32)
    assert sample.geometry.input_size == (24, 32)
    assert sample.geometry == preprocessing.geometry(size)


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize(("height", "width"), [(90, 60), (60, 90), (31, 77)])
def test_a_bright_spot_is_found_where_the_geometry_says(
    resize: str, height: int, width: int
) -> None:
    array = np.zeros((height, width), np.uint16)
    y, x = height // 2 - 4, width // 2 + 6
    array[y - 1 : y + 2, x - 1 : x + 2] = 60000
    sample = Preprocessing((64, 48), channels="grey", resize=resize)(Pixels(array))  # type: ignore[arg-type]
    light = sample.pixels[0] - sample.pixels[0].min()
    rows, columns = np.mgrid[:64, :48] + 0.5
    found = [(light * columns).sum() / light.sum(), (light * rows).sum() / light.sum()]
    expected = sample.geometry.to_input([x + 0.5, y + 0.5])
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.1)
    back = sample.geometry.map_to_file(light, interpolation="bilinear")
    peak = np.unravel_index(back.argmax(), back.shape)
    assert abs(peak[0] - y) <= 1
    assert abs(peak[1] - x) <= 1


def test_a_turned_file_is_mapped_in_the_pixels_as_displayed() -> None:
    stored = np.zeros((40, 80), np.uint8)
    stored[5, 70] = 255  # displayed after orientation 6 (row 0 is the right side): x 34, y 70
    pixels = read_image(files.png(stored, files.GREY, 8, exif=files.exif(6)))
    assert pixels.size == (80, 40)
    assert pixels.array[70, 34] == 255
    sample = Preprocessing((160, 160), channels="grey")(pixels)
    back = sample.geometry.map_to_file(sample.pixels[0])
    assert back.shape == (80, 40)
    assert np.unravel_index(back.argmax(), back.shape) == (70, 34)


def test_luma_has_the_weights_of_bt_601() -> None:
    for dtype in (np.uint8, np.uint16):
        pixels = _pixels(9, 11, dtype)
        prepared, _ = Preprocessing((9, 11), channels="grey").prepare(pixels)
        slow = pixels.array.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
        assert prepared.shape == (9, 11, 1)
        assert np.abs(prepared[:, :, 0] - slow).max() <= 0.5 + 65535 / 2**16
    white = Pixels(np.full((2, 2, 3), 65535, np.uint16))
    assert (Preprocessing((2, 2), channels="grey").prepare(white)[0] == 65535).all()


def test_luma_of_8_bits_is_pillows() -> None:
    pixels = _pixels(40, 50)
    prepared, _ = Preprocessing((40, 50), channels="grey").prepare(pixels)
    expected = np.asarray(Image.fromarray(pixels.array).convert("L"))
    np.testing.assert_array_equal(prepared[:, :, 0], expected)


def test_grey_is_repeated_for_a_colour_model() -> None:
    pixels = _pixels(9, 11, channels=1)
    prepared, _ = Preprocessing((9, 11)).prepare(pixels)
    for channel in range(3):
        np.testing.assert_array_equal(prepared[:, :, channel], pixels.array)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_normalise_scales_by_the_bit_depth(dtype: type, white: int) -> None:
    preprocessing = Preprocessing((9, 11), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    pixels = _pixels(9, 11, dtype)
    slow = (pixels.array.astype(np.float64) / white - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2.0]
    sample = preprocessing(pixels)
    assert sample.pixels.dtype == np.float32
    assert sample.pixels.flags.c_contiguous
    np.testing.assert_allclose(sample.pixels, slow.transpose(2, 0, 1), atol=2e-6)
    batch = preprocessing.normalise(np.stack([pixels.array, pixels.array]))
    np.testing.assert_array_equal(batch[1], sample.pixels)


def test_normalise_takes_floats_as_already_scaled_and_refuses_other_types() -> None:
    preprocessing = Preprocessing((4, 4), mean=(0.5,), std=(0.5,), channels="grey")
    half = np.full((4, 4, 1), 0.75, np.float32)
    np.testing.assert_allclose(preprocessing.normalise(half), 0.5)
    with pytest.raises(InputError, match="float64"):
        preprocessing.normalise(half.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 channels"):
        preprocessing.normalise(np.zeros((4, 4, 3), np.uint8))


def test_a_prepared_image_of_the_right_size_is_the_image() -> None:
    pixels = _pixels(24, 32, np.uint16)
    prepared, _ = Preprocessing((24, 32)).prepare(pixels)
    np.testing.assert_array_equal(prepared, pixels.array)


def test_defaults_are_those_of_imagenet() -> None:
    assert Preprocessing((8, 8)).mean == (0.485, 0.456, 0.406)
    assert len(Preprocessing((8, 8), channels="grey").std) == 1


def test_settings_survive_json() -> None:
    for settings in (
        Preprocessing((224, 320)),
        Preprocessing((64, 64), mean=(0.5,), std=(0.2,), channels="grey", resize="crop"),
    ):
        assert Preprocessing.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_one_number_means_a_square() -> None:
    assert Preprocessing.from_dict({"size": 64}).size == (64, 64)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "no size"),
        ({"size": [0, 4]}, "size"),
        ({"size": [4.5, 4]}, "size"),
        ({"size": [True, True]}, "size"),
        ({"size": "large"}, "size"),
        ({"size": [4, 4, 4]}, "size"),
        ({"size": 8, "colour": "rgb"}, "colour"),
        ({"size": 8, "channels": "hsv"}, "channels"),
        ({"size": 8, "resize": "squash"}, "resize"),
        ({"size": 8, "interpolation": "nearest"}, "interpolation"),
        ({"size": 8, "mean": [0.5]}, "needs 3"),
        ({"size": 8, "std": [0.5, 0, 0.5]}, "above 0"),
        ({"size": 8, "std": ["a", 0, 0.5]}, "std"),
        ({"size": 8, "mean": 0.5}, "mean"),
        ({"size": 8, "mean": [float("nan"), 0, 0]}, "finite"),
    ],
)
def test_wrong_settings_are_refused(data: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Preprocessing.from_dict(data)


@pytest.mark.parametrize(
    ("aspect", "expected"), [(1.0, (40, 20)), (2.0, (40, 10)), (0.5, (40, 40))]
)
def test_pixels_that_are_not_square_get_their_true_shape(
    aspect: float, expected: tuple[int, int]
) -> None:
    pixels = Pixels(np.full((60, 30), 255, np.uint8), aspect)
    prepared, geometry = Preprocessing((40, 40), channels="grey").prepare(pixels)
    step = geometry.steps[0]
    assert isinstance(step, Resize)
    assert (step.height, step.width) == expected
    assert (prepared > 0).sum() == expected[0] * expected[1]
    assert geometry == Preprocessing((40, 40)).geometry((60, 30), aspect)
    assert geometry.file_size == (60, 30)


def test_a_disc_in_wide_pixels_is_round_for_the_model() -> None:
    y, x = np.mgrid[:120, :60] + 0.5
    disc = np.hypot(2 * (x - 30), y - 60) < 40  # a pixel is twice as wide as tall
    pixels = Pixels((disc * 255).astype(np.uint8), 0.5)
    for resize in ("pad", "crop"):
        rule = Preprocessing((60, 60), channels="grey", resize=resize)  # type: ignore[arg-type]
        seen = rule.prepare(pixels)[0][:, :, 0] > 127
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    ignored = Preprocessing((60, 60), channels="grey", pixel_aspect="ignore").prepare(pixels)[0]
    seen = ignored[:, :, 0] > 127
    assert np.ptp(np.flatnonzero(seen.any(axis=1))) > 1.8 * np.ptp(np.flatnonzero(seen.any(axis=0)))


def test_stretching_has_no_true_shape_to_keep() -> None:
    rule = Preprocessing((20, 30), resize="stretch")
    assert rule.geometry((44, 18), 3.0).steps == (Resize(30, 20),)


def test_settings_from_before_the_aspect_was_applied_do_not_apply_it() -> None:
    old = Preprocessing((8, 9)).to_dict()
    del old["pixel_aspect"], old["trim"]
    read = Preprocessing.from_dict(old)
    assert (read.pixel_aspect, read.trim) == ("ignore", "none")
    new = Preprocessing((8, 9), trim="circle")
    assert Preprocessing.from_dict(json.loads(json.dumps(new.to_dict()))) == new


def test_the_circle_of_a_fundus_photograph_fills_the_input() -> None:
    pixels = Pixels(retina(300, 200, (150.0, 90.0), 80.0))
    sample = Preprocessing((64, 64), trim="circle")(pixels)
    crop = sample.geometry.steps[0]
    assert isinstance(crop, Crop)
    np.testing.assert_allclose(
        (crop.x, crop.y, crop.width, crop.height), (70, 10, 160, 160), atol=3
    )
    assert sample.geometry == Preprocessing((64, 64), trim="circle").geometry_of(pixels)
    with pytest.raises(InputError, match="depends on the image"):
        Preprocessing((64, 64), trim="circle").geometry((200, 300))


def test_a_circle_that_the_camera_cut_off_is_padded_with_black() -> None:
    rule = Preprocessing((64, 64), trim="circle")
    prepared, geometry = rule.prepare(Pixels(retina(300, 200, (150.0, 100.0), 130.0)))
    crop, pad = geometry.steps[:2]
    assert isinstance(crop, Crop)
    assert isinstance(pad, Pad)
    assert min(pad.top, pad.bottom) >= 28
    assert not prepared[:6].any()
    assert geometry.content_box()[1] > 6


@pytest.mark.parametrize("kind", ["black", "noise", "bright", "tiny"])
def test_without_a_circle_the_whole_image_is_taken(kind: str) -> None:
    arrays = {
        "black": np.zeros((50, 70), np.uint8),
        "noise": np.random.default_rng(0).integers(0, 255, (50, 70), dtype=np.uint8),
        "bright": np.full((50, 70, 3), 200, np.uint8),
        "tiny": np.zeros((1, 1), np.uint16),
    }
    pixels = Pixels(arrays[kind])
    plain, trimmed = Preprocessing((32, 32)), Preprocessing((32, 32), trim="circle")
    assert trimmed.geometry_of(pixels) == plain.geometry(pixels.size)
    np.testing.assert_array_equal(trimmed(pixels).pixels, plain(pixels).pixels)


def test_a_line_is_not_blown_up_beyond_all_memory() -> None:
    line = Pixels(np.zeros((1, 20_000), np.uint8))
    with pytest.raises(InputError, match="before it is cropped"):
        Preprocessing((512, 512), resize="crop").prepare(line)
    assert Preprocessing((512, 512)).prepare(line)[0].shape == (512, 512, 3)


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("channels", ["rgb", "grey"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(20, 30), (33, 47), (50, 90)])
def test_an_image_as_pillow_decoded_it_is_prepared_like_its_array(
    size: tuple[int, int], mode: str, channels: str, resize: str
) -> None:
    array = _pixels(33, 47, channels=3 if mode == "RGB" else 1).array
    settings = Preprocessing(size, channels=channels, resize=resize)  # type: ignore[arg-type]
    image = Pixels(Image.fromarray(array))
    prepared, geometry = settings.prepare(image)
    expected, same = settings.prepare(Pixels(array))
    assert geometry == same
    assert prepared.dtype == expected.dtype
    np.testing.assert_array_equal(prepared, expected)
    np.testing.assert_array_equal(image.array, array)


@pytest.mark.parametrize("radius", [80.0, 130.0])  # within the image, and cut off by it
@pytest.mark.parametrize("aspect", [1.0, 0.8])
@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_a_circle_is_cut_from_what_pillow_decoded_as_from_its_array(
    channels: str, aspect: float, radius: float
) -> None:
    wide = round(300 / aspect)
    drawn = Image.fromarray(retina(wide, 200, (wide / 2, 100.0), radius))
    array = np.asarray(drawn.resize((300, 200)))
    settings = Preprocessing((40, 56), channels=channels, trim="circle")  # type: ignore[arg-type]
    image = Pixels(Image.fromarray(array), aspect)
    prepared, geometry = settings.prepare(image)
    assert image.image is not None
    expected, same = settings.prepare(Pixels(array, aspect))
    assert geometry == same
    assert geometry != Preprocessing((40, 56)).geometry((200, 300), aspect)
    np.testing.assert_array_equal(prepared, expected)


def test_normalise_writes_where_it_is_told() -> None:
    preprocessing = Preprocessing((9, 11))
    pixels = _pixels(9, 11)
    batch = np.zeros((2, 3, 9, 11), np.float32)
    preprocessing.normalise(pixels.array, out=batch[1])
    np.testing.assert_array_equal(batch[1], preprocessing.normalise(pixels.array))
    assert not batch[0].any()
