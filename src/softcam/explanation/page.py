"""The page of an explanation: the image, an overlay for each class, one colour bar, the notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from softcam.data.resample import Interpolation
from softcam.evidence.info import Task
from softcam.explanation.document import cell_size
from softcam.explanation.figure import draw_image, draw_overlay, draw_regions
from softcam.explanation.regions import threshold_of

if TYPE_CHECKING:
    from softcam.explanation.explanation import Explanation

_NUMBERED = 5
"""Regions that get a number and a place in the notes."""

# All in inches; text sizes in points.
_MARGIN, _GAP, _HEADER, _TITLE, _LINE = 0.2, 0.2, 0.42, 0.42, 0.165
_BAR, _BAR_ROOM, _BAR_HEIGHT, _NARROWEST = 0.15, 1.0, 3.2, 2.3
_NOTE_SIZE, _TITLE_SIZE, _HEADER_SIZE = 8.0, 9.5, 11.0
_FONTS = {bold: FontProperties(weight="bold" if bold else "normal") for bold in (False, True)}
_LOOKS = 1.45
"""Width over height that a page comes as near to as its panels allow."""


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in inches: panel size, column width, columns, rows, notes."""

    panel: tuple[float, float]
    column: float
    columns: int
    rows: int
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> float:
        inner = self.columns * self.column + (self.columns - 1) * _GAP
        return 2 * _MARGIN + inner + _BAR_ROOM

    @property
    def panels_height(self) -> float:
        return self.rows * (_TITLE + self.panel[1]) + (self.rows - 1) * _GAP

    @property
    def height(self) -> float:
        notes = 0.1 + _LINE * len(self.notes)
        return 2 * _MARGIN + _HEADER + self.panels_height + notes


def draw_page(
    explanation: Explanation,
    classes: Sequence[int],
    *,
    contrast: bool = False,
    interpolation: Interpolation = "nearest",
) -> Figure:
    """Draw an explanation.

    Args:
        explanation: What to draw.
        classes: Indices of the classes; a single one is drawn large, with its regions.
        contrast: Each class against the others instead of its own evidence.
        interpolation: How maps are laid on the image; the notes say it if not "nearest".

    Returns:
        A figure of its own, not known to pyplot.
    """
    layout = _lay_out(explanation, classes, contrast=contrast, interpolation=interpolation)
    figure = Figure(figsize=(layout.width, layout.height), facecolor="white")
    FigureCanvasAgg(figure)
    called = ", ".join(explanation.predicted) or "no class"
    room = layout.width - 2 * _MARGIN
    title = _shorten(explanation.name, 0.55 * room, _HEADER_SIZE, bold=True)
    title = _shorten(f"{title} · called: {called}", room, _HEADER_SIZE, bold=True)
    _write(figure, _MARGIN, _MARGIN, title, _HEADER_SIZE, bold=True)
    limit = explanation.limit(contrast=contrast)
    height, width = explanation.image.shape[:2]
    first = _panel(figure, layout, 0, "image", f"{width} × {height} px")
    draw_image(first, explanation.image)
    drawn = None
    for position, index in enumerate(classes, start=1):
        name, values = explanation.classes[index], _numbers(explanation, index, contrast=contrast)
        is_called = name in explanation.predicted
        ax = _panel(figure, layout, position, name, values, bold=is_called)
        overlay = explanation.map(
            index, contrast=contrast, interpolation=interpolation, outside=math.nan
        )
        drawn = draw_overlay(ax, explanation.image, overlay, limit)
        if len(classes) == 1:
            regions = explanation.regions(index, contrast=contrast)
            for axes in (first, ax):
                draw_regions(axes, regions, numbered=_NUMBERED)
    if drawn is not None:
        bar_height = min(layout.panels_height - _TITLE, _BAR_HEIGHT)
        bar = _place(
            figure,
            layout.width - _MARGIN - _BAR_ROOM + _GAP,
            _MARGIN + _HEADER + _TITLE,
            _BAR,
            bar_height,
        )
        # Behind the half-transparent colours a mid grey, as behind them on the image.
        bar.set_facecolor("0.45")
        Colorbar(bar, drawn).set_label(
            f"{'contrast' if contrast else 'evidence'} (logit units)", fontsize=_NOTE_SIZE
        )
        bar.tick_params(labelsize=_NOTE_SIZE)
    top = _MARGIN + _HEADER + layout.panels_height + 0.1
    for number, line in enumerate(layout.notes):
        _write(figure, _MARGIN, top + number * _LINE, line, _NOTE_SIZE, color="0.25")
    return figure


