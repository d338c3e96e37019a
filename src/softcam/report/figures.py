"""Charts of a report as SVG that follows the reader's light or dark setting."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from softcam.evaluation.curves import Reliability, RocBand

Epochs = Sequence[Mapping[str, float | None]]
"""One mapping per epoch: epoch, train_loss, val_loss, val_auc, lr; others are passed over."""

# Colours are placeholders in matplotlib, and CSS variables in the SVG that leaves this module.
_INK, _FAINT, _MODEL, _TWIN = "#010101", "#020202", "#030303", "#040404"
_SERIES = (_MODEL, _TWIN, "#050505", "#060606", "#070707", "#080808")
_THEME = {
    _INK: ("--ink", "#4a545c", "#aeb7bf"),
    _FAINT: ("--faint", "#d5dade", "#3a434b"),
    _MODEL: ("--model", "#0b6b73", "#58bfc5"),
    _TWIN: ("--twin", "#b4601c", "#e2a163"),
    "#050505": ("--third", "#5b4a9c", "#a99be3"),
    "#060606": ("--fourth", "#3f7d2c", "#8cc777"),
    "#070707": ("--fifth", "#a8336b", "#e58ab4"),
    "#080808": ("--sixth", "#5d6670", "#9aa4ad"),
}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_SIZE = (4.4, 3.3)  # inches; as wide as a phone, so that its 10 points stay readable there


def draw_loss(history: Epochs, twin: Epochs = (), *, subject: str = "SoftCAM") -> str:
    """Draw the training and validation loss of each epoch.

    Args:
        history: Epochs of the model.
        twin: Epochs of its black-box twin; empty without one.
        subject: What the model is called.

    Returns:
        An SVG.
    """
    figure, ax = _chart("Epoch", "Loss")
    for name, epochs, colour in ((subject, history, _MODEL), ("Twin", twin, _TWIN)):
        _line(ax, epochs, "train_loss", f"{name}, training", colour, "--")
        _line(ax, epochs, "val_loss", f"{name}, validation", colour, "-")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(ax)
    return _svg(figure)


def draw_auc(history: Epochs, twin: Epochs = (), *, subject: str = "SoftCAM") -> str:
    """Draw the validation AUC of each epoch, with the best one marked.

    Args:
        history: Epochs of the model.
        twin: Epochs of its black-box twin; empty without one.
        subject: What the model is called.

    Returns:
        An SVG.
    """
    figure, ax = _chart("Epoch", "Validation AUC")
    for name, epochs, colour in ((subject, history, _MODEL), ("Twin", twin, _TWIN)):
        _line(ax, epochs, "val_auc", name, colour, "-", best=True)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(ax)
    return _svg(figure)


def draw_roc(curves: Mapping[str, RocBand]) -> str:
    """Draw ROC curves with their pointwise intervals.

    Args:
        curves: Name (with its AUC, say) to curve; at most six tell apart by colour.

    Returns:
        An SVG.
    """
    figure, ax = _chart("1 − specificity", "Sensitivity")
    ax.plot([0, 1], [0, 1], color=_FAINT, linewidth=1, zorder=1)
    for (name, curve), (colour, dashes) in zip(curves.items(), _styles(len(curves)), strict=True):
        if np.isfinite(curve.low).all():
            ax.fill_between(
                curve.grid, curve.low, curve.high, color=colour, alpha=0.14, linewidth=0
            )
        ax.plot(curve.fpr, curve.tpr, color=colour, linewidth=1.6, linestyle=dashes, label=name)
    _unit_square(ax)
    _legend(ax, "lower right")
    return _svg(figure)


def draw_reliability(models: Mapping[str, Reliability]) -> str:
    """Draw observed frequency against stated probability; larger dots hold more images.

    Args:
        models: Name to bins.

    Returns:
        An SVG.
    """
    figure, ax = _chart("Stated probability", "Observed frequency")
    ax.plot([0, 1], [0, 1], color=_FAINT, linewidth=1, zorder=1)
    for (name, bins), (colour, dashes) in zip(models.items(), _styles(len(models)), strict=True):
        held = bins.count > 0
        x, y, count = bins.confidence[held], bins.frequency[held], bins.count[held]
        ax.plot(x, y, color=colour, linewidth=1, linestyle=dashes, alpha=0.45)
        size = 12 + 110 * count / max(1, count.sum())
        ax.scatter(x, y, s=size, color=colour, linewidths=0, zorder=3, label=name)
    _unit_square(ax)
    _legend(ax, "upper left")
    return _svg(figure)


def _chart(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax = figure.add_subplot()
    ax.set_xlabel(x, color=_INK)
    ax.set_ylabel(y, color=_INK)
    ax.tick_params(colors=_INK, length=0, labelsize=9)
    ax.grid(color=_FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(_FAINT)
    return figure, ax


def _line(
    ax: Axes, epochs: Epochs, key: str, name: str, colour: str, style: str, *, best: bool = False
) -> None:
    """Draw what is known of one quantity; nothing if it was never recorded."""
    points = [(epoch.get("epoch"), epoch.get(key)) for epoch in epochs]
    known = [(x, y) for x, y in points if x is not None and y is not None and math.isfinite(y)]
    if not known:
        return
    xs, ys = (np.array(values, dtype=np.float64) for values in zip(*known, strict=True))
    if best:
        name = f"{name}, best {ys.max():.3f}"
    # A single epoch makes no line, but a mark shows it.
    mark = "o" if len(xs) == 1 else None
    ax.plot(xs, ys, style, color=colour, linewidth=1.6, label=name, marker=mark, markersize=4)
    if best:
        top = int(ys.argmax())
        ax.plot(xs[top], ys[top], "o", color=colour, markersize=5)


def _styles(count: int) -> list[tuple[str, str]]:
    """Give each curve a colour and, where the colours run out, another dash."""
    dashes = ("-", "--", ":", "-.")
    return [
        (_SERIES[i % len(_SERIES)], dashes[i // len(_SERIES) % len(dashes)]) for i in range(count)
    ]


def _unit_square(ax: Axes) -> None:
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    ticks: npt.NDArray[np.float64] = np.linspace(0, 1, 6)
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)


def _legend(ax: Axes, place: Literal["best", "lower right", "upper left"] = "best") -> None:
    if ax.get_legend_handles_labels()[0]:
        legend = ax.legend(loc=place, frameon=False, fontsize=9, labelcolor=_INK)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a class may be called "$x$"


def _svg(figure: Figure) -> str:
    """Write a figure as SVG text with the page's fonts, and its colours as CSS variables."""
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    # The salt makes equal figures equal bytes; text stays text in the reader's own font.
    with matplotlib.rc_context({"svg.hashsalt": "softcam", "svg.fonttype": "none"}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("'DejaVu Sans'", _FONT)
    for colour, (name, _, _) in _THEME.items():
        text = text.replace(colour, f"var({name})")
    light = "".join(f"{name}:{value};" for name, value, _ in _THEME.values())
    dark = "".join(f"{name}:{value};" for name, _, value in _THEME.values())
    style = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    end = text.index(">") + 1
    return f"{text[:end]}<style>{style}</style>{text[end:]}"
