"""The tables of a sweep: what validation said, what test says, and every number of every run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Literal

from softcam.evaluation.bootstrap import Interval
from softcam.report.sweep.content import ANNOTATED, AUC, MEANINGS, NAMES, Figure, Row, SweepResult
from softcam.report.table import Cell, Column, Table, measured, number, p_value
from softcam.report.table import Row as Line
from softcam.report.table_files import csv_number, csv_text

Split = Literal["val", "test"]

_TESTED = (AUC, "kappa", "deletion_gain", "activation_precision", "pointing_game")
_NO_WAY = ("gini", "area_above_half")
_NOTHING = Interval(math.nan, math.nan, math.nan, 0, 0)


def tables(result: SweepResult) -> list[Table]:
    """Give the tables for readers: validation, which chose, then test, if there is one."""
    found = [validation_table(result)]
    if any(row.test for row in result.rows):
        found.append(test_table(result))
    return found


def validation_table(result: SweepResult) -> Table:
    """Give what the choice saw."""
    # The score that chose comes first, and once.
    order = dict.fromkeys((AUC, result.score, "deletion_gain", "deletion_auc", *_NO_WAY))
    shown = [m for m in order if _any(result, "val", m)]
    lines = []
    for row in result.rows:
        cells = [_with_spread(row.val.get(measure)) for measure in shown]
        lines.append(_line(row, [*cells, Cell(_state(row), numeric=False)]))
    chosen = result.chosen
    return Table(
        "validation",
        "Validation, which chose",
        f"{_over_seeds(result)} Maps: {result.maps}; the black box's is its Grad-CAM. "
        + (
            "The choice used annotations of validation images."
            if result.select_by == "localisation"
            else "No annotation was looked at."
        ),
        "Recipe",
        (*(_column(measure) for measure in shown), Column("AUC close to the twin's")),
        tuple(lines),
        tuple(text for text in (result.rule, result.why) if text)
        + (() if chosen is None else (f"Chosen: {chosen.name}, seed {result.seed}.",)),
        grouped=False,
    )


def test_table(result: SweepResult) -> Table:
    """Give what was measured on test images after the choice, with differences to the twin."""
    shown = [measure for measure in _TESTED if _any(result, "test", measure)]
    heads: list[Column] = []
    for measure in shown:
        name = _name(measure)
        heads += [
            _column(measure),
            Column("SD over seeds"),
            Column(f"{name[:1].upper()}{name[1:]}, less the twin's"),
            Column("p (Holm)"),
        ]
    lines = []
    for row in result.rows:
        cells: list[Cell] = []
        for measure in shown:
            figure = row.test.get(measure)
            if figure is None:
                cells += [Cell("n/a")] * 4
                continue
            cells += [measured(figure.mean), Cell(number(figure.spread), numbers=(figure.spread,))]
            if figure.difference is None:
                cells += [Cell("", numbers=(math.nan,) * 3), Cell("", numbers=(math.nan,))]
            else:
                cells += [measured(figure.difference), p_value(figure.adjusted)]
        lines.append(_line(row, cells))
    return Table(
        "test",
        "Test, measured after the choice",
        "Means over the seeds, with 95 % intervals from a bootstrap over patients for these "
        "seeds. Differences to the black-box twin are between runs of the same seed on the same "
        "patients; p-values are corrected after Holm for all differences of the table. Maps: "
        f"{result.maps}; the black box's is its Grad-CAM.",
        "Recipe",
        tuple(heads),
        tuple(lines),
        (*result.notes, *result.failures),
        grouped=False,
    )


def terminal_rows(result: SweepResult) -> tuple[list[str], list[list[str]]]:
    """Give the most needed columns for a terminal: heads, and rows of text."""
    heads = ["Recipe", "val AUC", f"val {_name(result.score)}"]
    tested = [measure for measure in (AUC, result.score) if _any(result, "test", measure)]
    heads += [f"test {_name(measure)}" for measure in tested]
    rows = []
    for row in result.rows:
        cells = [_with_spread(row.val.get(measure)) for measure in (AUC, result.score)]
        cells += [measured(row.test[m].mean) if m in row.test else Cell("n/a") for m in tested]
        rows.append([row.name + (" *" if row.chosen else ""), *map(str, cells)])
    return heads, rows


def to_csv(result: SweepResult) -> str:
    """Write one line per recipe with every number; empty where undefined."""
    heads = ["recipe", "kind", "family", "l1", "l2", "seeds", "within", "chosen", "changes"]
    measures = _all_measures(result)
    for split, measure in measures:
        name = f"{split}_{measure}"
        heads += [name, f"{name}_low", f"{name}_high", f"{name}_sd_over_seeds", f"{name}_images"]
        heads += [f"{name}_minus_twin{end}" for end in ("", "_low", "_high", "_p", "_p_holm")]
    lines = []
    for row in result.rows:
        line = [
            row.name,
            row.kind,
            row.family,
            csv_number(row.l1),
            csv_number(row.l2),
            " ".join(map(str, row.seeds)),
            str(row.within).lower(),
            str(row.chosen).lower(),
            json.dumps(dict(row.changes)) if row.changes else "",
        ]
        for split, measure in measures:
            line += _all_numbers(_of(row, split).get(measure))
        lines.append(line)
    return csv_text([heads, *lines])


def runs_to_csv(result: SweepResult) -> str:
    """Write one line per run: its measures on validation and test."""
    measures = _all_measures(result)
    heads = ["recipe", "seed", "l1", "l2", "folder", *(f"{s}_{m}" for s, m in measures)]
    lines = []
    for row in result.rows:
        for place, seed in enumerate(row.seeds):
            values = []
            for split, measure in measures:
                figure = _of(row, split).get(measure)
                each = figure.each if figure is not None else ()
                values.append(csv_number(each[place]) if place < len(each) else "")
            lines.append(
                [
                    row.name,
                    str(seed),
                    csv_number(row.l1),
                    csv_number(row.l2),
                    f"runs/{row.name}/seed{seed}",
                    *values,
                ]
            )
    return csv_text([heads, *lines])


def _of(row: Row, split: Split) -> Mapping[str, Figure]:
    return row.val if split == "val" else row.test


def _any(result: SweepResult, split: Split, measure: str) -> bool:
    """Whether some recipe has a value."""
    found = (_of(row, split).get(measure) for row in result.rows)
    return any(figure is not None and not math.isnan(figure.mean.value) for figure in found)


def _all_measures(result: SweepResult) -> list[tuple[Split, str]]:
    splits: tuple[Split, ...] = ("val", "test")
    return [(split, m) for split in splits for m in NAMES if _any(result, split, m)]


def _name(measure: str) -> str:
    """Name a measure inside a sentence, and say of what looks at annotations that it does."""
    name = NAMES[measure]
    name = name if name.isupper() else name[:1].lower() + name[1:]
    return f"{name} (annotations)" if measure in ANNOTATED else name


def _column(measure: str) -> Column:
    name = _name(measure)
    label = name[:1].upper() + name[1:]
    if measure in _NO_WAY:
        return Column(label, "", MEANINGS.get(measure, ""))
    return Column(label, "↓" if measure == "deletion_auc" else "↑", MEANINGS.get(measure, ""))


def _with_spread(figure: Figure | None) -> Cell:
    if figure is None or math.isnan(figure.mean.value):
        return Cell("n/a")
    # Not in the cell's span, which holds the brackets of an interval.
    spread = "" if math.isnan(figure.spread) else f" ± {number(figure.spread)}"
    return Cell(f"{number(figure.mean.value)}{spread}", numbers=(figure.mean.value,))


def _state(row: Row) -> str:
    if row.kind == "black box":
        return "the twin"
    return ("yes" if row.within else "no") + (", chosen" if row.chosen else "")


def _line(row: Row, cells: list[Cell]) -> Line:
    return Line(row.name, tuple(cells), kind="reference" if row.chosen else "")


def _over_seeds(result: SweepResult) -> str:
    seeds = len(result.settings.get("seeds", ()))
    if seeds < 2:
        return "One seed, so that chance between seeds is not seen."
    return f"Mean and standard deviation over {seeds} seeds."


def _all_numbers(figure: Figure | None) -> list[str]:
    if figure is None:
        return [""] * 10
    mean, difference = figure.mean, figure.difference or _NOTHING
    values = (mean.value, mean.low, mean.high, figure.spread)
    compared = (difference.value, difference.low, difference.high, figure.p, figure.adjusted)
    return [*map(csv_number, values), str(mean.n), *map(csv_number, compared)]
