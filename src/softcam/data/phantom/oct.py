"""OCT B-scans of the macula: retinal layers under speckle; drusen."""

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
    smooth_profile,
)
from softcam.data.phantom.streams import F32, Purpose, Streams

#: The inner layers from the vitreous down: usual thickness over image height, what is left of it
#: in the fovea's pit, and brightness. The nuclear layers are dark, the fibre layers bright.
_INNER = (
    (0.028, 0.05, 0.66),  # nerve fibres
    (0.034, 0.10, 0.46),  # ganglion cells
    (0.034, 0.15, 0.54),  # inner plexiform
    (0.030, 0.15, 0.32),  # inner nuclear
    (0.018, 0.70, 0.50),  # outer plexiform
    (0.062, 1.35, 0.25),  # outer nuclear
)
#: The outer layers down to Bruch's membrane: thickness over image height, brightness.
_OUTER = (
    (0.010, 0.44),  # limiting membrane and inner segments
    (0.013, 0.80),  # ellipsoid zone
    (0.014, 0.46),  # outer segments
    (0.020, 0.95),  # pigment epithelium
)
_VITREOUS, _DRUSE, _CHOROID = 0.035, 0.52, 0.50


@dataclass(frozen=True)
class _Retina:
    """The surfaces of the retina in pixels from the top, (N, S) each, S columns."""

    inner: list[F32]  # upper surfaces of the inner layers
    inner_level: F32  # brightness of the inner layers, (N, 6)
    bruch: F32  # lower surface of the pigment epithelium in health
    choroid: F32  # lower surface of the choroid
    outer: F32  # thickness of the outer layers, (N, 4)


def _retina(streams: Streams, size: int) -> _Retina:
    count = len(streams.uniform(0, 1))
    grid = pixel_centres(size) / size
    across = (grid - 0.5)[None, :]
    tilt = streams.uniform(-0.13, 0.13)[:, None]
    bend = streams.uniform(-0.18, 0.30)[:, None]
    level = streams.uniform(0.56, 0.66)[:, None]
    wave = 0.006 * smooth_profile(streams.normal(7), size)
    bruch = level + tilt * across + bend * (np.square(across) - 0.08) + wave

    fovea = streams.uniform(0.30, 0.70)[:, None]
    # some scans pass beside the fovea: no pit
    depth = np.where(streams.chance(0.8), streams.uniform(0.75, 1.0), 0.15)[:, None]
    pit = depth * np.square(hump(grid - fovea, streams.uniform(0.20, 0.30)[:, None]))
    # towards the disc the nerve fibres thicken
    nasal = np.where(streams.chance(0.5), 1, -1)[:, None] * (grid - fovea)
    swell = streams.uniform(0.85, 1.15)[:, None]
    outer_share = streams.uniform(0.9, 1.15)
    outer = np.stack([outer_share * thick for thick, _ in _OUTER], axis=1)
    vary = 1 + 0.08 * streams.normal(len(_INNER), 6).clip(-2, 2)

    surface = bruch - outer.sum(axis=1, keepdims=True)
    upper: list[F32] = []
    for k in reversed(range(len(_INNER))):
        thick, left, _ = _INNER[k]
        share = 1 + (left - 1) * pit
        if k == 0:
            share = share * (1 + 1.6 * np.clip(nasal, 0, None))
        surface = surface - thick * swell * share * smooth_profile(vary[:, k], size)
        upper.insert(0, (surface * size).astype(np.float32))
    levels = np.array([level for *_, level in _INNER], np.float32)
    return _Retina(
        inner=upper,
        inner_level=levels * (1 + 0.07 * streams.normal(len(_INNER)).clip(-2, 2)),
        bruch=(bruch * size).astype(np.float32),
        choroid=(
            (bruch + streams.uniform(0.10, 0.18)[:, None]) * size
            + 0.012 * size * smooth_profile(streams.normal(6), size)
        ).astype(np.float32),
        outer=(outer * size).astype(np.float32).reshape(count, len(_OUTER)),
    )


def _drusen(scene: Scene) -> F32:
    """How far drusen lift the pigment epithelium off Bruch's membrane, in pixels, (N, S)."""
    size, streams = scene.size, scene.streams(Purpose.LESIONS)
    present = scene.lesion_slots(streams)
    slots = present.shape[1]
    bigger = scene.between(1.25, 0.75)
    x = size * streams.uniform(0.07, 0.93, slots)[..., None]
    half = size * bigger * streams.uniform(0.030, 0.065, slots)[..., None]
    height = size * bigger * streams.uniform(0.028, 0.060, slots)[..., None]
    half, height = np.maximum(half, 1.5), np.maximum(height, 1.5)
    dome = np.clip(1 - np.square((pixel_centres(size) - x) / half), 0, None) ** 0.8
    lift = np.where(present[..., None], height * dome, 0).max(axis=1)
    # less than half a pixel is not seen
    return np.where(lift >= 0.5, lift, 0).astype(np.float32)


