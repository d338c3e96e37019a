"""One case as a picture: the image with the true lesions outlined, and the maps beside it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from softcam.errors import InputError
from softcam.explanation.figure import (
    AGAINST,
    ANNOTATION,
    FOR,
    draw_image,
    draw_outlines,
    draw_overlay,
)

# In inches; small, so that the letters stay readable when a phone shrinks the picture.
_PANEL, _LINE, _BAR, _GAP, _MARGIN = 2.0, 0.17, 0.42, 0.16, 0.1
_LETTERS = 30  # fit into a panel's width


@dataclass(frozen=True)
class MapPanel:
    """A map to draw over the image.

    Attributes:
        title: What the map is, for example "Evidence for ill".
        values: Shape (H, W) in file pixels; NaN where the model saw nothing.
        unit: "logits" for evidence, whose panels share one scale; "relative" for attributions
            without a unit, such as Grad-CAM, each on a scale of its own maximum.
    """

    title: str
    values: npt.NDArray[Any]
    unit: Literal["logits", "relative"] = "logits"


def draw_case(
    image: npt.NDArray[Any],
    panels: Sequence[MapPanel],
    *,
    lesions: npt.NDArray[np.bool_] | None = None,
    title: str = "Image",
    dpi: int = 150,
) -> bytes:
    """Draw a case in two columns, which a phone can still show.

    Args:
        image: Shape (H, W) or (H, W, 3), 8 or 16 bits, as displayed.
        panels: The maps; evidence diverges about zero on one scale for all panels in logits.
        lesions: True lesions in file pixels, shape (H, W), outlined in green on the image and on
            every map; None if the image was not annotated.
        title: Title of the image's own panel.
        dpi: Pixels per inch; a panel is 2 inches wide.

    Returns:
        A PNG.

    Raises:
        InputError: If a map or the lesions differ from the image in size.
    """
    height, width = image.shape[:2]
    for name, values in [(p.title, p.values) for p in panels] + [("Lesions", lesions)]:
        if values is not None and values.shape != (height, width):
            raise InputError(
                f"{name} has shape {values.shape}, the image {(height, width)}; "
                "bring it to file pixels first."
            )
    tall = _PANEL * min(1.6, max(0.6, height / width))
    names = [_folded(text) for text in (title, *(panel.title for panel in panels))]
    head = 0.12 + _LINE * max(name.count("\n") + 1 for name in names)
    cell = head + tall + _BAR
    rows = (len(panels) + 2) // 2
    size = (2 * _MARGIN + 2 * _PANEL + _GAP, 2 * _MARGIN + rows * cell)
    figure = Figure(figsize=size, facecolor="white")

    def place(position: int) -> Axes:
        left = _MARGIN + (position % 2) * (_PANEL + _GAP)
        top = _MARGIN + (position // 2) * cell + head
        return figure.add_axes(
            (left / size[0], 1 - (top + tall) / size[1], _PANEL / size[0], tall / size[1])
        )

    first = place(0)
    draw_image(first, image)
    _name(first, names[0])
    limit = _limit([panel.values for panel in panels if panel.unit == "logits"])
    for position, panel in enumerate(panels, start=1):
        ax = place(position)
        own = limit if panel.unit == "logits" else _limit([panel.values])
        drawn = draw_overlay(ax, image, panel.values, own)
        _name(ax, names[position])
        _colour_bar(figure, ax, drawn, own, panel.unit, one_sided=not (panel.values < 0).any())
    if lesions is not None:
        for ax in list(figure.axes):
            if ax.get_label() != "colour bar":
                draw_outlines(ax, lesions, linewidth=1.0)
    if len(panels) % 2 == 0:  # the last corner is free
        _key(place(len(panels) + 1), annotated=lesions is not None)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _limit(maps: Sequence[npt.NDArray[Any]]) -> float:
    """Give the largest magnitude in the maps; 1 where there is none."""
    peaks = [np.nanmax(np.abs(values)) for values in maps if np.isfinite(values).any()]
    return float(max(peaks, default=0.0)) or 1.0


def _folded(text: str) -> str:
    return textwrap.fill(text, _LETTERS, max_lines=2, placeholder=" …")


def _name(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=9, pad=5, color="#1c2329", parse_math=False)


def _colour_bar(
    figure: Figure,
    ax: Axes,
    drawn: ScalarMappable,
    limit: float,
    unit: Literal["logits", "relative"],
    *,
    one_sided: bool,
) -> None:
    box = ax.get_position()
    inch = 1 / figure.get_figheight()
    bar_axes = figure.add_axes(
        (box.x0 + 0.15 * box.width, box.y0 - 0.17 * inch, 0.7 * box.width, 0.09 * inch),
        label="colour bar",
        facecolor="#8a8a8a",  # the colours are translucent: show them on the grey they lie on
    )
    # A bar of its own: that of an image would repeat its transparency twice over.
    scale = ScalarMappable(drawn.norm, drawn.cmap)
    bar = figure.colorbar(scale, cax=bar_axes, orientation="horizontal")
    if unit == "logits":
        bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:.3g}", "0 logit units", f"{limit:.3g}"])
    elif one_sided:
        bar.ax.set_xlim(0, limit)
        bar.set_ticks([0, limit], labels=["0", "maximum"])
    else:
        bar.set_ticks([-limit, 0, limit], labels=["−max", "0, relative", "max"])
    bar.ax.tick_params(labelsize=8, length=2, pad=1.5, colors="#4a545c")
    bar.outline.set_visible(False)


def _key(ax: Axes, *, annotated: bool) -> None:
    """Say in the free corner what the colours mean."""
    ax.set_axis_off()
    handles: list[Patch | Line2D] = [
        Patch(color=FOR, label="evidence for"),
        Patch(color=AGAINST, label="evidence against"),
    ]
    if annotated:
        handles.append(Line2D([], [], color=ANNOTATION, linewidth=2, label="true lesion"))
    ax.legend(handles=handles, loc="center left", frameon=False, fontsize=9)
