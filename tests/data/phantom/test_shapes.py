"""The window-stamped shapes against slow float64 versions that look at every pixel."""

from __future__ import annotations

import numpy as np

from softcam.data.phantom.shapes import bezier, smooth_noise, stamp_blobs, stamp_tubes


def test_blobs_equal_the_definition_at_every_pixel():
    generator = np.random.default_rng(0)
    image = np.array([0, 0, 1, 1, 1])
    # some reach over the border, one lies outside
    x, y = generator.uniform(-3, 27, (2, 5)).astype(np.float32)
    radius = generator.uniform(0.8, 5, 5).astype(np.float32)
    edge = generator.uniform(1, 4, 5).astype(np.float32)
    stretch = generator.uniform(0.5, 2, 5).astype(np.float32)
    wobble = generator.normal(0, 0.08, (5, 2, 3)).astype(np.float32)
    canvas = np.zeros((2, 24, 24), np.float32)
    stamp_blobs(canvas, image, x, y, radius, edge=edge, wobble=wobble, stretch=stretch)

    expected = np.zeros((2, 24, 24))
    for k in range(5):
        for row in range(24):
            for column in range(24):
                dx = (column + 0.5 - float(x[k])) / np.sqrt(float(stretch[k]))
                dy = (row + 0.5 - float(y[k])) * np.sqrt(float(stretch[k]))
                angle = np.arctan2(dy, dx)
                outline = float(radius[k]) * (
                    1
                    + sum(
                        float(wobble[k, 0, h]) * np.cos((h + 2) * angle)
                        + float(wobble[k, 1, h]) * np.sin((h + 2) * angle)
                        for h in range(3)
                    )
                )
                u = np.clip((outline - np.hypot(dx, dy)) / float(edge[k]) + 0.5, 0, 1)
                value = u * u * (3 - 2 * u)
                expected[image[k], row, column] = max(expected[image[k], row, column], value)
    np.testing.assert_allclose(canvas, expected, atol=2e-5)


def test_tubes_equal_the_definition_at_every_pixel():
    generator = np.random.default_rng(1)
    points = generator.uniform(-4, 24, (2, 3, 15, 2)).astype(np.float32)
    radius = generator.uniform(0.6, 2.5, (2, 3, 15)).astype(np.float32)
    strength = generator.uniform(-0.3, 1, (2, 3, 15)).astype(np.float32)
    canvas = np.zeros((2, 20, 20), np.float32)
    stamp_tubes(canvas, points, radius, strength)

    centres = np.arange(20) + 0.5
    distance = np.hypot(
        centres - points[..., 0, None, None].astype(np.float64),
        centres[:, None] - points[..., 1, None, None].astype(np.float64),
    )
    profile = np.clip(radius[..., None, None] - distance + 0.5, 0, 1)
    profile = profile * np.maximum(strength, 0)[..., None, None]
    np.testing.assert_allclose(canvas, profile.max(axis=(1, 2)), atol=2e-5)


def test_no_blob_and_no_tube_leave_the_canvas_as_it_was():
    canvas = np.full((1, 8, 8), 0.25, np.float32)
    none = np.zeros(0, np.float32)
    stamp_blobs(canvas, np.zeros(0, np.intp), none, none, none)
    points = np.full((1, 1, 4, 2), 4, np.float32)
    stamp_tubes(canvas, points, np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32))
    assert (canvas == 0.25).all()


def test_a_bezier_curve_begins_and_ends_at_its_outer_control_points():
    control = np.random.default_rng(2).normal(size=(2, 3, 4, 2)).astype(np.float32)
    points = bezier(control, 9)
    np.testing.assert_allclose(points[..., 0, :], control[..., 0, :], atol=1e-6)
    np.testing.assert_allclose(points[..., -1, :], control[..., 3, :], atol=1e-6)
    middle = (control * np.array([1, 3, 3, 1], np.float32)[:, None] / 8).sum(axis=-2)
    np.testing.assert_allclose(points[..., 4, :], middle, atol=1e-5)


def test_smooth_noise_stays_between_its_nodes():
    nodes = np.random.default_rng(3).normal(size=(2, 4, 6)).astype(np.float32)
    noise = smooth_noise(nodes, 50)
    assert noise.shape == (2, 50, 50)
    assert noise.dtype == np.float32
    assert noise.max() <= nodes.max() + 1e-5
    assert noise.min() >= nodes.min() - 1e-5
    flat = smooth_noise(np.full((1, 3, 3), 0.7, np.float32), 20)
    np.testing.assert_allclose(flat, 0.7, atol=1e-6)