def _shadows(scene: Scene, retina: _Retina) -> tuple[F32, F32]:
    """Vessels in the inner retina and the shadows below them, (N, S, S) each; either class."""
    size, streams = scene.size, scene.streams(Purpose.ARTEFACTS)
    slots = 4
    count = np.where(streams.chance(0.6), streams.integers(1, slots), 0)
    present = (np.arange(slots) < count[:, None])[..., None]
    grid = pixel_centres(size)
    x = size * streams.uniform(0.04, 0.96, slots)[..., None]
    radius = np.maximum(size * streams.uniform(0.010, 0.024, slots)[..., None], 1.0)
    strength = streams.uniform(0.5, 0.8, slots)[..., None]
    columns = np.where(present, strength * hump(grid - x, 1.5 * radius), 0)
    shade = columns.max(axis=1)[:, None, :]
    caliber = np.where(present, hump(grid - x, radius), 0).max(axis=1)[:, None, :]
    y = grid[None, :, None]
    top = (0.5 * (retina.inner[1] + retina.inner[2]))[:, None, :]
    bottom = retina.choroid[:, None, :]
    # the shadow fades in the deep choroid
    shadow = shade * ramp(y - top, 2.0) * np.clip((bottom + 0.08 * size - y) / (0.08 * size), 0, 1)
    vessel = caliber * hump(y - top, max(1.5, 0.018 * size))
    return shadow.astype(np.float32), vessel.astype(np.float32)


def _layers(retina: _Retina, lift: F32, texture: F32) -> F32:
    """Brightness of every pixel before speckle, (N, S, S), with the given lift of drusen."""
    size = lift.shape[1]
    y = pixel_centres(size)[None, :, None]
    edge = max(1.0, 0.007 * size)
    image = np.full((len(lift), size, size), _VITREOUS, np.float32)

    def below(surface: F32, change: F32 | float) -> None:
        step = ramp(y - surface[:, None, :], edge)
        step *= np.asarray(change, np.float32).reshape(-1, 1, 1)
        np.add(image, step, out=image)

    before: F32 | float = _VITREOUS
    for k, surface in enumerate(retina.inner):
        below(surface, retina.inner_level[:, k] - before)
        before = retina.inner_level[:, k]
    depth = retina.outer.sum(axis=1, keepdims=True)
    surface = retina.bruch - lift - depth
    for k, (_, level) in enumerate(_OUTER):
        below(surface, level - before)
        before = level
        surface = surface + retina.outer[:, k : k + 1]
    below(retina.bruch - lift, _DRUSE - before)
    below(retina.bruch, _CHOROID - _DRUSE)
    # the choroid: dark lumina in a bright stroma, fading with depth
    deep = np.clip(y - retina.bruch[:, None, :], 0, None) / np.float32(size)
    under = ramp(y - retina.bruch[:, None, :], edge)
    inside = under * ramp((retina.choroid[:, None, :] - y), 0.05 * size)
    grain = 1 + inside * (0.6 * texture - 0.10)
    fade = np.exp(-6.5 * deep) * (0.55 + 0.45 * np.maximum(inside, 1 - under))
    image *= 1 + under * (np.clip(grain, 0.15, 1.7) * fade - 1)
    return image


def _vitreous_face(streams: Streams, retina: _Retina, size: int) -> F32:
    """The thin back face of the vitreous, seen in some scans, (N, S, S)."""
    seen = np.where(streams.chance(0.35), streams.uniform(0.10, 0.25), 0)[:, None, None]
    gap = streams.uniform(0.03, 0.12)[:, None] + 0.02 * smooth_profile(streams.normal(4), size)
    face = retina.inner[0].mean(axis=1, keepdims=True) - size * np.clip(gap, 0.03, None)
    face = np.minimum(face, retina.inner[0] - 2)
    y = pixel_centres(size)[None, :, None]
    return (seen * hump(y - face[:, None, :], max(1.2, 0.008 * size))).astype(np.float32)


def _drusen_mask(retina: _Retina, lift: F32) -> npt.NDArray[np.bool_]:
    """Pixel centres from the lifted photoreceptors down to Bruch's membrane, (N, S, S)."""
    y = pixel_centres(lift.shape[1])[None, :, None]
    top = (retina.bruch - lift - retina.outer.sum(axis=1, keepdims=True))[:, None, :]
    return np.asarray((lift > 0)[:, None, :] & (y >= top) & (y <= retina.bruch[:, None, :]))


def draw_oct(scene: Scene) -> Drawing:
    """Draw a batch of B-scans, uint8 (N, size, size)."""
    size, streams = scene.size, scene.streams(Purpose.ANATOMY)
    retina = _retina(streams, size)
    # wide lumina below, small ones above: two grains, both taller than wide
    texture = 0.6 * smooth_noise(streams.normal(14, 30), size)
    texture += 0.4 * smooth_noise(streams.normal(28, 48), size)
    face = _vitreous_face(streams, retina, size)
    gain = (streams.uniform(0.80, 1.12)[:, None] * (1 + 0.06 * smooth_profile(
        streams.normal(6), size)))[:, None, :]  # fmt: skip

    lift = _drusen(scene)
    image = _layers(retina, lift, texture) + face
    shadow, vessel = _shadows(scene, retina)
    image += 0.22 * vessel
    image *= (1 - shadow) * gain

    # speckle multiplies, the detector's noise adds
    noise = scene.streams(Purpose.NOISE)
    speckle = np.exp(np.float32(scene.between(0.13, 0.36)) * noise.normal(size, size))
    floor = np.float32(scene.between(0.03, 0.075)) * np.abs(noise.normal(size, size))
    image = image * speckle + floor
    masks = {
        "drusen": _drusen_mask(retina, lift),
        "vessel_shadow": np.asarray(np.maximum(shadow, vessel) >= MASK_LEVEL),
    }
    return Drawing((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), masks)


OCT = Modality(
    draw=draw_oct,
    findings={"drusen": POSITIVE, "vessel_shadow": "distractor"},
    lesions=(1, 5),
)
