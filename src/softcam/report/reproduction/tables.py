"""The tables of a reproduction: our figures, each beside the published one."""

from __future__ import annotations

import math
from collections.abc import Iterable

from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.explanations.result import Method
from softcam.report.reproduction.content import ANSWERED, ROLES, Part, Reproduction, role_of
from softcam.report.sweep.content import Figure
from softcam.report.table import Cell, Column, Row, Table, measured, number, p_value

LOCATED = ("activation_precision", "activation_sensitivity", "pointing_game", "topk_precision")
EXPLAINED = (*LOCATED, "deletion_auc")
CONSISTENT = ("positive_share", "negative_share")

_UNKNOWN = Cell("", numbers=(math.nan,))


def tables(result: Reproduction) -> list[Table]:
    """Give the tables, those with figures first."""
    found = [performance_table(result)]
    for key, title, shown in (
        ("explanation", "Explanations", EXPLAINED),
        ("consistency", "Activation consistency", CONSISTENT),
    ):
        if table := _explanation_table(result, key, title, shown):
            found.append(table)
    return [*found, penalty_table(result)]


def performance_table(result: Reproduction) -> Table:
    """Give how well every model answers, beside the published figures."""
    shown = [
        measure
        for measure in ANSWERED
        if any(measure in figures for part in result.parts for figures in part.measured.values())
    ]
    columns: list[Column] = []
    for measure in shown:
        columns += [Column(ANSWERED[measure], "↑"), Column(f"{ANSWERED[measure]}, published")]
        if measure == "auc":
            columns += [Column("AUC, less the black box's"), Column("p (Holm)")]
    rows = [
        Row(ROLES[role], tuple(_answered(part, role, shown)), part.label)
        for part in result.parts
        for role in ROLES
        if role in part.measured
    ]
    splits = sorted({part.split for part in result.parts})
    return Table(
        "performance",
        "Classification",
        f"Measured on the {' and '.join(splits)} images, with 95 % intervals from a bootstrap over "
        "patients; over several seeds the mean, ± their standard deviation. Differences are "
        "paired; p-values are corrected after Holm within a task and backbone.",
        "Model",
        tuple(columns),
        tuple(rows),
        (*_about_published(result, _published_of(result, ROLES, ANSWERED)), *result.notes),
        subject="Task and backbone",
    )


def penalty_table(result: Reproduction) -> Table:
    """Give the penalty weights, and where they come from."""
    rows = [
        Row(
            ROLES[role],
            (_weight(l1), _weight(l2), Cell(part.penalty_source or "given", numeric=False)),
            part.label,
        )
        for part in result.parts
        for role, (l1, l2) in part.penalties.items()
        if l1 or l2
    ]
    return Table(
        "penalties",
        "Penalty weights",
        f"Form: {result.settings.get('penalty_form', 'norm')}. notes: a third party's reading "
        "notes; repository: the authors' published configuration; assumed: taken over from the "
        "nearest known pair. None was chosen on this data.",
        "Model",
        (Column("l1"), Column("l2"), Column("Source")),
        tuple(rows),
        subject="Task and backbone",
    )


def _answered(part: Part, role: str, shown: Iterable[str]) -> Iterable[Cell]:
    for measure in shown:
        figure = part.measured[role].get(measure)
        yield Cell("n/a", numbers=(math.nan,) * 3) if figure is None else _with_spread(figure)
        yield _published(part, role, measure)
        if measure != "auc":
            continue
        if figure is None or figure.difference is None:
            yield Cell("", numbers=(math.nan,) * 3)
            yield _UNKNOWN
        else:
            yield measured(figure.difference, ends=3)
            yield p_value(figure.adjusted)


def _with_spread(figure: Figure) -> Cell:
    cell = measured(figure.mean)
    if math.isnan(figure.spread):
        return cell
    return Cell(f"{cell.text} ± {number(figure.spread)}", cell.span, numbers=cell.numbers)


def _weight(value: float) -> Cell:
    return Cell(f"{value:g}", numbers=(value,))


def _published(part: Part, role: str, measure: str) -> Cell:
    found = part.published.get((role, measure))
    return _UNKNOWN if found is None else Cell(number(found.value), numbers=(found.value,))


