"""The tables of a benchmark's report as plain text cells, before any file format."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Literal

from softcam.evaluation.explanations.measures import Group, Measure
from softcam.evaluation.explanations.result import ExplanationBenchmark, Method, MethodRow
from softcam.report.table import Cell, Column, Row, Table, figure, measured

GROUPS: dict[Group, str] = {
    "localisation": "Is the map right? Localisation",
    "faithfulness": "Is it the reason? Faithfulness",
    "consistency": "Does it hold together? Consistency",
}
"""Groups of measures and the questions that they answer, in the order shown."""

ARROW: dict[bool | None, Literal["↑", "↓", ""]] = {True: "↑", False: "↓", None: ""}
"""Which way is better, by a measure's `higher_is_better`."""

_FEW = 6  # names that are listed before they are counted


def short_name(method: Method) -> str:
    """Name a method without its subject."""
    return method.label if method.map == "-" else f"{method.label}, {method.map}"


def best_of(result: ExplanationBenchmark, key: str) -> set[Method]:
    """Tell which methods may be the best in a measure.

    Args:
        result: What was found.
        key: The measure's key.

    Returns:
        The methods of the best rank, and those whose rank's interval reaches it: all methods see
        the same resampled patients, so that this is a paired comparison. Floors can be among
        them. Empty for measures that are not ranked.
    """
    ranks = {row.method: row.ranks[key] for row in result.rows if key in row.ranks}
    known = {method: rank for method, rank in ranks.items() if not math.isnan(rank.value)}
    if len(known) < 2:
        return set()
    first = min(rank.value for rank in known.values())
    return {method for method, rank in known.items() if rank.value == first or rank.low <= first}


def overview(result: ExplanationBenchmark) -> Table:
    """Give the mean ranks of every method, the best first."""
    groups = [g for g in GROUPS if any(_ranked(m) and m.group == g for m in result.measures())]
    columns: list[str | None] = [*groups, None] if len(groups) > 1 else [*groups]
    columns = columns or [None]

    def place(row: MethodRow) -> float:
        rank = result.mean_rank(row)
        return math.inf if math.isnan(rank) else rank

    lines = [
        _line(
            result,
            row,
            [figure(result.mean_rank(row, group), 2) for group in columns],
        )
        for row in sorted(result.rows, key=place)
    ]
    return Table(
        "overview",
        "Mean ranks",
        f"Mean rank of each of {len(lines)} methods over the measures that rank it, 1 the best, "
        "sorted by the last column. Every measure counts the same, so that a group with more "
        "measures weighs more in the last column.",
        "Method",
        tuple(Column("All" if group is None else group.capitalize(), "↓") for group in columns),
        tuple(lines),
        grouped=False,  # it is sorted by rank, and names the model in the row
    )


def group_sheets(result: ExplanationBenchmark) -> list[Table]:
    """Give one table for each group that was measured: methods in lines, measures in columns."""
    sheets = []
    for group, title in GROUPS.items():
        measures = [measure for measure in result.measures() if measure.group == group]
        if not measures:
            continue
        best = {measure.key: best_of(result, measure.key) for measure in measures}
        ranked = any(_ranked(measure) for measure in measures)
        lines = []
        for row in result.rows:
            cells = [_measured(row, measure, best[measure.key]) for measure in measures]
            if ranked:
                cells.append(figure(result.mean_rank(row, group), 2))
            lines.append(_line(result, row, cells))
        heads = [Column(m.label, ARROW[m.higher_is_better], m.meaning) for m in measures]
        if ranked:
            heads.append(Column("Mean rank", "↓", f"mean of the ranks in {group}, 1 the best"))
        caption = f"{how_measured(result)} {_LEGEND}"
        sheets.append(Table(group, title, caption, "Method", tuple(heads), tuple(lines)))
    return sheets


_LEGEND = (
    "An arrow says which way is better. Bold is the best mean and every method whose rank's "
    "interval reaches the first place; n/a is undefined."
)


def how_measured(result: ExplanationBenchmark) -> str:
    """Say in a sentence what the means and intervals are of."""
    patients = len({case.patient for case in result.cases})
    draws = result.settings.get("resamples")
    often = f" with {draws} resamples" if draws else ""
    return (
        f"Means over {_count(len(result.cases), 'case')} (an image and a class) of "
        f"{_count(patients, 'patient')}, with 95 % intervals from a bootstrap over patients"
        f"{often}."
    )


def answers_sheet(result: ExplanationBenchmark) -> Table | None:
    """Give how well every subject classifies; None if that is not known."""
    if not result.answers:
        return None
    lines = tuple(
        Row(
            answer.subject,
            tuple(measured(value) for value in (answer.auc, answer.accuracy)),
        )
        for answer in result.answers
    )
    return Table(
        "answers",
        "Is the answer right?",
        "Classification of all images of the split, with 95 % intervals from a bootstrap over "
        "patients. A good map of a worse model is worth less.",
        "Model",
        (Column("AUC", "↑"), Column("Accuracy", "↑")),
        lines,
    )


