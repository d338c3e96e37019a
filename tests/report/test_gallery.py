from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from softcam.errors import InputError
from softcam.report.gallery import MapPanel, draw_case
from tests.report.sample import draw_image, draw_map


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def case():
    image, mask = draw_image(1)
    return image, mask, draw_map(mask, 1)


def greenish(picture):
    red, green, blue = np.moveaxis(picture, -1, 0)
    return (green > 150) & (red < 90) & (blue < 120)


def test_the_same_case_gives_the_same_bytes_in_two_columns(case):
    image, mask, values = case
    panels = [MapPanel("Own", values), MapPanel("Contrast", 2 * values), MapPanel("CAM", values)]
    first = draw_case(image, panels, lesions=mask, dpi=60)
    assert first == draw_case(image, panels, lesions=mask, dpi=60)
    height, width, _ = pixels(first).shape
    assert 0.7 < width / height < 0.85  # four square panels with titles and colour bars


def test_true_lesions_are_outlined_in_green_on_every_panel(case):
    image, mask, values = case
    panels = [MapPanel("Own", values), MapPanel("Contrast", values), MapPanel("CAM", values)]
    with_lesions = greenish(pixels(draw_case(image, panels, lesions=mask)))
    without = greenish(pixels(draw_case(image, panels)))
    assert not without.any()
    height, width = with_lesions.shape
    for rows in (slice(0, height // 2), slice(height // 2, None)):
        for columns in (slice(0, width // 2), slice(width // 2, None)):
            assert with_lesions[rows, columns].sum() > 30


def test_evidence_for_is_orange_and_against_is_blue_on_a_grey_image(case):
    image, _, _ = case
    for sign, channel, other in ((1, 0, 2), (-1, 2, 0)):
        values = np.full(image.shape[:2], float(sign))
        picture = pixels(draw_case(image, [MapPanel("Own", values)]))
        right = picture[80:300, 380:600]
        assert right[..., channel].mean() > right[..., other].mean() + 60


def test_evidence_panels_share_a_scale_and_attributions_have_their_own(case):
    image, _, _ = case
    weak, strong = np.full(image.shape[:2], 0.2), np.full(image.shape[:2], 4.0)

    def colour(unit):
        panels = [MapPanel("Weak", weak, unit), MapPanel("Strong", strong)]
        area = pixels(draw_case(image, panels))[120:250, 420:550]
        return area[..., 0].mean() - area[..., 2].mean()

    assert colour("logits") < 0.3 * colour("relative")


def test_a_map_of_zeros_or_nothing_seen_is_drawn(case):
    image, mask, _ = case
    nothing = np.full(image.shape[:2], np.nan)
    flat = np.zeros(image.shape[:2])
    png = draw_case(image[..., 0], [MapPanel("Flat", flat), MapPanel("Unseen", nothing)], dpi=50)
    assert png.startswith(b"\x89PNG")
    assert draw_case(image, [], lesions=mask, dpi=50).startswith(b"\x89PNG")


def test_a_title_with_a_dollar_is_text_and_a_long_one_wraps(case):
    image, _, values = case
    long = "Evidence for severe non-proliferative diabetic retinopathy, own map of the class"
    draw_case(image, [MapPanel("$\\undefined$", values)], dpi=50)  # as a formula it would raise
    tall = pixels(draw_case(image, [MapPanel(long, values)], dpi=50)).shape[0]
    assert tall > pixels(draw_case(image, [MapPanel("Own", values)], dpi=50)).shape[0]


def test_a_map_on_another_grid_is_refused(case):
    image, mask, values = case
    with pytest.raises(InputError, match=r"Own has shape \(12, 12\), the image \(96, 96\)"):
        draw_case(image, [MapPanel("Own", values[::8, ::8])])
    with pytest.raises(InputError, match="Lesions has shape"):
        draw_case(image, [], lesions=mask[:5])