def _explanation_table(
    result: Reproduction, key: str, title: str, wanted: tuple[str, ...]
) -> Table | None:
    known = [
        measure
        for measure in wanted
        if any(
            not math.isnan(part.explanation(method, measure)[0].value)
            for part in result.parts
            for method in part.methods()
        )
    ]
    if not known:
        return None
    columns: list[Column] = []
    for measure in known:
        about = MEASURE[measure]
        columns += [
            Column(about.label, "↓" if about.higher_is_better is False else "↑", about.meaning),
            Column(f"{about.label}, published"),
        ]
    rows = []
    for part in result.parts:
        for method in ordered(part):
            cells: list[Cell] = []
            for measure in known:
                cells += [_explained(part, method, measure)]
                cells += [_published(part, role_of(method), measure)]
            floor = any(method in one.floors for one in part.explained)
            rows.append(Row(name_of(method), tuple(cells), part.label, "floor" if floor else ""))
    seeds = max(len(part.explained) for part in result.parts)
    how = "95 % intervals from a bootstrap over patients"
    if seeds > 1:
        how = f"the mean of {seeds} seeds, ± their standard deviation"
    located = "" if set(LOCATED) & set(known) or key != "explanation" else _NO_MARKS
    return Table(
        key,
        title,
        f"SoftCAM models by their own evidence, the black box by post-hoc maps; each class's own "
        f"map; {how}. Each benchmark's own page has the contrast maps and all measures.{located}",
        "Map",
        tuple(columns),
        tuple(rows),
        tuple(_about_published(result, _explained_published(result, known))),
        subject="Task and backbone",
    )


_NO_MARKS = " No image is annotated, so that localisation is not measured."


def ordered(part: Part) -> list[Method]:
    """Give the methods whose own maps are shown: the models in order, post-hoc maps, floors."""
    shown = [method for method in part.methods() if method.map != "contrast"]
    names = list(ROLES.values())
    floors = {method for one in part.explained for method in one.floors}

    def place(method: Method) -> tuple[bool, bool, int]:
        at = names.index(method.subject) if method.subject in names else len(names)
        return method in floors, method.name != "evidence", at

    return sorted(shown, key=place)


def name_of(method: Method) -> str:
    """Name a map in a table: a model by itself, a post-hoc method with what it explains."""
    if method.name == "evidence":
        return method.subject
    return f"{method.label} ({method.subject.lower()})"


def _explained(part: Part, method: Method, measure: str) -> Cell:
    interval, spread = part.explanation(method, measure)
    if math.isnan(interval.value):
        return Cell("n/a", numbers=(math.nan,) * 3)
    if len(part.explained) == 1:
        return measured(interval)
    text = number(interval.value)
    text = text if math.isnan(spread) else f"{text} ± {number(spread)}"
    return Cell(text, numbers=(interval.value, math.nan, math.nan))


def _published_of(
    result: Reproduction, roles: Iterable[str], measures: Iterable[str]
) -> list[tuple[Part, str, str]]:
    """List the cells of published figures."""
    kinds = list(measures)
    return [
        (part, role, measure)
        for part in result.parts
        for role in roles
        if role in part.measured
        for measure in kinds
        if measure in part.measured[role]
    ]


def _explained_published(
    result: Reproduction, measures: Iterable[str]
) -> list[tuple[Part, str, str]]:
    kinds = list(measures)
    return [
        (part, role_of(method), measure)
        for part in result.parts
        for method in ordered(part)
        for measure in kinds
    ]


def _about_published(result: Reproduction, cells: list[tuple[Part, str, str]]) -> list[str]:
    """Say where the published figures come from, and what an empty cell means."""
    found = [part.published.get((role, measure)) for part, role, measure in cells]
    known = [one for one in found if one is not None]
    notes = []
    if len(known) < len(found):
        notes.append(
            f"{len(found) - len(known)} of {len(found)} published figures are not known here and "
            "their cells are empty; fill them in in published.yaml and resume."
        )
    for source in dict.fromkeys(one.source for one in known):
        count = sum(one.source == source for one in known)
        words = result.sources.get(source, source) or "published.yaml, which names no source"
        notes.append(f"Published figures ({count}) from: {words}.")
    return notes
