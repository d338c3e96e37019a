"""Frontal chest X-rays: ribs, heart, lungs and diaphragm under noise; opacities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softcam.data.phantom.devices import draw_devices
from softcam.data.phantom.scene import MASK_LEVEL, POSITIVE, Drawing, Modality, Scene
from softcam.data.phantom.shapes import (
    arch,
    bezier,
    hump,
    pixel_centres,
    ramp,
    smooth_noise,
    smooth_profile,
    smoothstep,
    stamp_blobs,
    stamp_tubes,
)
from softcam.data.phantom.streams import F32, Purpose, Streams

_BRANCHES = 14  # lung vessels on each side


@dataclass(frozen=True)
class _Body:
    """The frame of a chest in units of the image; (N, 1) unless said otherwise.

    Attributes:
        middle: x of the midline in each row, (N, S).
        apex: y of the tops of the lungs.
        base: y of the domes of the diaphragm on the left and right of the image, (N, 2).
        inner: half-width of the mediastinum in each row, (N, S).
        outer: distance of the rib cage from the midline in each row, (N, S).
        heart: distance of the heart's edge from the midline on the right of the image in each
            row, with the arch of the aorta above it, (N, S); 0 where there is neither.
        right_heart: the same on the left of the image, where the patient's right is, (N, S).
    """

    middle: F32
    apex: F32
    base: F32
    inner: F32
    outer: F32
    heart: F32
    right_heart: F32


def _body(streams: Streams, size: int) -> _Body:
    y = (pixel_centres(size) / size)[None, :]
    lean = streams.uniform(-0.04, 0.04)[:, None]
    middle = 0.5 + streams.uniform(-0.02, 0.02)[:, None] + lean * (y - 0.5)
    middle = middle + 0.003 * smooth_profile(streams.normal(4), size)
    apex = streams.uniform(0.08, 0.15)[:, None]
    right = streams.uniform(0.70, 0.79)
    base = np.stack([right, right + streams.uniform(0.015, 0.05)], axis=1)
    wide = streams.uniform(0.34, 0.40)[:, None]
    along = np.clip((y - apex) / (base.max(axis=1, keepdims=True) - apex), 0, 1)
    outer = 0.085 + (wide - 0.085) * (1 - (1 - along) ** 2.3) ** 0.72
    inner = streams.uniform(0.055, 0.07)[:, None] + 0.03 * (1 - along) ** 2
    inner = inner + 0.02 * hump(along - 0.42, 0.22) + 0.02 * hump(along - 0.95, 0.5)

    heart_y = streams.uniform(0.61, 0.66)[:, None]
    heart_high = streams.uniform(0.17, 0.21)[:, None]
    heart_wide = streams.uniform(0.145, 0.195)[:, None]
    # fuller below than above
    unit = (y - heart_y) / (heart_high * np.where(y < heart_y, 1.15, 0.95))
    heart = heart_wide * np.sqrt(np.clip(1 - unit * unit, 0, None))
    knob_y = apex + streams.uniform(0.15, 0.19)[:, None]
    reach = streams.uniform(0.088, 0.104)[:, None]
    knob = reach * np.sqrt(np.clip(1 - np.square((y - knob_y) / 0.075), 0, None))
    frame = (middle, apex, base, inner, outer, np.maximum(heart, knob), 0.55 * heart)
    return _Body(*(part.astype(np.float32) for part in frame))


def _field(body: _Body, size: int) -> tuple[F32, F32, F32]:
    """Signed distance from the midline, lung and heart, (N, S, S) each; image units."""
    grid = pixel_centres(size) / size
    y = grid[None, :, None]
    side = grid[None, None, :] - body.middle[:, :, None]
    away = np.abs(side)
    soft = max(1.2, 0.012 * size) / size
    dome = np.where(side < 0, body.base[:, 0, None, None], body.base[:, 1, None, None])
    # the domes slope down to the angle at the rib cage
    dome = dome + 1.5 * np.square(away - 0.16) + 1.2 * np.square(np.clip(away - 0.2, 0, None))
    lung = ramp(body.outer[:, :, None] - away, soft) * ramp(away - body.inner[:, :, None], 2 * soft)
    lung *= ramp(dome - y, 1.5 * soft) * ramp(y - body.apex[:, :, None], 3 * soft)
    # mediastinum and heart are one silhouette, which sinks into the belly below the domes
    left = np.maximum(body.inner, body.right_heart)[:, :, None]
    right = np.maximum(body.inner, body.heart)[:, :, None]
    heart = ramp(np.where(side > 0, right, left) - away, 2.5 * soft)
    return side, lung, heart * smoothstep((dome + 0.06 - y) / 0.10)


def _ribs(streams: Streams, body: _Body, side: F32, size: int) -> F32:
    """Brightness of the ribs, (N, S, S): arcs behind falling outwards, fainter ones in front."""
    y = (pixel_centres(size) / size)[None, :, None]
    away = np.abs(side)
    spacing = streams.uniform(0.074, 0.088)[:, None, None]
    # both sides are never quite alike
    shift = np.where(side < 0, 0, 0.008 * streams.normal()[:, None, None])
    behind = (y + shift - body.apex[:, :, None] + 0.14 * away - 1.25 * away * away) / spacing
    front = (y - shift - body.apex[:, :, None] + 0.62 * away - 0.5 * away * away) / spacing
    ribs = 0.15 * _band(behind, 0.21) * smoothstep((away - 0.03) / 0.04)
    cage = body.outer[:, :, None]
    ribs += 0.075 * _band(0.9 * front, 0.22) * smoothstep((away - 0.15) / 0.12)
    # ribs look densest where they turn at the side of the cage
    ribs *= 1 + 0.9 * hump(away - cage, 0.055)
    below = body.base.max(axis=1)[:, None, None]
    ribs *= ramp(cage + 0.012 - away, 0.012) * smoothstep((below + 0.16 - y) / 0.14)
    ribs *= smoothstep((y - body.apex[:, :, None] + 0.03) / 0.05)
    wall = 0.10 * hump(away - cage, 0.022) * smoothstep((below + 0.14 - y) / 0.1)
    return ribs + wall * smoothstep((y - body.apex[:, :, None]) / 0.1)


def _band(phase: F32, half: float) -> F32:
    """A bar at every whole number, half-width in spacings, its two edges denser than its inside."""
    distance = np.abs(phase - np.round(phase))
    bar = smoothstep((half - distance) / np.float32(0.10) + 0.5)
    return bar * (0.75 + 0.25 * hump(distance - (half - 0.05), 0.12))


def _bones(streams: Streams, body: _Body, side: F32, size: int) -> F32:
    """Spine, clavicles and shoulders, (N, S, S)."""
    y = (pixel_centres(size) / size)[None, :, None]
    away = np.abs(side)
    height = streams.uniform(0.050, 0.060)[:, None, None]
    disc = np.abs(y / height - np.round(y / height))
    spine = 0.07 * ramp(0.034 - away, 0.012) * (1 - 0.55 * hump(disc, 0.28))
    rise = streams.uniform(0.03, 0.08)[:, None, None]
    start = body.apex[:, :, None] + streams.uniform(0.045, 0.075)[:, None, None]
    along = np.clip((away - 0.04) / 0.30, 0, 1)
    course = start - rise * along - 0.19 * along * (along - 0.5) * (along - 1)
    inside = ramp(away - 0.045, 0.02) * ramp(0.36 - away, 0.03)
    offset = np.abs(y - course)
    clavicle = 0.14 * arch(offset, 0.026) * (0.8 + 0.3 * hump(offset - 0.014, 0.009)) * inside
    shoulder_x = streams.uniform(0.40, 0.45)[:, None, None]
    head = np.sqrt(np.square(away - shoulder_x) + np.square(y - start + 0.4 * rise))
    shoulder = 0.13 * ramp(0.052 - head, 0.02)
    shaft = shoulder_x + 0.02 + 0.16 * (y - start)
    arm = 0.10 * ramp(0.026 - np.abs(away - shaft), 0.02) * smoothstep((y - start) / 0.05)
    blade = 0.05 * ramp(0.02 - np.abs(away - 0.30 - 0.18 * (y - start)), 0.03)
    blade *= smoothstep((y - start) / 0.04) * smoothstep((start + 0.26 - y) / 0.06)
    return np.asarray(spine + clavicle + np.maximum(shoulder, arm) + blade)


def _lung_vessels(streams: Streams, body: _Body, size: int) -> F32:
    """Vessels that fan out of the hila, (N, S, S)."""
    count = len(body.apex)
    canvas = np.zeros((count, size, size), np.float32)
    hilum_y = 0.5 * (body.apex + body.base.mean(axis=1, keepdims=True))
    for sign in (-1, 1):
        fan = np.linspace(-1.25, 1.25, _BRANCHES, dtype=np.float32)
        angle = fan + 0.16 * streams.normal(_BRANCHES).clip(-2, 2)
        length = streams.uniform(0.13, 0.27, _BRANCHES) * (0.75 + 0.25 * np.abs(np.sin(angle)))
        bend = 0.4 * streams.normal(_BRANCHES).clip(-2, 2)
        centre = body.middle.mean(axis=1, keepdims=True)
        start_x = centre + sign * (0.075 + 0.02 * np.cos(angle))
        start_y = hilum_y + 0.05 * np.sin(angle)
        control = []
        for reach, turn in ((0.0, 0.0), (0.33, 0.0), (0.66, 0.5), (1.0, 1.0)):
            direction = angle + turn * bend
            control.append(
                np.stack(
                    [
                        start_x + sign * reach * length * np.cos(direction),
                        start_y + reach * length * np.sin(direction),
                    ],
                    axis=-1,
                )
            )
        points = bezier(np.stack(control, axis=-2), max(10, round(0.3 * size)))
        taper = np.linspace(1, 0.15, points.shape[2], dtype=np.float32)
        radius = np.maximum(0.0075 * size * taper, 0.55)
        stamp_tubes(canvas, size * points, radius, 0.25 + 0.75 * taper)
    return canvas


def _soft_tissue(streams: Streams, side: F32, size: int) -> F32:
    """The outline of the body, (N, S, S): neck, shoulders, flanks."""
    y = (pixel_centres(size) / size)[None, :, None]
    neck = streams.uniform(0.10, 0.14)[:, None, None]
    flank = streams.uniform(0.44, 0.56)[:, None, None]
    shoulder = streams.uniform(0.02, 0.07)[:, None, None]
    width = neck + (flank - neck) * smoothstep((y - shoulder + 0.08) / 0.17) ** 0.7
    return ramp(width - np.abs(side), 0.03)


def _opacities(scene: Scene, body: _Body, lung: F32) -> F32:
    """The profile of the opacities, 0 to 1, inside the lungs, (N, S, S)."""
    size, streams = scene.size, scene.streams(Purpose.LESIONS)
    present = scene.lesion_slots(streams)
    slots = present.shape[1]
    right = streams.chance(0.5, slots)
    along = streams.uniform(0.22, 0.86, slots)
    across = streams.uniform(0.25, 0.75, slots)
    scale = streams.uniform(0.045, 0.095, slots) * np.float32(scene.between(1.2, 0.8))
    stretch = np.exp(0.3 * streams.normal(slots).clip(-2, 2))
    wobble = 0.09 * streams.normal(slots, 2, 4).clip(-2, 2)
    grain = smooth_noise(streams.normal(18, 18), size)

    base = np.where(right, body.base[:, 1:], body.base[:, :1])
    y = body.apex + along * (base - body.apex)
    row = np.clip((y * size).astype(np.intp), 0, size - 1)
    inner, outer, heart, middle = (
        np.take_along_axis(part, row, 1)
        for part in (body.inner, body.outer, body.heart, body.middle)
    )
    right_heart = np.take_along_axis(body.right_heart, row, 1)
    inner = np.maximum(inner, np.where(right, heart, right_heart))
    x = middle + np.where(right, 1, -1) * (inner + across * (outer - inner))
    chosen = np.nonzero(present)
    profile = np.zeros((len(body.apex), size, size), np.float32)
    radius = np.maximum(size * scale[chosen], 1.2)
    stamp_blobs(
        profile, chosen[0], size * x[chosen], size * y[chosen], radius,
        edge=1.3 * radius, wobble=wobble[chosen], stretch=stretch[chosen],
    )  # fmt: skip
    # patchy inside, and never beyond the lung
    return profile * lung * np.clip(1 + 0.22 * grain, 0.55, 1.0)


def draw_chest(scene: Scene) -> Drawing:
    """Draw a batch of chest X-rays, uint8 (N, size, size)."""
    size, streams = scene.size, scene.streams(Purpose.ANATOMY)
    body = _body(streams, size)
    side, lung, heart = _field(body, size)
    air = lung * (1 - heart)
    y = (pixel_centres(size) / size)[None, :, None]

    tissue = _soft_tissue(streams, side, size)
    below = body.base.mean(axis=1)[:, None, None]
    belly = smoothstep((y - below + 0.05) / 0.25)
    centre = hump(side, 0.34)
    image = tissue * (0.46 + 0.13 * centre + 0.19 * belly)
    # the gas bubble of the stomach, under the dome on the right of the image
    bubble = streams.uniform(0.0, 0.22)[:, None, None] * (1 - lung)
    image -= bubble * hump(side - 0.17, 0.12) * hump(y - below - 0.13, 0.07)
    deep = streams.uniform(0.30, 0.40)[:, None, None]
    image -= air * deep * (0.85 + 0.3 * hump(np.abs(side) - 0.22, 0.25))
    image += 0.12 * heart * tissue
    image += _ribs(streams, body, side, size) * (0.35 + 0.65 * air) * tissue
    image += _bones(streams, body, side, size) * tissue
    marks = _lung_vessels(streams, body, size)
    hilum = hump(np.abs(side) - 0.10, 0.12) * hump(y - 0.47, 0.16)
    image += air * (0.12 * marks + 0.07 * hilum)
    image += air * 0.022 * smooth_noise(streams.normal(40, 40), size)
    image += tissue * 0.020 * smooth_noise(streams.normal(6, 6), size)
    gain = streams.uniform(0.85, 1.20)[:, None, None]
    gamma = streams.uniform(0.85, 1.15)[:, None, None]
    haze = streams.uniform(0.01, 0.06)[:, None, None]

    opacity = _opacities(scene, body, air)
    image += np.float32(scene.between(0.34, 0.17)) * opacity
    device = draw_devices(scene.streams(Purpose.ARTEFACTS), size)
    image += 0.42 * device * (1 - 0.5 * image)

    image = np.power(np.clip(image * gain + haze, 0, 1), gamma)
    noise = scene.streams(Purpose.NOISE)
    level = np.float32(scene.between(0.008, 0.032))
    # fewer photons reach the detector behind dense tissue
    image = image + level * (0.5 + image) * noise.normal(size, size)
    masks = {
        "opacity": opacity >= MASK_LEVEL,
        "lung": air >= 0.5,
        "device": device >= MASK_LEVEL,
    }
    return Drawing((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), masks)


CHEST = Modality(
    draw=draw_chest,
    findings={"opacity": POSITIVE, "lung": "organ", "device": "distractor"},
    lesions=(1, 4),
)
