"""Figures of a reproduction: answers and explanations, the published figures as open marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.explanations.result import Method
from softcam.report.drawn import Drawn, Suffix, figure_files, plain_axes
from softcam.report.reproduction.content import (
    ANSWERED,
    ROLES,
    Line,
    Lines,
    Part,
    Reproduction,
    role_of,
)
from softcam.report.reproduction.tables import EXPLAINED, name_of, ordered

# Okabe and Ito, "Color universal design" (2008); marks and dashes differ too, for grey print.
_BLUE, _ORANGE, _GREEN, _PURPLE, _SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
_GREY, _INK, _YELLOW = "#5b666f", "#1c2329", "#b59a00"
_MODELS = {"resnet50": (_BLUE, "o"), "vgg16": (_ORANGE, "s")}
_OWN = {"dense": _INK, "sparse": _BLUE, "smooth": _GREEN, "elastic": _SKY}
_OTHERS = (_ORANGE, _PURPLE, _YELLOW, _GREY, "#8c510a")
_SUFFIXES: tuple[Suffix, ...] = ("png", "pdf")
_CURVES = ("topk_per_image", "deletion_confidence")
_COMPARED = ("grad-cam", "layer-cam", "score-cam", "integrated-gradients", "guided-backprop")


def draw_figures(result: Reproduction) -> list[Drawn]:
    """Draw the answers, and for each task and backbone its explanations and their curves.

    Args:
        result: What was found.

    Returns:
        The figures, each as PNG and PDF.
    """
    found = [_performance(result)] if any(part.measured for part in result.parts) else []
    for part in result.parts:
        if not part.explained:
            continue
        if bars := _explanations(part):
            found.append(bars)
        if curves := _curves(part):
            found.append(curves)
    return found


def _performance(result: Reproduction) -> Drawn:
    measures = [
        measure
        for measure in ANSWERED
        if any(measure in found for part in result.parts for found in part.measured.values())
    ]
    tasks = list(dict.fromkeys((part.task, part.task_label) for part in result.parts))
    canvas = Canvas(
        figsize=(1.2 + 3.6 * len(tasks), 1.3 + 2.3 * len(measures)),
        layout="constrained",
        facecolor="white",
    )
    panels: Any = canvas.subplots(len(measures), len(tasks), squeeze=False, sharex=True)
    for column, (task, label) in enumerate(tasks):
        parts = [part for part in result.parts if part.task == task]
        for row, measure in enumerate(measures):
            ax: Axes = panels[row][column]
            if not any(measure in found for part in parts for found in part.measured.values()):
                ax.set_axis_off()  # kappa is of classes in order alone
                continue
            for number, part in enumerate(parts):
                _dots(ax, part, measure, (number - (len(parts) - 1) / 2) * 0.16)
            ax.set_ylabel(ANSWERED[measure])
            plain_axes(ax)
        panels[0][column].set_title(label, fontsize=10)
        last = max(row for row in range(len(measures)) if panels[row][column].axison)
        panels[last][column].set_xticks(
            range(len(ROLES)), [name.split(" SoftCAM")[0] for name in ROLES.values()], fontsize=8
        )
        panels[last][column].tick_params(labelbottom=True)
        panels[last][column].set_xlim(-0.5, len(ROLES) - 0.5)
    shown = dict.fromkeys((part.model, part.model_label) for part in result.parts)
    handles = [
        Line2D([], [], color=colour, marker=mark, linestyle="", label=label)
        for model, label in shown
        for colour, mark in (_MODELS[model],)
    ]
    handles.append(
        Line2D([], [], color=_GREY, marker="D", markerfacecolor="none", linestyle="",
               label="published, where known")
    )  # fmt: skip
    canvas.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return Drawn(
        "performance",
        "Does SoftCAM cost accuracy?",
        "Filled: ours, with 95 % intervals over patients. Open: the published figure, where it is "
        "known.",
        figure_files(canvas, _SUFFIXES),
    )


def _dots(ax: Axes, part: Part, measure: str, shift: float) -> None:
    colour, mark = _MODELS[part.model]
    for place, role in enumerate(ROLES):
        figure = part.measured.get(role, {}).get(measure)
        if figure is not None and not math.isnan(figure.mean.value):
            mean = figure.mean
            ends = [[0.0], [0.0]]
            if not math.isnan(mean.low):  # a point may lie a rounding outside of its interval
                ends = [[max(0.0, mean.value - mean.low)], [max(0.0, mean.high - mean.value)]]
            ax.errorbar(
                [place + shift], [mean.value], yerr=ends, color=colour, marker=mark,
                markersize=5.5, elinewidth=1.1, capsize=2.5, linestyle="", zorder=3,
            )  # fmt: skip
        if published := part.published.get((role, measure)):
            ax.plot(
                [place + shift + 0.05], [published.value], marker="D", markersize=7, linestyle="",
                markerfacecolor="none", markeredgecolor=colour, zorder=4,
            )  # fmt: skip


def _explanations(part: Part) -> Drawn | None:
    methods = ordered(part)
    measures = [
        measure
        for measure in EXPLAINED
        if any(not math.isnan(part.explanation(m, measure)[0].value) for m in methods)
    ]
    if not measures or not methods:
        return None
    canvas = Canvas(
        figsize=(2.6 + 2.3 * len(measures), 1.1 + 0.27 * len(methods)),
        layout="constrained",
        facecolor="white",
    )
    panels: Any = canvas.subplots(1, len(measures), squeeze=False, sharey=True)
    for column, measure in enumerate(measures):
        _bars(panels[0][column], part, methods, measure)
    panels[0][0].set_yticks(range(len(methods)), [name_of(method) for method in methods])
    panels[0][0].invert_yaxis()
    panels[0][0].tick_params(axis="y", labelsize=8)
    seeds = len(part.explained)
    bars = "95 % intervals over patients" if seeds == 1 else "standard deviations over seeds"
    return Drawn(
        f"explanations-{part.key}",
        f"Explanations: {part.label}",
        f"Own maps. Blue: a SoftCAM's own evidence; orange: post-hoc maps; grey: floors that know "
        f"nothing of the model. Bars end in {bars}; open diamonds are published figures.",
        figure_files(canvas, _SUFFIXES),
    )


def _bars(ax: Axes, part: Part, methods: Sequence[Method], measure: str) -> None:
    floors = {method for one in part.explained for method in one.floors}
    for place, method in enumerate(methods):
        interval, spread = part.explanation(method, measure)
        if math.isnan(interval.value):
            continue
        colour = _BLUE if method.name == "evidence" else _ORANGE
        colour = _GREY if method in floors else colour
        below, above = interval.value - interval.low, interval.high - interval.value
        if len(part.explained) > 1:
            below = above = spread
        ends = [[0.0 if math.isnan(end) else max(0.0, end)] for end in (below, above)]
        ax.barh(
            [place], [interval.value], xerr=ends, height=0.62, color=colour, alpha=0.85,
            ecolor=_INK, error_kw={"elinewidth": 0.9, "capsize": 2},
        )  # fmt: skip
        if published := part.published.get((role_of(method), measure)):
            ax.plot(
                [published.value], [place], marker="D", markersize=6, markerfacecolor="white",
                markeredgecolor=_INK, linestyle="", zorder=5,
            )  # fmt: skip
    about = MEASURE[measure]
    better = "lower" if about.higher_is_better is False else "higher"
    ax.set_title(about.label, fontsize=9)
    ax.set_xlabel(f"{better} is better", fontsize=8)
    ax.set_xlim(left=0)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis="x", color="#dfe4e7", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", labelsize=8)


def _curves(part: Part) -> Drawn | None:
    """Draw the curves of the first seed."""
    first = part.explained[0]
    shown = [
        curves
        for wanted in _CURVES
        for curves in first.curves
        if curves.key.startswith(wanted) and _chosen(curves)
    ]
    if not shown:
        return None
    canvas = Canvas(figsize=(0.6 + 4.1 * len(shown), 4.6), layout="constrained", facecolor="white")
    panels: Any = canvas.subplots(1, len(shown), squeeze=False)
    handles: dict[str, Line2D] = {}
    for ax, curves in zip(panels[0], shown, strict=True):
        for line in _chosen(curves):
            colour, dash = _look(line.method)
            (drawn,) = ax.plot(
                curves.x, line.mean, color=colour, linestyle=dash, linewidth=1.8,
                label=name_of(line.method),
            )  # fmt: skip
            if line.method.name == "evidence":
                ax.fill_between(curves.x, line.low, line.high, color=colour, alpha=0.1, linewidth=0)
            handles.setdefault(name_of(line.method), drawn)
        ax.set_title(curves.title.split(":")[0], fontsize=10)
        ax.set_xlabel(curves.x_label)
        ax.set_ylabel(curves.y_label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain_axes(ax)
    canvas.legend(
        handles=list(handles.values()), loc="outside lower center", ncols=3, frameon=False,
        fontsize=8,
    )  # fmt: skip
    return Drawn(
        f"curves-{part.key}",
        f"Patches in the map's order: {part.label}",
        f"Own maps, seed {first.seed}; full lines: evidence of SoftCAM models, with 95 % bands "
        "over patients; dashed: the paper's post-hoc methods on the black box. Localisation: "
        "higher is better; deletion: lower is better.",
        figure_files(canvas, _SUFFIXES),
    )


def _chosen(curves: Lines) -> list[Line]:
    """Take the models' own evidence and the paper's post-hoc methods, as far as defined."""
    wanted = [
        line
        for line in curves.lines
        if line.method.map != "contrast"
        and (line.method.name == "evidence" or line.method.name in _COMPARED)
        and not all(math.isnan(value) for value in line.mean)
    ]
    return sorted(wanted, key=lambda line: line.method.name != "evidence")


def _look(method: Method) -> tuple[str, str]:
    if method.name == "evidence":
        return _OWN.get(role_of(method), _INK), "-"
    return _OTHERS[_COMPARED.index(method.name) % len(_OTHERS)], "--"