def _lay_out(
    explanation: Explanation,
    classes: Sequence[int],
    *,
    contrast: bool,
    interpolation: Interpolation,
) -> _Layout:
    """Choose the panels' size and the grid whose page looks best."""
    count = len(classes) + 1
    height, width = explanation.image.shape[:2]
    area = {2: 17.0, 3: 11.0}.get(count, 8.0)
    scale = math.sqrt(area / (width * height))
    scale = min(scale, 7.5 / width, 6.0 / height)
    panel = (width * scale, height * scale)
    column = max(panel[0], _NARROWEST)
    grids = [
        _Layout(panel, column, columns, -(-count // columns)) for columns in range(1, count + 1)
    ]

    def cost(grid: _Layout) -> float:
        empty = grid.columns * grid.rows - count
        return abs(math.log(grid.width / grid.height / _LOOKS)) + 0.8 * empty

    best = min(grids, key=cost)
    notes = _notes(explanation, classes, contrast=contrast, interpolation=interpolation)
    lines = tuple(
        line for note in notes for line in _wrap(note, best.width - 2 * _MARGIN, _NOTE_SIZE)
    )
    return _Layout(panel, column, best.columns, best.rows, lines)


def _notes(
    explanation: Explanation,
    classes: Sequence[int],
    *,
    contrast: bool,
    interpolation: Interpolation,
) -> list[str]:
    """Say what the page shows: which map, at which resolution, and what it leaves out."""
    rows, columns = explanation.evidence.shape[1:]
    height, width = explanation.geometry.input_size
    cell_width, cell_height = cell_size(explanation)
    notes = [
        f"Evidence has {columns} × {rows} cells, each {width / columns:.4g} × {height / rows:.4g} "
        f"px of the model's input ({width} × {height}), {cell_width:.3g} × {cell_height:.3g} px "
        "of this image"
        + ("." if interpolation == "nearest" else f"; shown smoothed ({interpolation}).")
    ]
    single = len(explanation.logits) == 1
    if contrast and not single and explanation.task is not Task.MULTILABEL:
        rest = (
            "the other class's"
            if explanation.num_classes == 2
            else "the mean of the other classes'"
        )
        notes.append(
            f"Contrast: a class's evidence minus {rest}; the mean over all cells is the "
            "difference of logits."
        )
    else:
        notes.append("Each class's own evidence; the mean over all cells is its logit.")
    if len(classes) == 1:
        notes += _region_notes(explanation, classes[0], contrast=contrast)
    if _cut_off(explanation):
        notes.append("Hatched: cut off before the model, which never saw it.")
    return notes


def _region_notes(explanation: Explanation, index: int, *, contrast: bool) -> list[str]:
    notes = []
    regions = explanation.regions(index, contrast=contrast)
    values = explanation.class_evidence(index, contrast=contrast)
    threshold = threshold_of(values, threshold=explanation.threshold)
    if regions:
        parts = [
            f"{number}: {_signed(region.contribution)}"
            # A share of a logit with the other sign, or of none, would say nothing.
            + (f" ({region.share:.0%})" if region.share > 0 else "")
            + (" in padding" if region.outside_image else "")
            for number, region in enumerate(regions[:_NUMBERED], start=1)
        ]
        more = len(regions) - _NUMBERED
        notes.append(
            f"Outlined: evidence of {_signed(threshold)} or more; part of the "
            f"{'difference' if contrast else 'logit'}: {', '.join(parts)}"
            + (f" and {more} smaller" if more > 0 else "")
            + "."
        )
    else:
        notes.append("No evidence for this class reaches the threshold of a region.")
    padding = explanation.padding_evidence(index, contrast=contrast)
    if abs(padding) >= 0.005:
        notes.append(f"Padding around the image, not shown, adds {_signed(padding)}.")
    return notes


def _cut_off(explanation: Explanation) -> bool:
    height, width = explanation.geometry.file_size
    return explanation.geometry.visible_box() != (0, 0, width, height)


def _numbers(explanation: Explanation, index: int, *, contrast: bool) -> str:
    value = float(explanation.probabilities[index])
    text = "p < 0.001" if value < 0.001 else "p > 0.999" if value > 0.999 else f"p = {value:.3f}"
    kind = "contrast" if contrast else "logit"
    return f"{text}   {kind} {_signed(explanation.logit(index, contrast=contrast))}"


def _signed(value: float) -> str:
    """Write an amount of evidence with its sign and two digits that count."""
    text = f"{value:+.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:+.2g}"
    return text.replace("-", "−")


def _panel(
    figure: Figure, layout: _Layout, position: int, title: str, second: str, *, bold: bool = False
) -> Axes:
    """Add the panel at a position of the grid, with two lines of text above it."""
    row, column = divmod(position, layout.columns)
    left = _MARGIN + column * (layout.column + _GAP)
    top = _MARGIN + _HEADER + row * (_TITLE + layout.panel[1] + _GAP)
    short = _shorten(title, layout.column - 0.1, _TITLE_SIZE, bold=bold)
    _write(figure, left, top, short, _TITLE_SIZE, bold=bold)
    _write(figure, left, top + 0.18, second, _NOTE_SIZE)
    return _place(figure, left, top + _TITLE, *layout.panel)


def _place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches from the top left."""
    page_width, page_height = figure.get_size_inches()
    return figure.add_axes(
        (
            left / page_width,
            1 - (top + height) / page_height,
            width / page_width,
            height / page_height,
        )
    )


def _write(
    figure: Figure,
    left: float,
    top: float,
    text: str,
    size: float,
    *,
    bold: bool = False,
    color: str = "black",
) -> None:
    """Write a line whose top left corner is at a place in inches."""
    page_width, page_height = figure.get_size_inches()
    figure.text(
        left / page_width,
        1 - top / page_height,
        text,
        fontsize=size,
        fontweight="bold" if bold else "normal",
        color=color,
        verticalalignment="top",
        # A dollar sign in a class's name is a dollar sign.
        parse_math=False,
    )


def _measure(text: str, size: float, *, bold: bool = False) -> float:
    """Give the width of a line of text in inches."""
    return sum(_advance(character, bold) for character in text) * size / 72


@cache
def _advance(character: str, bold: bool) -> float:
    """Give the room that a character takes between two others, as a fraction of the text size."""
    # Two dollar signs would be read as mathematics, and one looks as wide as a letter S.
    widths = [
        TextPath((0, 0), text, size=100, prop=_FONTS[bold]).get_extents().width
        for text in ("nn", f"n{'S' if character == '$' else character}n")
    ]
    return float(widths[1] - widths[0]) / 100


def _shorten(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Take out the middle of a text that is too wide."""
    text = " ".join(text.split())
    if _measure(text, size, bold=bold) <= width:
        return text
    keep = len(text) - 1
    while keep > 2:
        short = f"{text[: -(-keep * 2 // 3)]}…{text[len(text) - keep // 3 :]}"
        if _measure(short, size, bold=bold) <= width:
            return short
        keep -= 1
    return "…"


def _wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines that fit."""
    lines: list[str] = []
    for word in text.split():
        if lines and _measure(f"{lines[-1]} {word}", size) <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines
