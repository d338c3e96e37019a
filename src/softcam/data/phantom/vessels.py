"""The vessels of the retina: four arcades of artery and vein, their branches and twigs."""

from __future__ import annotations

import numpy as np

from softcam.data.phantom.shapes import bezier, hump, pixel_centres, stamp_tubes
from softcam.data.phantom.streams import F32, Streams

#: Control points of the upper arcades in units of the distance from disc to fovea, x towards the
#: fovea and y down, the disc at the origin: temporal artery and vein, nasal artery and vein.
_ARCADES = np.array(
    [
        [(-0.02, 0.0), (0.00, -0.66), (0.50, -1.02), (1.80, -0.62)],
        [(-0.05, 0.0), (-0.08, -0.80), (0.40, -1.22), (1.65, -1.05)],
        [(-0.04, 0.0), (-0.15, -0.25), (-0.40, -0.45), (-0.95, -0.62)],
        [(-0.06, 0.0), (-0.10, -0.45), (-0.24, -0.80), (-0.55, -1.25)],
    ],
    np.float32,
)
#: Half-width over image size, and how dark, of an artery and of a vein.
_WIDTH = np.array([0.0062, 0.0082, 0.0048, 0.0060], np.float32)
_DARK = np.array([0.72, 1.0, 0.66, 0.9], np.float32)


def draw_vessels(
    streams: Streams,
    size: int,
    disc_x: F32,
    disc_y: F32,
    fovea_x: F32,
    fovea_y: F32,
    temporal: F32,
) -> F32:
    """Draw the vessels of a batch of eyes.

    Args:
        streams: where the variation comes from.
        size: height and width in pixels.
        disc_x: centre of the disc in pixels, (N,).
        disc_y: centre of the disc in pixels, (N,).
        fovea_x: centre of the fovea in pixels, (N,).
        fovea_y: centre of the fovea in pixels, (N,).
        temporal: +1 where the fovea lies to the right of the disc, else -1, (N,).

    Returns:
        How much vessel is in each pixel, 0 to 1, (N, size, size).
    """
    count = len(disc_x)
    upper = np.concatenate([_ARCADES, _ARCADES * np.array([1, -1], np.float32)])
    jitter = streams.normal(8, 4, 2).clip(-2, 2)
    control = upper + jitter * np.array([0.01, 0.05, 0.09, 0.12], np.float32)[:, None]
    unit = np.abs(fovea_x - disc_x)[:, None, None]
    # the caliber varies between eyes but not so much within one
    caliber = size * streams.uniform(0.85, 1.2)

    main = bezier(control, max(24, round(1.0 * size)))
    main = main + _wiggle(streams, 8, main.shape[2], 0.03)
    radius = (caliber[:, None] * np.tile(_WIDTH, 2))[:, :, None]
    radius = radius * np.linspace(1.0, 0.45, main.shape[2], dtype=np.float32)
    dark = np.broadcast_to(np.tile(_DARK, 2)[:, None], radius.shape)

    branch, branch_radius, branch_dark = _branch(streams, main, radius, dark, 3, size)
    twig, twig_radius, twig_dark = _branch(streams, branch, branch_radius, branch_dark, 2, size)

    canvas = np.zeros((count, size, size), np.float32)
    side = np.stack([temporal, np.ones_like(temporal)], axis=-1)[:, None, None, :]
    origin = np.stack([disc_x, disc_y], axis=-1)[:, None, None, :]
    for points, width, strength in (
        (main, radius, dark),
        (branch, branch_radius, branch_dark),
        (twig, twig_radius, twig_dark),
    ):
        placed = origin + points * unit[..., None] * side
        # a vessel finer than a pixel is drawn a pixel wide and fainter instead
        faint = strength * np.minimum(1.0, width / np.float32(0.6))
        stamp_tubes(canvas, placed, np.maximum(width, np.float32(0.6)), faint)
    grid = pixel_centres(size)
    dx, dy = grid - fovea_x[:, None], grid - fovea_y[:, None]
    around = np.sqrt(np.square(dx)[:, None, :] + np.square(dy)[:, :, None])
    canvas *= 1 - hump(around, 0.07 * size)  # no vessel crosses the fovea
    return canvas


def _branch(
    streams: Streams, parent: F32, radius: F32, dark: F32, each: int, size: int
) -> tuple[F32, F32, F32]:
    """Grow branches from every parent curve: points, half-widths and darkness like the parent's."""
    count, curves, samples, _ = parent.shape
    start = streams.uniform(0.10, 0.90, curves, each)
    index = (start * (samples - 2)).astype(np.intp)
    rows, columns = np.arange(count)[:, None, None], np.arange(curves)[None, :, None]
    at = parent[rows, columns, index]
    ahead = parent[rows, columns, index + 1] - at
    heading = np.arctan2(ahead[..., 1], ahead[..., 0])
    turn = np.where(streams.chance(0.5, curves, each), 1, -1) * streams.uniform(
        0.45, 1.0, curves, each
    )
    length = streams.uniform(0.30, 0.85, curves, each) * (1 - 0.4 * start)
    if each == 2:  # twigs are short
        length = length * np.float32(0.45)
    # a branch leaves at an angle and bends back towards its parent's course
    angles = [heading + turn, heading + 0.75 * turn, heading + 0.35 * turn]
    control = [at]
    for reach, angle in zip((0.33, 0.66, 1.0), angles, strict=True):
        step = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        control.append(at + np.float32(reach) * length[..., None] * step)
    points = bezier(np.stack(control, axis=-2), max(12, round((0.34, 0.16)[each == 2] * size)))
    points = points.reshape(count, curves * each, -1, 2)
    points = points + _wiggle(streams, curves * each, points.shape[2], 0.012)
    own = np.float32(0.72) * radius[rows, columns, index]
    taper = np.linspace(1.0, 0.5, points.shape[2], dtype=np.float32)
    width = own.reshape(count, -1)[:, :, None] * taper
    shade = 0.9 * dark[rows, columns, index].reshape(count, -1)[:, :, None]
    return points, width, np.broadcast_to(shade, width.shape)


def _wiggle(streams: Streams, curves: int, samples: int, most: float) -> F32:
    """Small sideways bends that vanish at the start, (N, curves, samples, 2)."""
    t = np.linspace(0, 1, samples, dtype=np.float32)[:, None]
    phase = streams.uniform(0, 2 * np.pi, curves, 1, 2)
    cycles = streams.uniform(1.0, 3.0, curves, 1, 2)
    swing = streams.uniform(0.15 * most, most, curves, 1, 2)
    wave = np.sin(2 * np.pi * cycles * t + phase)
    return (swing * wave * np.minimum(1, 4 * t)).astype(np.float32)
