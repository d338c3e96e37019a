from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from softcam.data.geometry import Geometry
from softcam.explanation.figure import (
    AGAINST,
    FOR,
    displayable,
    draw_image,
    draw_outlines,
    draw_overlay,
    draw_regions,
    evidence_colormap,
)
from softcam.explanation.regions import find_regions


def axes_of(height, width, dpi=1):
    """Axes that fill a figure with one screen pixel for each file pixel."""
    figure = Figure(figsize=(width, height), dpi=dpi)
    FigureCanvasAgg(figure)
    return figure, figure.add_axes((0, 0, 1, 1))


def rendered(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].astype(int)


def test_the_colours_are_centred_on_zero_and_clear_there():
    colours = evidence_colormap()(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(colours[0, :3], AGAINST)
    np.testing.assert_allclose(colours[2, :3], FOR)
    np.testing.assert_allclose(colours[[0, 2], 3], 0.85)
    assert colours[1, 3] < 0.02
    alpha = evidence_colormap()(np.linspace(0, 1, 511))[:, 3]
    np.testing.assert_allclose(alpha, alpha[::-1])


def test_sixteen_bits_are_scaled_by_their_own_range():
    image = np.array([[1000, 1500], [2000, 3000]], dtype=np.uint16)
    assert displayable(image)[:, :, 0].tolist() == [[0, 64], [128, 255]]
    assert displayable(np.full((2, 2), 7, dtype=np.uint16)).max() == 0


def test_eight_bits_are_shown_as_they_are():
    image = np.array([[10, 20]], dtype=np.uint8)
    assert displayable(image).tolist() == [[[10] * 3, [20] * 3]]
    colour = np.random.default_rng(0).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(displayable(colour), colour)


def test_an_image_is_drawn_pixel_for_pixel():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    figure, ax = axes_of(20, 30)
    draw_image(ax, image)
    np.testing.assert_allclose(rendered(figure), image, atol=1)


def test_evidence_for_is_orange_against_is_blue_and_zero_shows_the_image():
    values = np.zeros((20, 30), dtype=np.float32)
    values[:, :10], values[:, 20:] = 2.0, -2.0
    figure, ax = axes_of(20, 30)
    draw_overlay(ax, np.full((20, 30), 120, dtype=np.uint8), values, limit=2.0)
    red, green, blue = rendered(figure)[10, [5, 15, 25]].T
    assert red[0] > green[0] > blue[0]
    assert red[1] == green[1] == blue[1]
    assert blue[2] > green[2] > red[2]


def test_large_images_keep_their_coordinates():
    values = np.zeros((3000, 5000), dtype=np.float32)
    values[:1500, 2500:] = 1.0
    figure, ax = axes_of(30, 50)
    draw_overlay(ax, np.zeros((3000, 5000), dtype=np.uint8), values, limit=1.0)
    orange = np.ptp(rendered(figure), axis=2) > 60
    expected = np.zeros((30, 50), dtype=bool)
    expected[:15, 25:] = True
    np.testing.assert_array_equal(orange, expected)
    assert ax.get_xlim() == (0, 5000) and ax.get_ylim() == (3000, 0)


def test_unseen_margins_are_hatched_and_the_rest_is_not():
    values = np.zeros((60, 90), dtype=np.float32)
    values[:, :30] = values[:, 60:] = np.nan
    image = np.full((60, 90), 30, dtype=np.uint8)
    figure, ax = axes_of(60, 90, dpi=1)
    draw_overlay(ax, image, values, limit=1.0)
    assert len(ax.patches) == 4  # a veil and a hatch on either side
    grey = rendered(figure)[:, :, 0]
    assert grey[:, :30].mean() > grey[:, 30:60].mean() + 20
    assert np.ptp(grey[:, 32:58]) == 0


def test_outlines_follow_the_edges_of_the_masks_pixels():
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:10, 8:20] = True
    _, ax = axes_of(20, 30)
    draw_image(ax, np.zeros((20, 30), dtype=np.uint8))
    draw_outlines(ax, mask)
    (lines,) = ax.collections
    points = np.concatenate(lines.get_segments())
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([8, 5], [20, 10])
    draw_outlines(ax, np.zeros((20, 30), dtype=bool))
    assert len(ax.collections) == 1


def test_the_first_regions_are_numbered_in_their_order():
    evidence = np.zeros((4, 6))
    evidence[0, 0], evidence[2, 2], evidence[2, 5] = 3.0, 2.0, 2.5
    regions = find_regions(evidence, Geometry((40, 60), (40, 60)))
    _, ax = axes_of(40, 60)
    draw_image(ax, np.zeros((40, 60), dtype=np.uint8))
    draw_regions(ax, regions, numbered=2)
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert len(ax.collections) == 3


def test_no_pyplot_state_is_made(make_explanation, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    make_explanation(np.ones((2, 3, 3))).plot()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000)])
def test_extreme_shapes_are_drawn(shape):
    figure, ax = axes_of(10, 10)
    draw_overlay(ax, np.zeros(shape, dtype=np.uint8), np.ones(shape, dtype=np.float32), 1.0)
    assert rendered(figure).size
    assert isinstance(Image.fromarray(displayable(np.zeros(shape, dtype=np.uint8))), Image.Image)
