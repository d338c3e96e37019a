"""Figures of a sweep: accuracy and explanation against the penalty, and against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from softcam.report.drawn import Drawn, Suffix, figure_files, plain_axes
from softcam.report.sweep.content import AUC, NAMES, Figure, Row, SweepResult

# Okabe and Ito, "Color universal design" (2008); marks differ too, for grey print.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # green: chosen
_GREY, _INK = "#5b666f", "#1c2329"
_Style = tuple[str, str, str, Literal["-", "--"]]
_SPLITS: dict[str, _Style] = {
    "val": ("validation", _BLUE, "o", "-"),
    "test": ("test", _ORANGE, "s", "--"),
}
_KINDS = {
    "black box": (_GREY, "X"),
    "dense": (_INK, "D"),
    "penalty": (_BLUE, "o"),
    "variant": (_ORANGE, "s"),
    "plain": (_PURPLE, "^"),
}
_SUFFIXES: tuple[Suffix, ...] = ("png", "svg", "pdf")

_PENALISED = ("dense", "variant", "penalty")

Axis = Literal["l1", "l2"]


@dataclass(frozen=True)
class Curve:
    """The recipes along one penalty, from none to the strongest.

    Attributes:
        family: The variant, or "base".
        axis: Which penalty grows; the other is 0.
        rows: Its recipes in order of the weight, the model without penalty first.
    """

    family: str
    axis: Axis
    rows: tuple[Row, ...]

    def weights(self) -> list[float]:
        """The weights, in order."""
        return [row.l1 if self.axis == "l1" else row.l2 for row in self.rows]


def curves_of(result: SweepResult) -> list[Curve]:
    """Find the curves: per family and penalty, where a model has at least one weight above 0."""
    found = []
    families = dict.fromkeys(row.family for row in result.rows)
    for family in families:
        own = [row for row in result.rows if row.family == family and row.kind in _PENALISED]
        axes: tuple[Axis, ...] = ("l1", "l2")
        for axis in axes:
            along = [row for row in own if (row.l2 if axis == "l1" else row.l1) == 0]
            along.sort(key=lambda row: row.l1 if axis == "l1" else row.l2)
            if len(along) > 1:
                found.append(Curve(family, axis, tuple(along)))
    return found


def draw_figures(result: SweepResult) -> list[Drawn]:
    """Draw the penalty curves, where there are any, and accuracy against explanation.

    Args:
        result: What was found.

    Returns:
        The figures, each as PNG, SVG and PDF.
    """
    if not result.rows:
        return []
    curves = curves_of(result)
    return [*([_penalties(result, curves)] if curves else []), _plane(result)]


def _penalties(result: SweepResult, curves: Sequence[Curve]) -> Drawn:
    score = result.score
    canvas = Canvas(figsize=(0.8 + 3.4 * len(curves), 5.8), layout="constrained", facecolor="white")
    panels: Any = canvas.subplots(2, len(curves), squeeze=False, sharey="row", sharex="col")
    for column, curve in enumerate(curves):
        for row, measure in enumerate((AUC, score)):
            ax: Axes = panels[row][column]
            _curve(ax, result, curve, measure)
            if row == 0:
                family = "" if curve.family == "base" else f"{curve.family}, "
                ax.set_title(f"{family}{_AXES[curve.axis]}", fontsize=10)
            else:
                ax.set_xlabel(f"weight of {curve.axis}")
            if column == 0:
                ax.set_ylabel(NAMES[measure])
    if not math.isnan(result.floor):
        low, high = panels[0][0].get_ylim()  # which all panels of a row share
        for ax in panels[0]:
            ax.axhspan(result.floor, max(high, result.floor), color=_BLUE, alpha=0.07, zorder=0)
        panels[0][0].set_ylim(min(low, result.floor), high)
    splits = [split for split in _SPLITS if any(_figures(row, split) for row in result.rows)]
    handles = [
        Line2D([], [], color=colour, marker=mark, linestyle=dash, label=name)
        for name, colour, mark, dash in (_SPLITS[split] for split in splits)
    ]
    handles += [
        Line2D([], [], color=_GREY, linewidth=1.2, linestyle=(0, (1, 1.2)), label="black-box twin"),
    ]
    if any(row.chosen for curve in curves for row in curve.rows):
        handles.append(
            Line2D([], [], color=_GREEN, marker="*", markersize=13, linestyle="", label="chosen")
        )
    # A figure of one penalty is too narrow for all four side by side.
    columns = 4 if len(curves) > 1 else 2
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    seeds = len(result.settings.get("seeds", ()))
    return Drawn(
        "penalties",
        "Accuracy and explanation against the penalty",
        f"Lines: mean over {seeds} seeds; small dots: each seed; bars: standard deviation over "
        "seeds. Weights are evenly spaced, not to scale; 0 is the model without penalty. Dotted: "
        "the black-box twin, its map being Grad-CAM. Shaded: validation AUC that is close enough "
        f"to the twin's. {NAMES[score]}: higher is better. The choice looked at validation alone.",
        figure_files(canvas, _SUFFIXES),
    )


_AXES = {"l1": "sparse (l1)", "l2": "smooth (l2)"}


def _curve(ax: Axes, result: SweepResult, curve: Curve, measure: str) -> None:
    places = list(range(len(curve.rows)))
    for split, (_, colour, mark, dash) in _SPLITS.items():
        figures = [_figures(row, split).get(measure) for row in curve.rows]
        if all(figure is None for figure in figures):
            continue
        # Side by side, so that bars of the two splits do not hide each other.
        shift = -0.05 if split == "val" else 0.05
        means = [math.nan if f is None else f.mean.value for f in figures]
        spreads = [0.0 if f is None or math.isnan(f.spread) else f.spread for f in figures]
        at = [place + shift for place in places]
        ax.errorbar(
            at, means, yerr=spreads, color=colour, marker=mark, linestyle=dash, markersize=5,
            linewidth=1.7, elinewidth=1, capsize=3, zorder=3,
        )  # fmt: skip
        for place, figure in zip(at, figures, strict=True):
            each = () if figure is None else figure.each
            ax.scatter([place] * len(each), each, s=9, color=colour, alpha=0.45, zorder=2)
        if result.twin is not None and (twin := _figures(result.twin, split).get(measure)):
            ax.axhline(twin.mean.value, color=colour, linewidth=1.2, linestyle=(0, (1, 1.2)))
    for place, row in enumerate(curve.rows):
        if row.chosen and measure in row.val:
            ax.plot(
                [place - 0.05], [row.val[measure].mean.value], marker="*", markersize=14,
                color=_GREEN, zorder=5,
            )  # fmt: skip
    ax.set_xticks(places, [f"{weight:g}" for weight in curve.weights()])
    ax.set_xlim(-0.4, len(places) - 0.6)
    plain_axes(ax)


def _plane(result: SweepResult) -> Drawn:
    score = result.score
    canvas = Canvas(figsize=(7.6, 4.8), layout="constrained", facecolor="white")
    ax = canvas.subplots()
    numbered = []
    for number, row in enumerate(result.rows, start=1):
        auc, found = row.val.get(AUC), row.val.get(score)
        if auc is None or found is None or math.isnan(found.mean.value):
            continue
        colour, mark = _KINDS[row.kind]
        ax.errorbar(
            [auc.mean.value], [found.mean.value],
            xerr=_spread(auc), yerr=_spread(found),
            color=colour, elinewidth=0.8, alpha=0.45, zorder=2,
        )  # fmt: skip
        ax.plot(
            [auc.mean.value], [found.mean.value], color=_GREEN if row.chosen else colour,
            marker="*" if row.chosen else mark, markersize=15 if row.chosen else 7, linestyle="",
            zorder=4 if row.chosen else 3,
        )  # fmt: skip
        ax.annotate(
            str(number), (auc.mean.value, found.mean.value), xytext=(6, 4),
            textcoords="offset points", fontsize=8, color=_INK, zorder=5,
        )  # fmt: skip
        numbered.append(
            Line2D(
                [], [], color=_GREEN if row.chosen else colour, marker="*" if row.chosen else mark,
                linestyle="", label=f"{number} {row.name}" + (" (chosen)" if row.chosen else ""),
            )
        )  # fmt: skip
    if not math.isnan(result.floor):
        ax.axvline(result.floor, color=_BLUE, linewidth=1.2, linestyle=(0, (1, 1.2)))
    ax.set_xlabel("validation AUC")
    ax.set_ylabel(f"validation {NAMES[score][:1].lower()}{NAMES[score][1:]}")
    plain_axes(ax)
    canvas.legend(handles=numbered, loc="outside right upper", frameon=False, fontsize=8)
    return Drawn(
        "tradeoff",
        "Explanation against accuracy",
        "Every recipe on the validation images: mean over seeds, bars are the standard deviation "
        "over seeds. Right of the dotted line the AUC is close enough to the twin's; of these the "
        "highest was chosen. Up and right is better.",
        figure_files(canvas, _SUFFIXES),
    )


def _spread(figure: Figure) -> float:
    return 0.0 if math.isnan(figure.spread) else figure.spread


def _figures(row: Row, split: str) -> dict[str, Figure]:
    return dict(row.val if split == "val" else row.test)
