"""Figures of a benchmark as PNG: curves with bands, and differences to the reference."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.measures import Measure
from softcam.evaluation.explanations.result import (
    Curve,
    CurveSet,
    ExplanationBenchmark,
    Method,
    MethodRow,
)
from softcam.report.explanations.sheets import ARROW, GROUPS, short_name

# Told apart with every common colour vision and in grey print, where marks and dashes help:
# Okabe and Ito, "Color universal design" (2008), without the yellow that white paper swallows.
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7a5195")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = {"own": "-", "contrast": (0, (5, 2)), "-": (0, (1, 1.5))}
_INK, _SOFT, _GREY, _FAINT = "#1c2329", "#5b666f", "#aab2b8", "#dfe4e7"
_RANGE = "#f0f2f3"
_BETTER = {True: "Higher is better.", False: "Lower is better.", None: "Neither end is better."}
_HIGHLIGHTS = 8
Reduce = Callable[[npt.NDArray[np.float64]], np.float64]
_PANELS = 4  # of the differences, side by side
_DPI = 130


@dataclass(frozen=True)
class Drawn:
    """A drawn figure.

    Attributes:
        key: File name without suffix.
        title: Heading.
        caption: What the reader should know.
        png: The picture.
    """

    key: str
    title: str
    caption: str
    png: bytes


def draw_figures(result: ExplanationBenchmark) -> list[Drawn]:
    """Draw every figure that the result has something for.

    Args:
        result: What was found.

    Returns:
        For each set of curves one figure, and a second with a panel for each method where there
        are too many for one; then the differences of each group of measures.
    """
    drawn = []
    for curves in result.curves:
        if not curves.curves:
            continue
        shown = _chosen(result, curves)
        hidden = len(curves.curves) - len(shown)
        drawn.append(_overlaid(result, curves, shown))
        if hidden > sum(1 for curve in curves.curves if _is_floor(result, curve.method)):
            drawn.append(_one_by_one(result, curves))
    for group, title in GROUPS.items():
        measures = [measure for measure in result.measures() if measure.group == group]
        if measures and len(result.rows) > 1:
            drawn.append(_differences(result, group, title, measures))
    return drawn


def _overlaid(result: ExplanationBenchmark, curves: CurveSet, shown: list[Curve]) -> Drawn:
    others = [c for c in curves.curves if c not in shown and not _is_floor(result, c.method)]
    floors = [c for c in curves.curves if c not in shown and _is_floor(result, c.method)]
    figure = Figure(figsize=(8.6, 4.4), layout="constrained", facecolor="white")
    ax = _axes(figure.add_subplot(), curves)
    for curve in others:
        ax.plot(curves.x, curve.mean, color=_GREY, linewidth=0.7, alpha=0.7, zorder=1)
    for curve in floors:
        ax.plot(curves.x, curve.mean, color=_SOFT, linewidth=1.2, linestyle=(0, (1, 1)), zorder=2)
    handles = []
    kinds: dict[tuple[str, str], int] = {}
    for curve in shown:
        kind = kinds.setdefault((curve.method.subject, curve.method.name), len(kinds))
        first = kind == 0
        style: dict[str, Any] = {
            "color": _COLOURS[kind % len(_COLOURS)],
            "linestyle": _DASHES[curve.method.map],
            "marker": _MARKS[kind % len(_MARKS)],
            "markersize": 5 if first else 4,
            "linewidth": 2.6 if first else 1.4,
        }
        _band(ax, curves, curve, style["color"], 0.2 if first else 0.07)
        every = max(1, len(curves.x) // 8)
        ax.plot(
            curves.x, curve.mean, **style, zorder=4 if first else 3,
            markevery=(kind % every, every),
        )  # fmt: skip
        handles.append(Line2D([], [], **style, label=_folded(str(curve.method), 42)))
    if floors:
        names = ", ".join(dict.fromkeys(short_name(curve.method) for curve in floors))
        style = {"color": _SOFT, "linewidth": 1.2, "linestyle": (0, (1, 1))}
        handles.append(Line2D([], [], **style, label=_folded(f"floor: {names}", 42, 3)))
    if others:
        label = f"{len(others)} other{'s' if len(others) > 1 else ''}"
        handles.append(Line2D([], [], color=_GREY, linewidth=0.7, label=label))
    _legend(figure, handles)
    better = _BETTER[curves.higher_is_better]
    chosen = "the reference and the best others" if others else "every method"
    return Drawn(
        curves.key,
        curves.title,
        f"{better} In colour: {chosen}, with 95 % bands from a bootstrap over patients. Solid: "
        "the class's own score is explained; dashed: its contrast to the others. Dotted grey: "
        "maps that know nothing of the model.",
        _png(figure),
    )


def _one_by_one(result: ExplanationBenchmark, curves: CurveSet) -> Drawn:
    """Give every method a panel, with the range of them all in grey behind it."""
    kinds: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves.curves:
        kinds.setdefault((curve.method.subject, curve.method.name), []).append(curve)
    columns = 5
    rows = math.ceil(len(kinds) / columns)
    figure = Figure(figsize=(11, 0.5 + 2.0 * rows), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    reference = [c for c in curves.curves if c.method == result.reference]
    # Their range, not their lines: those are in the figure before, and here once for each panel.
    means = np.stack([curve.mean for curve in curves.curves])
    lowest, highest = (_over_known(means, reduce) for reduce in (np.min, np.max))
    for position, own in enumerate(kinds.values()):
        ax: Axes = _axes(grid[position // columns, position % columns], curves)
        ax.set(xlabel="", ylabel="")
        ax.fill_between(curves.x, lowest, highest, color=_RANGE, linewidth=0, zorder=1)
        for curve in reference:
            ax.plot(curves.x, curve.mean, color=_INK, linewidth=1, zorder=2)
        for curve in own:
            dashes = _DASHES[curve.method.map]
            _band(ax, curves, curve, _COLOURS[1], 0.15)
            ax.plot(
                curves.x, curve.mean, color=_COLOURS[1], linewidth=1.6, linestyle=dashes, zorder=3
            )
        method = own[0].method
        name = f"{_cut(method.label, 30)}\n{_cut(method.subject, 30)}"
        ax.set_title(name, fontsize=8, loc="left", color=_INK, parse_math=False)
        if position >= len(kinds) - columns:  # nothing stands below it
            ax.tick_params(labelbottom=True)
    for position in range(len(kinds), rows * columns):
        grid[position // columns, position % columns].set_visible(False)
    figure.supxlabel(curves.x_label, fontsize=9, color=_INK)
    figure.supylabel(curves.y_label, fontsize=9, color=_INK)
    return Drawn(
        f"{curves.key}_each",
        f"{curves.title}, method by method",
        f"Blue: the method, with its 95 % band; black: {result.reference}; grey: the range "
        "of all methods. "
        "Solid: own score; dashed: contrast.",
        _png(figure),
    )


def _differences(
    result: ExplanationBenchmark, group: str, title: str, measures: Sequence[Measure]
) -> Drawn:
    """Draw the reference minus every other method, with intervals, a panel for each measure."""
    rows = [row for row in result.rows if row.method != result.reference]
    columns = min(_PANELS, len(measures))
    bands = math.ceil(len(measures) / columns)
    tall = 0.75 + 0.19 * len(rows)
    figure = Figure(
        figsize=(3.2 + 2.0 * columns, 0.3 + bands * tall), layout="constrained", facecolor="white"
    )
    grid = figure.subplots(bands, columns, sharey=True, squeeze=False)
    for position in range(bands * columns):
        ax: Axes = grid[position // columns, position % columns]
        if position >= len(measures):
            ax.set_visible(False)
            continue
        measure = measures[position]
        ax.axvline(0, color=_SOFT, linewidth=0.8, zorder=1)
        _draw_differences(ax, rows, measure)
        name = f"{measure.label} {ARROW[measure.higher_is_better]}".strip()
        ax.set_title(name, fontsize=9, loc="left", color=_INK)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        names = [_cut(str(row.method), 46) for row in rows]
        ax.set_yticks(range(len(rows)), labels=names, parse_math=False)
        ax.tick_params(labelsize=7.5, length=0, colors=_INK)
        ax.locator_params(axis="x", nbins=4)
        ax.grid(color=_FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines["bottom"].set_color(_FAINT)
        ax.margins(x=0.08)
    name = _cut(str(result.reference), 60)
    label = figure.supxlabel(f"{name} minus the method", fontsize=8.5, color=_INK)
    label.set_parse_math(False)
    return Drawn(
        f"differences_{group}",
        f"{title}: differences",
        f"{result.reference} minus the method, over the cases that both define, with 95 % "
        "intervals from a bootstrap over patients. Filled circles: the reference is better; "
        "triangles: the method is better; hollow: the interval holds zero, or neither end is "
        "better.",
        _png(figure),
    )


def _draw_differences(ax: Axes, rows: Sequence[MethodRow], measure: Measure) -> None:
    """Draw one measure's differences, those of one look at once: an artist for each is slow."""
    looks: dict[tuple[str, str, str], list[tuple[int, Interval]]] = {}
    for place, row in enumerate(rows):
        found = row.differences.get(measure.key)
        if found is None or math.isnan(found.value):
            ax.text(
                0.5, place, "n/a", transform=ax.get_yaxis_transform(), fontsize=6.5, color=_SOFT,
                ha="center", va="center",
            ).set_in_layout(False)  # fmt: skip
            continue
        colour, mark, inside = _SOFT, "o", "white"
        if measure.higher_is_better is not None and (found.low > 0 or found.high < 0):
            ahead = (found.value > 0) == measure.higher_is_better
            colour, mark = (_COLOURS[1], "o") if ahead else (_COLOURS[0], "^")
            inside = colour
        looks.setdefault((colour, mark, inside), []).append((place, found))
    for (colour, mark, inside), drawn in looks.items():
        wide = [(place, found) for place, found in drawn if not math.isnan(found.low)]
        ax.hlines(
            [place for place, _ in wide],
            [found.low for _, found in wide],
            [found.high for _, found in wide],
            color=colour, linewidth=1.2, zorder=2,
        )  # fmt: skip
        ax.plot(
            [found.value for _, found in drawn], [place for place, _ in drawn], mark,
            color=colour, markerfacecolor=inside, markersize=4.5, zorder=3,
        )  # fmt: skip


