"""The tables of a benchmark as Markdown, LaTeX and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.result import ExplanationBenchmark, Method
from softcam.files import write_atomically
from softcam.report.explanations.sheets import flags, sheets
from softcam.report.latex import LATEX_NEEDS, latex_tables, tex
from softcam.report.table_files import bullets, csv_number, csv_text, markdown_table, plain


def to_markdown(result: ExplanationBenchmark, title: str = "Explanation benchmark") -> str:
    """Write conclusions and tables as Markdown.

    Args:
        result: What was found.
        title: The heading.

    Returns:
        Markdown; names are escaped, so that they mean nothing to it.
    """
    parts = [f"# {plain(title)}"]
    if result.conclusions:
        parts += ["## What may be concluded", bullets(result.conclusions)]
    for sheet in sheets(result):
        parts += [f"## {sheet.title}", plain(sheet.caption), markdown_table(sheet)]
        if sheet.key == "overview" and flags(result):
            parts += ["To be doubted:", bullets(flags(result))]
    measured = [f"**{m.label}**: {m.meaning}." for m in result.measures()]
    if measured:
        parts += ["## What the measures are", "\n".join(f"- {line}" for line in measured)]
    settings = [
        f"{name}: {value}" for name, value in (*result.counts.items(), *result.settings.items())
    ]
    if settings:
        parts += ["## How it was measured", bullets(settings)]
    return "\n\n".join(parts) + "\n"


def to_latex(result: ExplanationBenchmark) -> str:
    r"""Write the tables as LaTeX, to be read with ``\input``; they need the package booktabs.

    A group of many measures or methods is divided into tables that fit a page. Names are
    escaped; letters beyond Latin need XeLaTeX or LuaLaTeX.

    Args:
        result: What was found.

    Returns:
        The conclusions as a list, then one table environment after the other.
    """
    lines = [LATEX_NEEDS]
    if result.conclusions:
        items = [f"  \\item {tex(sentence)}" for sentence in result.conclusions]
        lines += ["\\begin{itemize}", *items, "\\end{itemize}"]
    for sheet in sheets(result):
        lines += latex_tables(sheet, "explanations")
    return "\n".join(lines) + "\n"


def write_csv(result: ExplanationBenchmark, folder: Path | str) -> list[Path]:
    """Write `methods.csv`, `cases.csv`, `curves.csv` and `lesions.csv`; undefined is empty.

    Names stand there as they are in the table, as in `predictions.csv`, so that files can be
    joined by them: open files of others as text, not as formulas.

    Args:
        result: What was found.
        folder: Where; it must exist.

    Returns:
        The four paths.

    Raises:
        InputError: If the folder cannot be written.
    """
    place = Path(folder)
    files = {
        "methods.csv": _method_rows(result),
        "cases.csv": _case_rows(result),
        "curves.csv": _curve_rows(result),
        "lesions.csv": _lesion_rows(result),
    }
    return [write_atomically(place / name, csv_text(rows)) for name, rows in files.items()]


def _ends(interval: Interval | None) -> list[str]:
    if interval is None:
        return ["", "", ""]
    return [csv_number(value) for value in (interval.value, interval.low, interval.high)]


def _key(method: Method) -> list[str]:
    return [method.subject, method.name, method.map]


def _method_rows(result: ExplanationBenchmark) -> Iterable[Sequence[object]]:
    yield [
        *("subject", "method", "map", "measure", "group", "value", "low", "high"),
        *("n", "undefined", "rank", "rank_low", "rank_high"),
        *("difference", "difference_low", "difference_high", "seconds_per_map", "peak_mib"),
    ]
    for row in result.rows:
        for measure in result.measures():
            mean = row.means.get(measure.key)
            yield [
                *_key(row.method),
                *(measure.key, measure.group, *_ends(mean)),
                *("" if mean is None else mean.n, row.undefined.get(measure.key, "")),
                *_ends(row.ranks.get(measure.key)),
                *_ends(row.differences.get(measure.key)),
                *(csv_number(row.seconds), csv_number(row.peak_mib)),
            ]


def _case_rows(result: ExplanationBenchmark) -> Iterable[Sequence[object]]:
    yield [
        *("image", "patient", "class", "present", "annotated"),
        *("subject", "method", "map", "measure", "value"),
    ]
    for position, case in enumerate(result.cases):
        about = [case.image, case.patient, case.class_name, int(case.present), int(case.annotated)]
        for key, values in result.values.items():
            for row, value in zip(result.rows, values[position], strict=True):
                yield [*about, *_key(row.method), key, csv_number(float(value))]


def _curve_rows(result: ExplanationBenchmark) -> Iterable[Sequence[object]]:
    yield ["curve", "subject", "method", "map", "x", "mean", "low", "high"]
    for curves in result.curves:
        for curve in curves.curves:
            points = zip(curves.x, curve.mean, curve.low, curve.high, strict=True)
            for point in points:
                figures = [csv_number(float(value)) for value in point]
                yield [curves.key, *_key(curve.method), *figures]


def _lesion_rows(result: ExplanationBenchmark) -> Iterable[Sequence[object]]:
    yield [
        *("subject", "method", "map", "finding", "size_from", "size_below"),
        *("lesions", "found", "recall", "low", "high"),
    ]
    for one in result.recalls:
        size = [csv_number(one.low), csv_number(one.high)]
        counts = [one.lesions, one.found]
        yield [*_key(one.method), one.finding, *size, *counts, *_ends(one.recall)]
