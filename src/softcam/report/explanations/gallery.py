"""One image with every method's map: signed as it is, and as such maps are usually shown."""

from __future__ import annotations

import io
import math
import textwrap
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

from softcam.errors import InputError
from softcam.evaluation.explanations.result import GalleryCase, GalleryMap
from softcam.explanation.figure import (
    AGAINST,
    ANNOTATION,
    FOR,
    draw_image,
    draw_overlay,
    draw_polygons,
    evidence_colormap,
)
from softcam.explanation.outline import trace
from softcam.report.explanations.sheets import short_name

# In inches.
_PANEL, _GAP, _BETWEEN, _MARGIN = 1.5, 0.08, 0.28, 0.12
_HEAD, _FOOT = 0.46, 0.42  # two lines of a name above the panels, colour bar and range below
_ACROSS, _DOWN = 3, 22  # methods side by side; more of them where there were too many rows
_LETTERS = 46  # fit over a method's two panels
_DPI, _MOST_PIXELS = 110, 6000  # the second: of the longer side, so that no file gets too large
_MOST_BYTES = 3 << 20  # beyond it a sheet is drawn smaller: pages hold several
_INK, _SOFT, _UNSEEN = "#1c2329", "#5b666f", "#8a8a8a"


def draw_sheet(shown: GalleryCase) -> bytes:
    """Draw an image and every method's map of it, each twice.

    On the left the values as they are, on a diverging scale of the map's own that is centred on
    zero, with their smallest and largest printed below; on the right the usual view, negatives
    set to zero and the rest divided by its maximum, over the image. True lesions are outlined
    on every panel.

    Args:
        shown: The image and its maps, all on one grid.

    Returns:
        A PNG of at most 6000 pixels a side, drawn smaller where it took over 3 MiB.

    Raises:
        InputError: If a map or the mask differ from the image in size.
    """
    height, width = shown.pixels.shape[:2]
    given: list[tuple[str, npt.NDArray[Any]]] = []
    given += [(str(one.method), one.values) for one in shown.maps]
    if shown.mask is not None:
        given.append(("The mask", shown.mask))
    for name, values in given:
        if values.shape != (height, width):
            raise InputError(
                f"{name} has shape {values.shape}, the image {(height, width)}; bring all of a "
                "gallery to the input grid."
            )
    tall = _PANEL * min(1.6, max(0.6, height / width))
    cell = (2 * _PANEL + _GAP, _HEAD + tall + _FOOT)
    cells = len(shown.maps) + 1
    across = min(cells, max(_ACROSS, math.ceil(cells / _DOWN)))
    rows = math.ceil(cells / across)
    size = (
        2 * _MARGIN + across * cell[0] + (across - 1) * _BETWEEN,
        2 * _MARGIN + rows * cell[1],
    )
    figure = Figure(figsize=size, facecolor="white")

    def place(position: int, second: bool, extra: tuple[float, float] | None = None) -> Axes:
        """Add axes for a panel, or for what lies `extra` inches below it (offset, height)."""
        left = _MARGIN + (position % across) * (cell[0] + _BETWEEN) + second * (_PANEL + _GAP)
        top = _MARGIN + (position // across) * cell[1] + _HEAD
        offset, high = (tall + extra[0], extra[1]) if extra else (0.0, tall)
        return figure.add_axes(
            (
                left / size[0],
                1 - (top + offset + high) / size[1],
                _PANEL / size[0],
                high / size[1],
            )
        )

    first = place(0, False)
    draw_image(first, shown.pixels)
    _name(first, shown.case.image)
    _about(place(0, True), shown)
    pictures = [first]
    for position, one in enumerate(shown.maps, start=1):
        raw, usual = place(position, False), place(position, True)
        low, high = _range(one.values)
        limit = max(abs(low), abs(high)) or 1.0
        _draw_raw(raw, one.values, limit)
        draw_overlay(usual, shown.pixels, usual_view(one.values), 1.0)
        _name(raw, f"{one.method.subject}\n{short_name(one.method)}")
        _bar(place(position, False, (0.05, 0.07)), limit, _range_text(one, low, high))
        _note(place(position, True, (0.05, 0.07)), high)
        pictures += [raw, usual]
    if shown.mask is not None:
        # Followed once for all panels: that is slower than drawing.
        loops = [tuple(map(tuple, loop.tolist())) for loop in trace(shown.mask)]
        for ax in pictures:
            draw_polygons(ax, loops, ANNOTATION, linewidth=0.8, rim=0.35)
    FigureCanvasAgg(figure)
    dpi = min(_DPI, _MOST_PIXELS / max(size))
    png = _png(figure, dpi)
    if len(png) > _MOST_BYTES:  # noisy maps pack badly; fewer pixels change no colour
        png = _png(figure, max(0.6, math.sqrt(_MOST_BYTES / len(png))) * dpi)
    return png


def _png(figure: Figure, dpi: float) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


@cache
def signed_colormap() -> Colormap:
    """Give the diverging colours on white: blue against, orange for; grey where undefined."""
    position = np.linspace(-1.0, 1.0, 511)[:, None]
    ends = np.where(position < 0, AGAINST, FOR)
    strength = np.abs(position) ** 0.8  # weak values a little above what the eye can tell
    colours = ListedColormap(1 - strength * (1 - ends), name="signed")
    return colours.with_extremes(bad=_UNSEEN)


def usual_view(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Make of a map what is usually shown: its positive part, divided by its maximum.

    Args:
        values: Any shape; NaN stays.

    Returns:
        The same shape, between 0 and 1; all 0 where nothing is positive.
    """
    positive = np.where(np.isnan(values), np.nan, np.maximum(values, 0.0)).astype(np.float64)
    _, high = _range(positive)
    return positive / high if high > 0 else positive


def _draw_raw(ax: Axes, values: npt.NDArray[Any], limit: float) -> None:
    height, width = values.shape
    ax.imshow(
        np.ma.masked_invalid(values),
        cmap=signed_colormap(), vmin=-limit, vmax=limit,
        extent=(0, width, height, 0), interpolation="nearest",
    )  # fmt: skip
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set(visible=True, color="#dfe4e7", linewidth=0.6)


def _range(values: npt.NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def _range_text(one: GalleryMap, low: float, high: float) -> str:
    unit = "logit units" if one.unit == "logit" else one.unit
    return f"{_short(low)} to {_short(high)}, {unit}"


def _short(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")


def _bar(ax: Axes, limit: float, text: str) -> None:
    """Draw the raw scale, with its ends and zero, and under it what the map's values span."""
    ax.imshow(
        np.linspace(-1, 1, 255)[None], cmap=signed_colormap(), vmin=-1, vmax=1,
        aspect="auto", extent=(-1, 1, 0, 1),
    )  # fmt: skip
    ax.set_yticks([])
    ax.set_xticks([-1, 0, 1], labels=[f"−{_short(limit)}", "0", _short(limit)])
    left, _, right = ax.get_xticklabels()
    left.set_horizontalalignment("left")
    right.set_horizontalalignment("right")
    ax.tick_params(labelsize=6.5, length=0, pad=1.5, colors=_SOFT)
    ax.spines[:].set_visible(False)
    ax.annotate(
        text, (0, 0), (0, -11), xycoords="axes fraction", textcoords="offset points",
        fontsize=6.5, color=_INK, va="top", parse_math=False,
    )  # fmt: skip


def _note(ax: Axes, high: float) -> None:
    """Draw the scale of the usual view, from nothing to its maximum."""
    ax.set_axis_off()
    if high <= 0:
        ax.text(0, 0, "nothing is positive", fontsize=6.5, color=_INK, va="center")
        return
    ramp = np.linspace(0, 1, 128)[None]
    ax.imshow(np.full((1, 1, 3), 138, np.uint8), aspect="auto", extent=(0, 1, 0, 1))
    ax.imshow(ramp, cmap=evidence_colormap(), vmin=-1, vmax=1, aspect="auto", extent=(0, 1, 0, 1))
    for x, text, side in ((0, "0", "left"), (1, "maximum", "right")):
        ax.annotate(
            text, (x, 0), (0, -1.5), xycoords="axes fraction", textcoords="offset points",
            fontsize=6.5, color=_SOFT, ha=side, va="top",
        )  # fmt: skip


def _name(ax: Axes, text: str) -> None:
    lines = text.split("\n")
    folded = [textwrap.shorten(_broken(line), _LETTERS, placeholder=" …") for line in lines]
    ax.set_title("\n".join(folded), loc="left", fontsize=8, pad=4, color=_INK, parse_math=False)


def _broken(text: str) -> str:
    """Cut words that are longer than a line, such as file names, in their middle."""
    half = _LETTERS // 2 - 2
    words = text.split()
    return " ".join(w if len(w) <= _LETTERS else f"{w[:half]}…{w[-half:]}" for w in words)


def _about(ax: Axes, shown: GalleryCase) -> None:
    """Say beside the image what is asked, what is true and what the colours mean."""
    ax.set_axis_off()
    case = shown.case
    lines = [f"Class: {case.class_name}, {'present' if case.present else 'absent'}"]
    lines += [f"{name}: p = {value:.3f}" for name, value in shown.probabilities.items()]
    lines += [
        "green: true lesion" if shown.mask is not None else "nothing is marked here",
        "left: values, orange for and blue against the class",
        "right: the usual view, negatives left out",
    ]
    folded = [part for line in lines for part in textwrap.wrap(_broken(line), 27)]
    ax.text(
        0, 1, "\n".join(folded), fontsize=7, color=_INK, va="top", linespacing=1.35,
        transform=ax.transAxes, parse_math=False,
    )  # fmt: skip