def _over_known(values: npt.NDArray[np.float64], reduce: Reduce) -> npt.NDArray[np.float64]:
    """Reduce columns over what is known of them; NaN where nothing is."""
    known = [column[~np.isnan(column)] for column in values.T]
    return np.array([reduce(column) if column.size else np.nan for column in known])


def _chosen(result: ExplanationBenchmark, curves: CurveSet) -> list[Curve]:
    """Take the reference's curves, then the best of the others; floors stay grey."""
    reference = result.reference
    same = (reference.subject, reference.name)
    own = [c for c in curves.curves if (c.method.subject, c.method.name) == same]
    rest = [c for c in curves.curves if c not in own and not _is_floor(result, c.method)]
    if curves.higher_is_better is not None:
        sign = -1.0 if curves.higher_is_better else 1.0

        def place(curve: Curve) -> float:
            known = curve.mean[~np.isnan(curve.mean)]
            return sign * float(known.mean()) if known.size else math.inf

        rest.sort(key=place)
    return [*own, *rest][:_HIGHLIGHTS]


def _is_floor(result: ExplanationBenchmark, method: Method) -> bool:
    return any(row.floor for row in result.rows if row.method == method)


def _band(ax: Axes, curves: CurveSet, curve: Curve, colour: str, alpha: float) -> None:
    ax.fill_between(curves.x, curve.low, curve.high, color=colour, alpha=alpha, linewidth=0)


def _axes(ax: Axes, curves: CurveSet) -> Axes:
    ax.set_xlabel(curves.x_label, color=_INK, fontsize=9)
    ax.set_ylabel(curves.y_label, color=_INK, fontsize=9)
    ax.tick_params(colors=_INK, length=0, labelsize=8)
    ax.grid(color=_FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(_FAINT)
    return ax


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    legend = figure.legend(
        handles=handles, loc="outside right upper", frameon=False, fontsize=8, labelcolor=_INK,
        handlelength=3.2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # a method may be called "$x$"


def _cut(text: str, most: int) -> str:
    """Shorten a name in its middle: what a method is stands at its two ends."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[: most - 1 - half]}…{text[-half:]}"


def _folded(text: str, width: int, lines: int = 2) -> str:
    return textwrap.fill(text, width, max_lines=lines, placeholder=" …")


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
