"""Colour fundus photographs: disc, vessels, macula; the lesions of diabetic retinopathy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softcam.data.phantom.scene import MASK_LEVEL, POSITIVE, Drawing, Modality, Scene
from softcam.data.phantom.shapes import (
    hump,
    pixel_centres,
    ramp,
    smooth_noise,
    smoothstep,
    stamp_blobs,
)
from softcam.data.phantom.streams import F32, Purpose, Streams
from softcam.data.phantom.vessels import draw_vessels

_LESIONS = ("microaneurysm", "haemorrhage", "hard_exudate")
_SPECKS = 8  # the most specks in a cluster of exudates
_CANDIDATES = 12  # places tried for a lesion before the fallback

#: Colours of retinas as cameras show them, red, green, blue: from pale orange to dark brown.
_PALETTE = np.array(
    [(0.86, 0.46, 0.16), (0.74, 0.36, 0.26), (0.50, 0.24, 0.10), (0.95, 0.52, 0.10)], np.float32
)
#: What is left of red, green and blue under a vessel, and in blood outside one.
_VESSEL = (0.66, 0.42, 0.50)
_BLOOD = (0.48, 0.20, 0.26)
_EXUDATE = (1.00, 0.90, 0.50)
_DISC = (1.00, 0.80, 0.48)


@dataclass(frozen=True)
class _Eye:
    """Where things are, in pixels, each (N,)."""

    centre_x: F32
    centre_y: F32
    radius: F32  # of the field of view
    fovea_x: F32
    fovea_y: F32
    disc_x: F32
    disc_y: F32
    disc_radius: F32
    temporal: F32  # +1 where temporal is to the right of the image, else -1


def _eye(streams: Streams, size: int) -> _Eye:
    temporal = np.where(streams.chance(0.5), np.float32(1), np.float32(-1))
    centre_x = size * (0.5 + 0.01 * streams.normal().clip(-2, 2))
    centre_y = size * (0.5 + 0.01 * streams.normal().clip(-2, 2))
    fovea_x = size * (0.5 + temporal * streams.uniform(0.0, 0.07))
    fovea_y = size * streams.uniform(0.47, 0.54)
    distance = size * streams.uniform(0.34, 0.38)
    return _Eye(
        centre_x=centre_x,
        centre_y=centre_y,
        radius=size * streams.uniform(0.47, 0.52),
        fovea_x=fovea_x,
        fovea_y=fovea_y,
        disc_x=fovea_x - temporal * distance,
        disc_y=fovea_y - size * streams.uniform(-0.01, 0.05),
        disc_radius=size * streams.uniform(0.062, 0.076),
        temporal=temporal,
    )


def _distance(x: F32, y: F32, size: int) -> F32:
    """Distance of every pixel from a point of each image, (N, size, size)."""
    grid = pixel_centres(size)
    squared_x, squared_y = np.square(grid - x[:, None]), np.square(grid - y[:, None])
    return np.asarray(np.sqrt(squared_x[:, None, :] + squared_y[:, :, None]))


def _retina(eye: _Eye, streams: Streams, size: int) -> tuple[F32, F32]:
    """The bare retina without disc and vessels, (3, N, S, S), and its field of view, (N, S, S)."""
    count = len(eye.radius)
    weights = streams.uniform(0.02, 1.0, len(_PALETTE)) ** 4
    weights /= weights.sum(axis=1, keepdims=True)
    colour = np.stack([(weights * _PALETTE[:, c]).sum(axis=1) for c in range(3)])
    colour *= streams.uniform(0.82, 1.08)

    field = ramp(eye.radius[:, None, None] - _distance(eye.centre_x, eye.centre_y, size), 1.5)
    # light falls off from a point that is rarely the centre
    bright_x = eye.centre_x + size * 0.10 * streams.normal().clip(-2, 2)
    bright_y = eye.centre_y + size * 0.08 * streams.normal().clip(-2, 2)
    fall = streams.uniform(0.25, 0.55)
    reach = _distance(bright_x, bright_y, size) / eye.radius[:, None, None]
    light = 1.06 - fall[:, None, None] * np.square(reach) * 0.7

    coarse = smooth_noise(streams.normal(5, 5), size)
    medium = smooth_noise(streams.normal(17, 17), size)
    fine = smooth_noise(streams.normal(49, 49), size)
    # the choroid's vessels shine through as a tangle of ridges where the pigment is thin
    ridges = np.abs(smooth_noise(streams.normal(22, 22), size))
    tigroid = streams.uniform(0.0, 0.11)[:, None, None] * (1 - hump(reach, 0.75))
    texture = 1 + 0.030 * coarse + 0.018 * medium + 0.016 * fine - tigroid * (ridges - 0.45)

    around = _distance(eye.fovea_x, eye.fovea_y, size) / size
    depth = streams.uniform(0.16, 0.34)[:, None, None]
    macula = 1 - depth * hump(around, 0.060) - 0.20 * hump(around, 0.17)

    shade = light * texture * macula
    rgb = np.empty((3, count, size, size), np.float32)
    for channel, hue in enumerate((0.01, 0.0, -0.02)):
        # the colour itself drifts a little over the retina
        rgb[channel] = colour[channel][:, None, None] * shade * (1 + hue * coarse)
    rgb[1] *= 1 - 0.16 * hump(around, 0.12)  # the macula is redder, too
    return rgb, field


def _optic_disc(eye: _Eye, streams: Streams, rgb: F32) -> npt.NDArray[np.bool_]:
    """Paint the optic disc and return its mask."""
    size = rgb.shape[-1]
    grid = pixel_centres(size)
    dx = (grid - eye.disc_x[:, None])[:, None, :]
    dy = (grid - eye.disc_y[:, None])[:, :, None] / streams.uniform(1.02, 1.16)[:, None, None]
    radius = eye.disc_radius[:, None, None]
    distance = np.sqrt(dx * dx + dy * dy)
    profile = smoothstep(ramp(radius - distance, max(1.5, 0.022 * size)))
    shift = (eye.temporal * eye.disc_radius)[:, None, None] * 0.12
    rim = np.sqrt(np.square(dx - shift) + dy * dy) / radius
    cup = hump(rim, streams.uniform(0.62, 0.95)[:, None, None])
    strength = streams.uniform(0.66, 0.84)[:, None, None] * profile
    halo = 0.10 * hump(distance, 2.4 * radius)
    pale = streams.uniform(0.92, 1.08)[:, None, None]
    for channel in range(3):
        target = np.float32(_DISC[channel]) * pale + (0.02, 0.14, 0.26)[channel] * cup
        layer = rgb[channel]
        layer *= 1 + halo
        layer += strength * (np.clip(target, 0, 1.05) - layer)
    return np.asarray(profile >= MASK_LEVEL)


def _places(eye: _Eye, streams: Streams, slots: int) -> tuple[F32, F32]:
    """Centres of lesions, (N, slots): round the macula, off the disc, well inside the field."""
    size = eye.radius[:, None, None] / np.float32(0.495)
    angle = streams.uniform(0, 2 * np.pi, slots, _CANDIDATES)
    reach = size * np.sqrt(streams.uniform(0.07**2, 0.37**2, slots, _CANDIDATES))
    x = eye.fovea_x[:, None, None] + reach * np.cos(angle)
    y = eye.fovea_y[:, None, None] + reach * np.sin(angle)
    disc = np.hypot(x - eye.disc_x[:, None, None], y - eye.disc_y[:, None, None])
    rim = np.hypot(x - eye.centre_x[:, None, None], y - eye.centre_y[:, None, None])
    good = (disc > 1.9 * eye.disc_radius[:, None, None]) & (rim < 0.84 * eye.radius[:, None, None])
    first = good.argmax(axis=2)[..., None]
    x = np.take_along_axis(x, first, 2)[..., 0]
    y = np.take_along_axis(y, first, 2)[..., 0]
    found = good.any(axis=2)
    aside = (eye.fovea_x + eye.temporal * 0.2 * eye.radius)[:, None]
    return np.where(found, x, aside), np.where(found, y, eye.fovea_y[:, None])


def _lesions(scene: Scene, eye: _Eye, rgb: F32, light: F32) -> dict[str, npt.NDArray[np.bool_]]:
    """Paint the lesions of the diseased images and return their masks."""
    size, streams = scene.size, scene.streams(Purpose.LESIONS)
    present = scene.lesion_slots(streams)
    slots = present.shape[1]
    kind = streams.uniform(0, 1, slots)
    x, y = _places(eye, streams, slots)
    scale = streams.uniform(0, 1, slots)
    wobble = streams.normal(slots, 2, 4)
    stretch = np.exp(0.25 * streams.normal(slots).clip(-2, 2))
    speck_x = streams.normal(slots, _SPECKS).clip(-2, 2)
    speck_y = streams.normal(slots, _SPECKS).clip(-2, 2)
    speck_radius = streams.uniform(0.008, 0.015, slots, _SPECKS)
    specks = streams.integers(4, _SPECKS, slots)
    bigger = size * scene.between(1.2, 0.8)

    def blank() -> F32:
        return np.zeros(rgb.shape[1:], np.float32)

    profiles = {finding: blank() for finding in _LESIONS}
    chosen = np.nonzero(present & (kind < 0.4))
    radius = np.maximum(bigger * (0.0095 + 0.0045 * scale[chosen]), 0.75)
    stamp_blobs(profiles["microaneurysm"], chosen[0], x[chosen], y[chosen], radius)

    chosen = np.nonzero(present & (kind >= 0.4) & (kind < 0.7))
    radius = np.maximum(bigger * (0.018 + 0.026 * scale[chosen]), 0.75)
    stamp_blobs(
        profiles["haemorrhage"],
        chosen[0],
        x[chosen],
        y[chosen],
        radius,
        edge=max(1.2, 0.018 * size),
        wobble=0.075 * wobble[chosen].clip(-2, 2) / np.arange(1, 5, dtype=np.float32) ** 0.5,
        stretch=stretch[chosen],
    )

    cluster = present & (kind >= 0.7)
    chosen = np.nonzero(cluster[..., None] & (np.arange(_SPECKS) < specks[..., None]))
    spread = bigger * (0.020 + 0.020 * scale[chosen[:2]])
    stamp_blobs(
        profiles["hard_exudate"],
        chosen[0],
        x[chosen[:2]] + spread * speck_x[chosen],
        y[chosen[:2]] + spread * speck_y[chosen],
        np.maximum(bigger * speck_radius[chosen], 0.75),
        wobble=0.12 * wobble[chosen[:2]][:, :, :2].clip(-1, 1),
    )

    strength = np.float32(scene.between(1.0, 0.5))
    blood = np.maximum(0.85 * profiles["microaneurysm"], profiles["haemorrhage"]) * strength
    yellow = 0.9 * profiles["hard_exudate"] * strength
    for channel in range(3):
        layer = rgb[channel]
        layer *= 1 - np.float32(1 - _BLOOD[channel]) * blood
        layer += yellow * (np.float32(_EXUDATE[channel]) * light - layer)
    return {finding: profile >= MASK_LEVEL for finding, profile in profiles.items()}


def _artefacts(scene: Scene, eye: _Eye, rgb: F32) -> npt.NDArray[np.bool_]:
    """Paint what the camera adds, dust and reflexes, in either class alike; return the mask."""
    size, streams = scene.size, scene.streams(Purpose.ARTEFACTS)
    slots = 4
    count = np.where(streams.chance(0.6), streams.integers(1, slots), 0)
    angle = streams.uniform(0, 2 * np.pi, slots)
    reach = eye.radius[:, None] * np.sqrt(streams.uniform(0.0, 0.8, slots))
    x = eye.centre_x[:, None] + reach * np.cos(angle)
    y = eye.centre_y[:, None] + reach * np.sin(angle)
    is_dust = streams.chance(0.5, slots)
    scale = streams.uniform(0.012, 0.030, slots)
    stretch = np.exp(0.45 * streams.normal(slots).clip(-2, 2))
    strength = streams.uniform(0.6, 1.0, slots)
    present = np.arange(slots) < count[:, None]
    marks = []
    for wanted in (is_dust, ~is_dust):
        chosen = np.nonzero(present & wanted)
        profile = np.zeros(rgb.shape[1:], np.float32)
        radius = np.maximum(size * scale[chosen], 1.0)
        # out of focus: the edge is as wide as the spot, unlike any lesion's
        stamp_blobs(
            profile, chosen[0], x[chosen], y[chosen], radius, edge=1.6 * radius,
            stretch=stretch[chosen], strength=strength[chosen],
        )  # fmt: skip
        marks.append(profile)
    dust, reflex = marks
    for channel in range(3):
        rgb[channel] *= 1 - 0.34 * dust
        rgb[channel] += (0.22, 0.24, 0.26)[channel] * reflex
    return np.asarray(np.maximum(dust, reflex) >= MASK_LEVEL)


def draw_fundus(scene: Scene) -> Drawing:
    """Draw a batch of fundus photographs, uint8 (N, size, size, 3)."""
    size, streams = scene.size, scene.streams(Purpose.ANATOMY)
    eye = _eye(streams, size)
    rgb, field = _retina(eye, streams, size)
    disc = _optic_disc(eye, streams, rgb)
    vessels = draw_vessels(
        streams, size, eye.disc_x, eye.disc_y, eye.fovea_x, eye.fovea_y, eye.temporal
    )
    for channel in range(3):
        rgb[channel] *= 1 - np.float32(1 - _VESSEL[channel]) * vessels
    # exudates are lit like the retina round them
    light = np.clip(0.55 + 0.6 * rgb[0], 0, 1)
    masks = _lesions(scene, eye, rgb, light)
    artefact = _artefacts(scene, eye, rgb)

    noise = scene.streams(Purpose.NOISE)
    level = np.float32(scene.between(0.006, 0.022))
    bright, tint = noise.normal(size, size), noise.normal(size, size)
    images = np.empty((*field.shape, 3), np.uint8)
    for channel in range(3):
        grain = bright + (0.8, -0.5, 1.1)[channel] * tint
        grain *= level
        layer = rgb[channel]
        layer += grain
        layer *= field
        layer += np.float32(0.012) + np.float32(0.15) * grain
        images[..., channel] = np.clip(layer * 255 + 0.5, 0, 255)
    seen = field >= 0.5
    masks = {finding: mask & seen for finding, mask in masks.items()}
    masks |= {"optic_disc": disc & seen, "artefact": artefact & seen}
    return Drawing(images, masks)


FUNDUS = Modality(
    draw=draw_fundus,
    findings=dict.fromkeys(_LESIONS, POSITIVE)
    | {"optic_disc": "distractor", "artefact": "distractor"},
    lesions=(2, 8),
)
