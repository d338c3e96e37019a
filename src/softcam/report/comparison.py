"""The tables of a comparison of models."""

from __future__ import annotations

from softcam.evaluation.comparison.answers import COMPARED_NAMES, LOWER_IS_BETTER
from softcam.evaluation.comparison.compare import Compared
from softcam.evaluation.comparison.result import ModelComparison
from softcam.report.table import Cell, Column, Row, Table, figure, measured, p_value

SPREAD = ("SD over seeds", "Least", "Most")
"""Columns that are there where a model has several seeds."""

_NOTHING = Cell("")  # of the reference, which is not compared with itself


def difference_table(result: ModelComparison) -> Table:
    """Give every measure of every model, its difference to the reference and how sure that is.

    Args:
        result: What was found.

    Returns:
        One row for each measure and model.
    """
    seeds = any(len(group.runs) > 1 for group in result.groups)
    checked = any(one.cross_check is not None for one in result.measures)
    columns = [
        Column("Value"),
        *(Column(label) for label in SPREAD if seeds),
        Column("Difference"),
        Column("p"),
        Column("p (Holm)"),
        *([Column("p (DeLong)")] if checked else []),
    ]
    rows = []
    for one in result.measures:
        arrow = "↓" if one.key in LOWER_IS_BETTER else "↑"
        for position, group in enumerate(result.groups):
            cells = [measured(one.values[position])]
            if seeds:
                spread = one.spreads[position]
                cells += [
                    figure(value) if len(group.runs) > 1 else _NOTHING
                    for value in (spread.sd, spread.low, spread.high)
                ]
            cells += _against(result, one, position)
            if checked:
                cells.append(_delong(result, one, position))
            rows.append(
                Row(
                    group.label,
                    tuple(cells),
                    f"{_label(one.key)} {arrow}",
                    "reference" if position == result.reference else "",
                )
            )
    reference = result.groups[result.reference].label
    return Table(
        "differences",
        "Differences between models",
        f"{_measured_on(result)} Differences are to {reference}, paired: all models are measured "
        "on the same resamples. An arrow says which way is better.",
        "Model",
        tuple(columns),
        tuple(rows),
        tuple(_notes(result)),
        subject="Measure",
    )


def models_table(result: ModelComparison) -> Table:
    """Give one row for each model and one column for each measure.

    Args:
        result: What was found.

    Returns:
        The table, with the mean over the seeds where a row has several.
    """
    columns = tuple(
        Column(_label(one.key), "↓" if one.key in LOWER_IS_BETTER else "↑")
        for one in result.measures
    )
    rows = tuple(
        Row(
            group.label,
            tuple(measured(one.values[position]) for one in result.measures),
            kind="reference" if position == result.reference else "",
        )
        for position, group in enumerate(result.groups)
    )
    return Table("models", "Models", _measured_on(result), "Model", columns, rows)


def comparison_tables(result: ModelComparison) -> list[Table]:
    """Give the tables of a comparison, the differences first."""
    return [difference_table(result), models_table(result)]


def _label(key: str) -> str:
    return COMPARED_NAMES.get(key, key)


def _against(result: ModelComparison, one: Compared, position: int) -> list[Cell]:
    if position == result.reference:
        return [_NOTHING, _NOTHING, _NOTHING]
    return [
        measured(one.differences[position], ends=3),  # on which side of 0 is the question
        p_value(float(one.p[position])),
        p_value(float(one.adjusted[position])),
    ]


def _delong(result: ModelComparison, one: Compared, position: int) -> Cell:
    if one.cross_check is None or position == result.reference:
        return _NOTHING
    return p_value(float(one.cross_check.p[position]))


def _measured_on(result: ModelComparison) -> str:
    counts = result.counts
    split = result.settings.get("split")
    of = f" ({split})" if split else ""
    return (
        f"{counts.get('images', 0)} images{of} of {counts.get('patients', 0)} patients, with 95 % "
        f"intervals from a bootstrap over patients with {result.settings.get('resamples')} "
        "resamples."
    )


def _notes(result: ModelComparison) -> list[str]:
    """Say in sentences what the figures rest on, and what was undefined."""
    notes = [
        "p: two-sided bootstrap p-value of no difference. p (Holm): the same corrected for the "
        f"{result.comparisons} differences of this table."
    ]
    checks = {one.cross_check.method for one in result.measures if one.cross_check is not None}
    for method in sorted(checks):
        kind = " for several images of a patient" if method.startswith("Obuchowski") else ""
        notes.append(f"p (DeLong): cross-check of the AUC by {method}{kind}; not corrected.")
    if any(len(group.runs) > 1 for group in result.groups):
        drawn = result.settings.get("seeds_drawn")
        notes.append(
            "A model of several seeds has the mean of its seeds' measures; "
            + (
                "its seeds are resampled too, so that intervals hold for other seeds."
                if drawn
                else "its intervals are over patients, for these seeds."
            )
        )
    positive = result.settings.get("positive")
    if positive:
        notes.append(f"Measures are of the class {positive}.")
    else:
        notes.append("Measures of classes are averaged over the classes, each against the rest.")
    if result.absent:
        notes.append(f"Left out for want of examples: {', '.join(result.absent)}.")
    short = []
    for one in result.measures:
        undefined = max((each.undefined for each in (*one.values, *one.differences)), default=0)
        if undefined:
            short.append(f"{_label(one.key)} in {undefined}")
    if short:
        notes.append(f"Undefined in some resamples and left out there: {', '.join(short)}.")
    return notes
