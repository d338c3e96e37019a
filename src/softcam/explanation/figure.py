"""Drawing evidence on images: overlays, outlines and boxes on matplotlib axes, without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image

from softcam.explanation.outline import Polygon, trace
from softcam.explanation.regions import Region

FOR = (1.0, 0.36, 0.05)
"""Colour of evidence for a class: orange, told from blue with every common colour vision."""

AGAINST = (0.10, 0.47, 1.0)
"""Colour of evidence against a class."""

ANNOTATION = "#19d447"
"""Colour of true annotations: green, which no evidence has."""

_MOST_PIXELS = 1200
"""Longest side at which images are drawn; more would only slow the figure down."""

_DARKEST, _BRIGHTEST = 0.14, 0.88
"""Range of grey, from 0 to 1, of an image under an overlay."""


@cache
def evidence_colormap(opacity: float = 0.85) -> ListedColormap:
    """Give the diverging colours: blue against, orange for, the image itself at zero.

    Args:
        opacity: How far the strongest evidence covers the image, from 0 to 1.
    """
    strength = np.abs(np.linspace(-1.0, 1.0, 511))
    colours = np.where(np.linspace(-1.0, 1.0, 511)[:, None] < 0, AGAINST, FOR)
    # A power a little below one lifts weak evidence over what the eye can tell from none.
    alpha = opacity * strength**0.7
    return ListedColormap(np.column_stack([colours, alpha]), name="evidence")


def displayable(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Make an image fit for display: RGB, 8 bits; more bits are scaled by the image's own range.

    Args:
        image: Shape (H, W) or (H, W, 3).

    Returns:
        Shape (H, W, 3).
    """
    values = image
    if values.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        scaled = (values.astype(np.float32) - low) * (255.0 / max(high - low, 1e-12))
        values = np.round(scaled).astype(np.uint8)
    if values.ndim == 2:
        values = np.repeat(values[:, :, None], 3, axis=2)
    return np.asarray(values[:, :, :3], dtype=np.uint8)


def draw_image(ax: Axes, image: npt.NDArray[Any], *, grey: bool = False) -> None:
    """Draw an image so that the axes count in its pixels.

    Args:
        ax: Where to draw; its ticks are removed.
        image: Shape (H, W) or (H, W, 3), 8 or 16 bits.
        grey: Take the colour out of it, so that what is drawn over it has colour to itself.
    """
    height, width = image.shape[:2]
    picture = Image.fromarray(displayable(image))
    if grey:
        # Compressed towards the middle: colour laid over black or white would not show.
        table = [round(255 * (_DARKEST + (_BRIGHTEST - _DARKEST) * i / 255)) for i in range(256)]
        picture = picture.convert("L").point(table).convert("RGB")
    picture.thumbnail((_MOST_PIXELS, _MOST_PIXELS), Image.Resampling.BOX)
    ax.imshow(np.asarray(picture), extent=(0, width, height, 0))
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)


