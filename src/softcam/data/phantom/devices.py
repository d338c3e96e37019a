"""What lies on a chest film besides the patient: electrodes with their leads, side letters."""

from __future__ import annotations

import numpy as np

from softcam.data.phantom.shapes import bezier, stamp_blobs, stamp_tubes
from softcam.data.phantom.streams import F32, Streams

#: Strokes of the side letters in a unit box, as straight lines from point to point.
_LETTERS: dict[str, list[tuple[float, float]]] = {
    "R": [(0, 1), (0, 0), (0.7, 0.02), (0.85, 0.25), (0.7, 0.5), (0, 0.52), (0.4, 0.52), (0.9, 1)],
    "L": [(0, 0), (0, 1), (0.75, 1)],
}
_STROKE = 40  # samples of a letter
_LEADS = 3


def draw_devices(streams: Streams, size: int) -> F32:
    """Draw electrodes, leads and side letters, without regard to the class.

    Args:
        streams: where presence, number and place come from.
        size: height and width in pixels.

    Returns:
        How much of a device is in each pixel, 0 to 1, (N, size, size).
    """
    letter, place = _letters(streams)
    count = len(letter)
    canvas = np.zeros((count, size, size), np.float32)
    shown = streams.chance(0.5)
    tall = streams.uniform(0.045, 0.065)
    strokes = place[:, None] + letter * tall[:, None, None]
    width = np.maximum(0.11 * tall * size, 0.6)[:, None, None]
    stamp_tubes(canvas, size * strokes[:, None], width, np.where(shown, 1.0, 0.0)[:, None, None])

    number = np.where(streams.chance(0.5), streams.integers(1, _LEADS), 0)
    present = np.arange(_LEADS) < number[:, None]
    end = np.stack(
        [streams.uniform(0.12, 0.88, _LEADS), streams.uniform(0.15, 0.85, _LEADS)], axis=-1
    )
    leave = np.where(streams.chance(0.5, _LEADS), 1.03, -0.03)
    origin = np.stack([leave, streams.uniform(0.3, 1.0, _LEADS)], axis=-1)
    sway = 0.14 * streams.normal(_LEADS, 2, 2).clip(-2, 2)
    control = np.stack(
        [
            end,
            end + (origin - end) / 3 + sway[:, :, 0],
            end + 2 * (origin - end) / 3 + sway[:, :, 1],
            origin,
        ],
        axis=-2,
    ).astype(np.float32)
    points = bezier(control, max(40, round(1.5 * size)))
    wire = np.full((1, 1, 1), max(0.0045 * size, 0.55), np.float32)
    stamp_tubes(canvas, size * points, wire, np.where(present, 0.8, 0.0)[..., None])
    chosen = np.nonzero(present)
    radius = np.full(chosen[0].size, max(0.018 * size, 1.0), np.float32)
    stamp_blobs(canvas, chosen[0], size * end[..., 0][chosen], size * end[..., 1][chosen], radius)
    return canvas


def _letters(streams: Streams) -> tuple[F32, F32]:
    """The strokes of each image's letter, (N, samples, 2) in its box, and the corner, (N, 2)."""
    strokes = {name: _trace(points) for name, points in _LETTERS.items()}
    # the patient's right is on the left of the image
    is_right = streams.chance(0.6)
    letter = np.where(is_right[:, None, None], strokes["R"], strokes["L"])
    x = np.where(is_right, streams.uniform(0.03, 0.10), streams.uniform(0.86, 0.93))
    return letter, np.stack([x, streams.uniform(0.03, 0.22)], axis=-1)


def _trace(points: list[tuple[float, float]]) -> F32:
    """Evenly spaced points along straight lines, (samples, 2)."""
    corners = np.array(points, np.float32)
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    way = np.concatenate([[0], np.cumsum(lengths)])
    at = np.linspace(0, way[-1], _STROKE)
    return np.stack([np.interp(at, way, corners[:, k]) for k in (0, 1)], axis=-1).astype(np.float32)
