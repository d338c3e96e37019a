from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from softcam.errors import InputError
from softcam.explanation.figure import AGAINST, FOR
from softcam.report.explanations import gallery
from softcam.report.explanations.gallery import draw_sheet, signed_colormap, usual_view
from tests.report.explanations.sample import make

GREEN = (0x19, 0xD4, 0x47)


@pytest.fixture(scope="module")
def shown():
    return make().gallery[0]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def count(picture, colour):
    return int((np.abs(picture - np.array(colour)).max(axis=-1) < 25).sum())


def of(shown, values, **changes):
    """The sheet's picture with one map."""
    one = replace(shown.maps[0], values=values.astype(np.float32))
    return pixels(draw_sheet(replace(shown, maps=(one,), **changes)))


def test_zero_is_white_and_the_ends_are_the_colours_of_evidence():
    colours = signed_colormap()
    np.testing.assert_allclose(colours(0.5)[:3], (1, 1, 1), atol=0.02)
    np.testing.assert_allclose(colours(1.0)[:3], FOR, atol=1e-6)
    np.testing.assert_allclose(colours(0.0)[:3], AGAINST, atol=1e-6)


def test_the_usual_view_drops_negatives_and_ends_at_one():
    found = usual_view(np.array([[-4.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_array_equal(found, [[0, 0], [0.5, 1]])
    np.testing.assert_array_equal(usual_view(np.array([-3.0, -1.0])), [0, 0])
    np.testing.assert_array_equal(usual_view(np.array([np.nan, 4.0])), [np.nan, 1])


def test_the_scale_is_centred_on_zero_whatever_the_range(shown):
    side = shown.pixels.shape[0]
    values = np.full((side, side), 1.0)
    values[: side // 2] = 2.0
    colour = [round(255 * part) for part in signed_colormap()(0.75)[:3]]
    assert count(of(shown, values, mask=None), colour) > 5000  # 1 of 2: half way to the end


def test_lesions_are_outlined_on_the_image_and_on_both_views(shown):
    side = shown.pixels.shape[0]
    values = np.zeros((side, side))
    with_mask, without = of(shown, values), of(shown, values, mask=None)
    assert count(without, GREEN) == 0
    columns = np.flatnonzero((np.abs(with_mask - np.array(GREEN)).max(axis=-1) < 60).any(axis=0))
    panels = 1 + np.count_nonzero(np.diff(columns) > 60)
    assert panels >= 3


def test_sheets_of_many_methods_have_several_rows_and_bounded_sides(shown):
    few = Image.open(io.BytesIO(draw_sheet(replace(shown, maps=shown.maps[:2]))))
    many = Image.open(io.BytesIO(draw_sheet(replace(shown, maps=shown.maps * 2))))
    assert many.width == few.width
    assert many.height > 3 * few.height
    assert max(many.size) <= 6000


def test_maps_without_a_known_value_and_images_without_a_map_can_be_drawn(shown):
    side = shown.pixels.shape[0]
    of(shown, np.full((side, side), np.nan))
    draw_sheet(replace(shown, maps=()))


def test_long_and_hostile_names_do_not_break_the_sheet(shown):
    case = replace(shown.case, image="x" * 300 + "$_{", class_name="$\\alpha y" * 20)
    method = replace(shown.maps[0].method, label="Long " * 40 + "$", subject="$" + "s" * 200)
    png = draw_sheet(replace(shown, case=case, maps=(replace(shown.maps[0], method=method),)))
    assert Image.open(io.BytesIO(png)).width < 1200


def test_sizes_that_differ_are_refused_by_name(shown):
    wrong = replace(shown.maps[0], values=np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match=r"SoftCAM: Evidence, own has shape \(3, 4\)"):
        draw_sheet(replace(shown, maps=(wrong,)))
    with pytest.raises(InputError, match="The mask has shape"):
        draw_sheet(replace(shown, mask=np.zeros((2, 2), bool)))


def test_a_sheet_that_packs_badly_is_drawn_smaller_in_the_same_colours(shown, monkeypatch):
    few = replace(shown, maps=shown.maps[:1])
    whole = draw_sheet(few)
    monkeypatch.setattr(gallery, "_MOST_BYTES", len(whole) // 2)
    smaller = draw_sheet(few)
    assert len(smaller) < len(whole)
    assert 0.5 < pixels(smaller).shape[1] / pixels(whole).shape[1] < 0.8
    np.testing.assert_allclose(pixels(smaller).mean((0, 1)), pixels(whole).mean((0, 1)), atol=3)