def draw_overlay(
    ax: Axes,
    image: npt.NDArray[Any],
    values: npt.NDArray[Any],
    limit: float,
    *,
    grey: bool = True,
) -> AxesImage:
    """Draw an image with signed evidence over it; parts that the model never saw are hatched.

    Args:
        ax: Where to draw.
        image: Shape (H, W) or (H, W, 3), 8 or 16 bits.
        values: Evidence at each of its pixels, shape (H, W); NaN where the model saw nothing.
        limit: Evidence at the ends of the colour scale, which is symmetric about zero.
        grey: Take the colour out of the image, so that colour means evidence.

    Returns:
        What a colour bar is made from.
    """
    height, width = values.shape
    draw_image(ax, image, grey=grey)
    step = max(1, -(-max(height, width) // _MOST_PIXELS))
    # Each kept pixel stands in the middle of the block that it is drawn as.
    shown = values[step // 2 :: step, step // 2 :: step] if step > 1 else values
    drawn = ax.imshow(
        np.ma.masked_invalid(shown),
        cmap=evidence_colormap(),
        norm=Normalize(-limit, limit),
        extent=(0, width, height, 0),
        interpolation="nearest",
    )
    ax.set(xlim=(0, width), ylim=(height, 0))
    _hatch_unseen(ax, np.isnan(values))
    return drawn


def _hatch_unseen(ax: Axes, unseen: npt.NDArray[np.bool_]) -> None:
    """Veil and hatch the margins around the rectangle that the model saw."""
    if not unseen.any():
        return
    height, width = unseen.shape
    rows, columns = np.flatnonzero(~unseen.all(axis=1)), np.flatnonzero(~unseen.all(axis=0))
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (height, height)
    left, right = (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, width)
    margins = (
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    )
    for x0, y0, x1, y1 in margins:
        if x1 > x0 and y1 > y0:
            corner, size = (x0, y0), (x1 - x0, y1 - y0)
            ax.add_patch(Rectangle(corner, *size, facecolor=(0.5, 0.5, 0.5, 0.55), linewidth=0))
            ax.add_patch(
                Rectangle(
                    corner, *size, fill=False, hatch="////", edgecolor=(1, 1, 1, 0.45), linewidth=0
                )
            )


def draw_outlines(
    ax: Axes,
    mask: npt.NDArray[np.bool_],
    *,
    color: str = ANNOTATION,
    linewidth: float = 1.4,
) -> None:
    """Draw the outlines of a mask in file pixels, such as a true annotation.

    Args:
        ax: Axes that count in file pixels.
        mask: Shape (H, W).
        color: Any matplotlib colour.
        linewidth: In points.
    """
    draw_polygons(ax, [tuple(map(tuple, loop.tolist())) for loop in trace(mask)], color, linewidth)


def draw_polygons(
    ax: Axes,
    polygons: Sequence[Polygon],
    color: str = "white",
    linewidth: float = 1.4,
    rim: float = 0.6,
) -> None:
    """Draw closed polygons with a dark rim, so that they show on bright and dark images.

    Args:
        ax: Axes that count in the polygons' unit.
        polygons: Corners (x, y).
        color: Any matplotlib colour.
        linewidth: In points.
        rim: How far the rim stands out on each side, in points.
    """
    halo = patheffects.Stroke(linewidth=linewidth + 2 * rim, foreground="black", alpha=0.8)
    closed = [[*polygon, polygon[0]] for polygon in polygons if polygon]
    if closed:
        ax.add_collection(
            # Not clipped: along the image's border half of the line would be lost.
            LineCollection(
                closed,
                colors=color,
                linewidths=linewidth,
                path_effects=[halo, patheffects.Normal()],
                clip_on=False,
            ),
            autolim=False,
        )


def draw_regions(ax: Axes, regions: Sequence[Region], *, numbered: int = 0) -> None:
    """Outline evidence regions in white and number the first ones.

    Args:
        ax: Axes that count in file pixels.
        regions: Those wholly in padding cannot be drawn and are left out.
        numbered: How many get their number, from 1, in the order given.
    """
    left, right = sorted(ax.get_xlim())
    top, bottom = sorted(ax.get_ylim())
    for number, region in enumerate(regions, start=1):
        if region.box is None:
            continue
        draw_polygons(ax, region.outline)
        if number <= numbered:
            # The label stands on the region's topmost corner, or hangs from it at the border.
            y, x = min((y, x) for loop in region.outline for x, y in loop)
            above = y - top > 0.07 * (bottom - top)
            ax.text(
                float(np.clip(x, left, right - 0.04 * (right - left))),
                y,
                str(number),
                color="white",
                fontsize=9,
                fontweight="bold",
                verticalalignment="bottom" if above else "top",
                path_effects=[patheffects.withStroke(linewidth=2.5, foreground="black")],
            )
