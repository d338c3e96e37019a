"""Pictures inside a page: smaller, and the same to the eye."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from softcam.report.explanations import embedding
from softcam.report.explanations.embedding import data_uri


def png_of(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def drawing(mode="RGB"):
    pixels = np.full((200, 300, len(mode)), 255, np.uint8)
    pixels[40:60, 20:250, :3] = (213, 94, 0)
    pixels[::7, ::5, :3] = (1, 2, 3)
    return pixels


def photograph():
    y, x = np.mgrid[:200, :300]
    noise = np.random.default_rng(0).normal(0, 4, (200, 300, 3))
    return (
        (np.stack([y / 2 + 50, x / 2, 60 + y * x / 600], -1) + noise).clip(0, 255).astype(np.uint8)
    )


def read(uri):
    head, text = uri.split(",")
    return head, np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_drawing_of_few_colours_keeps_every_pixel(mode):
    png = png_of(drawing(mode))
    head, pixels = read(data_uri(png))
    assert head == "data:image/webp;base64"
    np.testing.assert_array_equal(pixels, drawing())
    assert len(data_uri(png)) < len(png) * 4 / 3


def test_a_photograph_is_much_smaller_and_looks_the_same():
    png = png_of(photograph())
    uri = data_uri(png, photograph=True)
    head, pixels = read(uri)
    assert head == "data:image/webp;base64"
    assert len(uri) < len(png) / 3
    apart = pixels.astype(int) - photograph()
    assert np.abs(apart).mean() < 6
    np.testing.assert_allclose(pixels.mean((0, 1)), photograph().mean((0, 1)), atol=2)


def test_what_webp_cannot_hold_stays_a_png(monkeypatch):
    png = png_of(drawing())
    wide = png_of(np.zeros((1, 16384, 3), np.uint8))
    assert data_uri(wide).startswith("data:image/png")
    monkeypatch.setattr(embedding.features, "check", lambda name: False)
    head, pixels = read(data_uri(png))
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(pixels, drawing())
