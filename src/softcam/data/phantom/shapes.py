"""Shapes and textures for whole batches: blobs and tubes in small windows, smooth noise.

Coordinates are in pixels, x to the right and y down, with pixel edges at whole numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softcam.data.phantom.streams import F32

Indices = npt.NDArray[np.intp]

#: Elements of a window array drawn at once; bounds the memory of large batches.
_WINDOW_BUDGET = 1 << 21


def pixel_centres(size: int) -> F32:
    """The coordinates of the pixel centres along an axis, (size,)."""
    return np.arange(size, dtype=np.float32) + np.float32(0.5)


def ramp(distance: F32, width: float | F32 = 1.0) -> F32:
    """0 to 1 across an edge of the given width, half at distance 0, exactly 0 and 1 beyond."""
    value = distance / np.asarray(width, np.float32)
    value += np.float32(0.5)
    return np.clip(value, 0, 1, out=value)


def smoothstep(value: F32) -> F32:
    """Ease 0..1 in and out: exactly 0 and 1 outside."""
    unit = np.clip(value, 0, 1)
    eased = 3 - 2 * unit
    eased *= unit
    eased *= unit
    return eased


def arch(distance: F32, radius: float | F32) -> F32:
    """A parabola of compact support: 1 at distance 0 and 0 from the radius on."""
    value = distance / np.asarray(radius, np.float32)
    value *= value
    np.subtract(1, value, out=value)
    return np.maximum(value, 0, out=value)


def hump(distance: F32, radius: float | F32) -> F32:
    """A bell of compact support: 1 at distance 0 and 0 from the radius on; takes signed values."""
    value = arch(distance, radius)
    value *= value
    return value


def smooth_noise(nodes: F32, size: int) -> F32:
    """Interpolate random nodes smoothly over a square image.

    Args:
        nodes: (N, rows, columns), at least 2 of each; the image spans the outermost nodes.
        size: height and width in pixels.

    Returns:
        (N, size, size).
    """
    down = _interpolation(nodes.shape[1], size)
    across = _interpolation(nodes.shape[2], size)
    return np.asarray(np.matmul(np.matmul(down, nodes), across.T))


def smooth_profile(nodes: F32, size: int) -> F32:
    """Interpolate random nodes smoothly along an axis: (N, nodes) to (N, size)."""
    weights = _interpolation(nodes.shape[1], size)
    return np.asarray(np.matmul(nodes[:, None, :], weights.T)[:, 0])


def bezier(control: F32, samples: int) -> F32:
    """Points on cubic Bézier curves: control points (..., 4, 2) to (..., samples, 2)."""
    t = np.linspace(0, 1, samples, dtype=np.float32)[:, None]
    a, b, c, d = (control[..., k, None, :] for k in range(4))
    s = 1 - t
    return np.asarray(s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d)


def stamp_tubes(canvas: F32, points: F32, radius: F32, strength: F32) -> None:
    """Raise a canvas to tubes along sampled curves.

    Args:
        canvas: (N, H, W), changed in place to the greater of itself and the tubes.
        points: (N, curves, samples, 2), x and y, about a pixel apart or closer.
        radius: half-width in pixels, broadcast to (N, curves, samples).
        strength: the value inside a tube, broadcast to (N, curves, samples); 0 draws nothing.
    """
    shape = points.shape[:3]
    image = np.broadcast_to(np.arange(shape[0])[:, None, None], shape).reshape(-1)
    x, y = points[..., 0].reshape(-1), points[..., 1].reshape(-1)
    radii = np.broadcast_to(radius, shape).reshape(-1)
    value = np.broadcast_to(strength, shape).reshape(-1)
    size = canvas.shape[-1]
    drawn = value > 0
    if not drawn.any():
        return
    # the window's middle pixel holds the centre, so this reaches every pixel of the soft edge
    half = int(np.ceil(radii[drawn].max()))
    near = (x > -half) & (x < size + half) & (y > -half) & (y < size + half)
    kept = np.flatnonzero(drawn & near)
    scratch = _Scratch(canvas, half)
    step = max(1, _WINDOW_BUDGET // (2 * half + 1) ** 2)
    for start in range(0, kept.size, step):
        part = kept[start : start + step]
        dx, dy, flat = scratch.windows(image[part], x[part], y[part])
        distance = np.sqrt(np.square(dx)[:, None, :] + np.square(dy)[:, :, None])
        profile = ramp(radii[part, None, None] - distance)
        profile *= value[part, None, None]
        scratch.draw(flat, profile)
    scratch.finish()


def stamp_blobs(
    canvas: F32,
    image: Indices,
    x: F32,
    y: F32,
    radius: F32,
    *,
    edge: F32 | float = 1.0,
    wobble: F32 | None = None,
    stretch: F32 | None = None,
    strength: F32 | None = None,
) -> None:
    """Raise a canvas to blobs whose profile falls from 1 to 0 over an edge of given width.

    Args:
        canvas: (N, H, W), changed in place to the greater of itself and the blobs.
        image: which image each of M blobs lies in, (M,).
        x: centres, (M,).
        y: centres, (M,).
        radius: mean radii in pixels, (M,); at least 0.75 leaves no blob without a pixel.
        edge: width of the edge in pixels, (M,) or one for all; the middle is at the radius.
        wobble: (M, 2, harmonics): cosine and sine amplitudes of the outline from the second
            harmonic on, relative to the radius; None for discs.
        stretch: horizontal over vertical extent, (M,); None for 1.
        strength: the value inside each blob, (M,); None for 1.
    """
    if image.size == 0:
        return
    edges = np.broadcast_to(np.asarray(edge, np.float32), radius.shape)
    aspect = np.ones_like(radius) if stretch is None else stretch
    reach = np.ones_like(radius) if wobble is None else 1 + np.abs(wobble).sum(axis=(1, 2))
    longest = np.sqrt(np.maximum(aspect, 1 / aspect)) * (radius * reach + edges / 2)
    half = int(np.ceil(longest.max()))
    size = canvas.shape[-1]
    near = (x > -half) & (x < size + half) & (y > -half) & (y < size + half)
    kept = np.flatnonzero(near)
    scratch = _Scratch(canvas, half)
    step = max(1, _WINDOW_BUDGET // (2 * half + 1) ** 2)
    for start in range(0, kept.size, step):
        part = kept[start : start + step]
        across, down, flat = scratch.windows(image[part], x[part], y[part])
        root = np.sqrt(aspect[part, None])
        dx, dy = (across / root)[:, None, :], (down * root)[:, :, None]
        distance = np.sqrt(dx * dx + dy * dy)
        outline = np.broadcast_to(radius[part, None, None], distance.shape)
        if wobble is not None:
            outline = outline * (1 + _outline(dx, dy, distance, wobble[part]))
        profile = smoothstep(ramp(outline - distance, edges[part, None, None]))
        if strength is not None:
            profile *= strength[part, None, None]
        scratch.draw(flat, profile)
    scratch.finish()


class _Scratch:
    """A canvas with a margin, so that windows round the border need no care."""

    def __init__(self, canvas: F32, half: int) -> None:
        self._canvas, self._half = canvas, half
        count, size, _ = canvas.shape
        self._side = size + 4 * half
        self._padded = np.zeros((count, self._side, self._side), np.float32)
        self._offsets = np.arange(-half, half + 1)

    def windows(self, image: Indices, x: F32, y: F32) -> tuple[F32, F32, Indices]:
        """Offsets of the pixels round each centre across and down, (M, w), and their indices.

        The centres lie less than half a window outside the canvas; indices are (M, w, w).
        """
        column, row = np.floor(x), np.floor(y)
        offsets = self._offsets.astype(np.float32) + np.float32(0.5)
        margin = 2 * self._half
        first = image * self._side + row.astype(np.intp) + margin
        first = first * self._side + column.astype(np.intp) + margin
        window = self._offsets[:, None] * self._side + self._offsets
        flat = first[:, None, None] + window
        return (column - x)[:, None] + offsets, (row - y)[:, None] + offsets, flat

    def draw(self, flat: Indices, profile: F32) -> None:
        """Raise the pixels to the profiles of their windows."""
        where = profile > 0
        np.maximum.at(self._padded.reshape(-1), flat[where], profile[where])

    def finish(self) -> None:
        """Put what was drawn on the canvas."""
        inside = slice(2 * self._half, self._side - 2 * self._half)
        np.maximum(self._canvas, self._padded[:, inside, inside], out=self._canvas)


def _outline(dx: F32, dy: F32, distance: F32, wobble: F32) -> F32:
    """The relative change of the radius in each pixel's direction, by the angle-sum recursion."""
    safe = np.maximum(distance, np.float32(1e-3))
    cos1, sin1 = dx / safe, dy / safe
    cos_k, sin_k = cos1, sin1
    total = np.zeros_like(distance)
    for k in range(wobble.shape[2]):
        cos_k, sin_k = cos_k * cos1 - sin_k * sin1, sin_k * cos1 + cos_k * sin1
        total += wobble[:, 0, k, None, None] * cos_k + wobble[:, 1, k, None, None] * sin_k
    return total


def _interpolation(nodes: int, size: int) -> F32:
    """Weights (size, nodes) that interpolate with eased steps between neighbouring nodes."""
    position = pixel_centres(size) * np.float32((nodes - 1) / size)
    lower = np.minimum(position.astype(np.intp), nodes - 2)
    share = smoothstep(position - lower.astype(np.float32))
    weights = np.zeros((size, nodes), np.float32)
    weights[np.arange(size), lower] = 1 - share
    weights[np.arange(size), lower + 1] = share
    return weights