def lesions_sheet(result: ExplanationBenchmark) -> Table | None:
    """Give the share of lesions found, by finding and size; None if no lesion is marked."""
    columns = {
        (one.finding, one.low, one.high): one.lesions for one in result.recalls if one.lesions
    }
    if not columns:
        return None
    found = {(one.method, one.finding, one.low): one.recall for one in result.recalls}
    lines = []
    for row in result.rows:
        cells = []
        for finding, low, _ in columns:
            recall = found.get((row.method, finding, low))
            cells.append(measured(recall, 2) if recall else Cell("n/a"))
        lines.append(_line(result, row, cells))
    return Table(
        "lesions",
        "Which lesions are found, by size",
        "Share of the separate lesions that the map touches where it is cut at half its maximum, "
        "by finding and by size as a share of the image, with 95 % intervals from a bootstrap over "
        "patients; n is the number of lesions. A map that covers everything finds all of them.",
        "Method",
        tuple(
            Column(f"{finding}, {_size(low, high)} (n = {count})", "↑")
            for (finding, low, high), count in columns.items()
        ),
        tuple(lines),
    )


def _size(low: float, high: float) -> str:
    """Name a class of sizes, which are shares of the image."""
    if low <= 0:
        return f"below {100 * high:.2g} %"
    return f"from {100 * low:.2g} %" if high >= 1 else f"{100 * low:.2g} to {100 * high:.2g} %"


def cost_sheet(result: ExplanationBenchmark) -> Table:
    """Give time and memory of every method."""
    lines = [
        _line(
            result,
            row,
            [Cell(_significant(value), numbers=(value,)) for value in (row.seconds, row.peak_mib)],
        )
        for row in result.rows
    ]
    return Table(
        "cost",
        "Time and memory",
        "Seconds per map, the median over batches, and the largest growth of memory meanwhile. "
        "Maps that all came from a store of earlier ones have no time.",
        "Method",
        (Column("Seconds per map", "↓"), Column("Memory, MiB", "↓")),
        tuple(lines),
    )


def undefined_sheet(result: ExplanationBenchmark) -> Table | None:
    """Give the cases without a value, measure by measure; None if there are none."""
    lines = []
    for measure in result.measures():
        counted: defaultdict[int, list[str]] = defaultdict(list)
        for row in result.rows:
            counted[row.undefined.get(measure.key, 0)].append(str(row.method))
        if set(counted) != {0}:
            lines.append(Row(measure.label, (Cell(_in_words(counted), numeric=False),)))
    if not lines:
        return None
    return Table(
        "undefined",
        "Cases without a value",
        f"Of {_count(len(result.cases), 'case')}. They are left out of the mean of that method; "
        "differences use the cases that both methods have.",
        "Measure",
        (Column("Cases without a value"),),
        tuple(lines),
    )


def skipped_sheet(result: ExplanationBenchmark) -> Table | None:
    """Give the methods that could not be used; None if all could."""
    if not result.skipped:
        return None
    return Table(
        "skipped",
        "Methods left out",
        "What could not explain which model, and why.",
        "Method",
        (Column("Model"), Column("Why")),
        tuple(
            Row(one.label, (Cell(one.subject, numeric=False), Cell(one.why, numeric=False)))
            for one in result.skipped
        ),
    )


def flags(result: ExplanationBenchmark) -> list[str]:
    """Give what is wrong with a method, as one sentence for each."""
    return [f"{row.method}: {flag}" for row in result.rows for flag in row.flags]


def sheets(result: ExplanationBenchmark) -> list[Table]:
    """Give all tables, in the order shown."""
    given = [
        answers_sheet(result),
        overview(result),
        *group_sheets(result),
        lesions_sheet(result),
        cost_sheet(result),
        undefined_sheet(result),
        skipped_sheet(result),
    ]
    return [sheet for sheet in given if sheet is not None]


def _ranked(measure: Measure) -> bool:
    return measure.higher_is_better is not None


def _measured(row: MethodRow, measure: Measure, best: set[Method]) -> Cell:
    found = row.means.get(measure.key)
    if found is None:
        return Cell("n/a")
    return measured(found, best=row.method in best)


def _line(result: ExplanationBenchmark, row: MethodRow, cells: list[Cell]) -> Row:
    kind: Literal["reference", "floor", ""] = "floor" if row.floor else ""
    if row.method == result.reference:
        kind = "reference"
    return Row(short_name(row.method), tuple(cells), row.method.subject, kind)


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _significant(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _in_words(counted: dict[int, list[str]]) -> str:
    """Say counts by name, the commonest first and without its names."""
    order = sorted(counted, key=lambda count: (-len(counted[count]), count))
    if len(order) == 1:
        return f"{order[0]} for every method"
    parts = [f"{order[0]} for most methods"]
    for count in order[1:]:
        names = counted[count]
        listed = "; ".join(names[:_FEW])
        more = f"; and {len(names) - _FEW} more" if len(names) > _FEW else ""
        parts.append(f"{count} for {listed}{more}")
    return ". ".join(parts)
