"""The tables of a benchmark as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.result import ExplanationBenchmark, Method
from softcam.files import write_atomically
from softcam.report.explanations.sheets import Cell, Head, Line, Sheet, flags, sheets

_MOST_COLUMNS, _MOST_LINES = 4, 45  # of a LaTeX table: what fits on a page
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "−": r"$-$",
    "×": r"$\times$",
}


def to_markdown(result: ExplanationBenchmark, title: str = "Explanation benchmark") -> str:
    """Write conclusions and tables as Markdown.

    Args:
        result: What was found.
        title: The heading.

    Returns:
        Markdown; names are escaped, so that they mean nothing to it.
    """
    parts = [f"# {_plain(title)}"]
    if result.conclusions:
        parts += ["## What may be concluded", _bullets(result.conclusions)]
    for sheet in sheets(result):
        parts += [f"## {sheet.title}", _plain(sheet.caption), _markdown_table(sheet)]
        if sheet.key == "overview" and flags(result):
            parts += ["To be doubted:", _bullets(flags(result))]
    measured = [f"**{m.label}**: {m.meaning}." for m in result.measures()]
    if measured:
        parts += ["## What the measures are", "\n".join(f"- {line}" for line in measured)]
    settings = [
        f"{name}: {value}" for name, value in (*result.counts.items(), *result.settings.items())
    ]
    if settings:
        parts += ["## How it was measured", _bullets(settings)]
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
    lines = ["% Needs \\usepackage{booktabs}; letters beyond Latin need XeLaTeX or LuaLaTeX."]
    if result.conclusions:
        items = [f"  \\item {_tex(sentence)}" for sentence in result.conclusions]
        lines += ["\\begin{itemize}", *items, "\\end{itemize}"]
    for sheet in sheets(result):
        parts = list(_parts(sheet))
        for position, part in enumerate(parts, start=1):
            which = f" Part {position} of {len(parts)}." if len(parts) > 1 else ""
            label = f"{part.key}-{position}" if len(parts) > 1 else part.key
            lines += ["", *_latex_table(part, which, label)]
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
    return [write_atomically(place / name, _csv(rows)) for name, rows in files.items()]


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(sentence)}" for sentence in sentences)


def _plain(text: str) -> str:
    """Escape what Markdown would read as markup, and put it on one line."""
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", " ".join(text.split()))


def _markdown_table(sheet: Sheet) -> str:
    heads = [sheet.corner, *(_plain(_head(head)) for head in sheet.heads)]
    rules = ["---"] + ["---:" if cell.numeric else "---" for cell in sheet.lines[0].cells]
    rows = [heads, rules]
    for line in sheet.lines:
        name = _plain(f"{line.subject}: {line.name}" if line.subject else line.name)
        rows.append([name, *(_markdown_cell(cell) for cell in line.cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _head(head: Head) -> str:
    return f"{head.label} {head.arrow}" if head.arrow else head.label


def _markdown_cell(cell: Cell) -> str:
    if not cell.numeric:
        return _plain(cell.text)
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.span}" if cell.span else text


def _tex(text: str) -> str:
    one_line = " ".join(text.split())
    return "".join(_TEX.get(sign, sign) for sign in one_line if sign.isprintable())


def _parts(sheet: Sheet) -> Iterable[Sheet]:
    """Divide a sheet into ones that fit a page, as even as can be."""
    for lines in _even(range(len(sheet.lines)), _MOST_LINES):
        for columns in _even(range(len(sheet.heads)), _MOST_COLUMNS):
            yield Sheet(
                sheet.key,
                sheet.title,
                sheet.caption,
                sheet.corner,
                tuple(sheet.heads[i] for i in columns),
                tuple(
                    Line(
                        sheet.lines[i].name,
                        tuple(sheet.lines[i].cells[j] for j in columns),
                        sheet.lines[i].subject,
                        sheet.lines[i].kind,
                    )
                    for i in lines
                ),
            )


def _even(items: Sequence[int], most: int) -> list[Sequence[int]]:
    count = max(1, math.ceil(len(items) / most))
    cuts = [round(i * len(items) / count) for i in range(count + 1)]
    return [items[cuts[i] : cuts[i + 1]] for i in range(count)]


def _latex_table(sheet: Sheet, which: str, label: str) -> list[str]:
    width = len(sheet.heads) + 1
    words = any(not cell.numeric for line in sheet.lines for cell in line.cells)
    columns = "p{0.3\\linewidth}" if words else "l"
    for cell in sheet.lines[0].cells:
        columns += "r" if cell.numeric else f"p{{{0.6 / (width - 1):.2f}\\linewidth}}"
    heads = [_tex(_head(head)) for head in sheet.heads]
    stop = "" if sheet.title.endswith("?") else "."
    body: list[str] = []
    by_subject = sheet.key != "overview"  # which is sorted by rank, and names the model in line
    runs: dict[str, list[Line]] = {}
    for line in sheet.lines:
        runs.setdefault(line.subject if by_subject else "", []).append(line)
    for subject, lines in runs.items():
        if subject:
            body += ["\\addlinespace"] if body else []
            body.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{_tex(subject)}}}}} \\\\")
        for line in lines:
            name = line.name if subject or not line.subject else f"{line.subject}: {line.name}"
            body.append(" & ".join([_tex(name), *map(_latex_cell, line.cells)]) + r" \\")
    return [
        "\\begin{table}[htbp]",
        "  \\centering\\scriptsize\\setlength{\\tabcolsep}{3pt}",
        f"  \\caption{{{_tex(f'{sheet.title}{stop} {sheet.caption}{which}')}}}",
        f"  \\label{{tab:explanations-{label}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        "    " + " & ".join([_tex(sheet.corner), *heads]) + r" \\",
        "    \\midrule",
        *(f"    {line}" for line in body),
        "    \\bottomrule",
        "  \\end{tabular}",
        "\\end{table}",
    ]


def _latex_cell(cell: Cell) -> str:
    text = f"\\textbf{{{_tex(cell.text)}}}" if cell.best else _tex(cell.text)
    # In braces: a bracket at the start of a line would be an argument of the line break.
    return f"{text} {{\\tiny [{_tex(cell.span[1:-1])}]}}" if cell.span else text


def _csv(rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _ends(interval: Interval | None) -> list[str]:
    if interval is None:
        return ["", "", ""]
    return [_figure(value) for value in (interval.value, interval.low, interval.high)]


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
                *(_figure(row.seconds), _figure(row.peak_mib)),
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
                yield [*about, *_key(row.method), key, _figure(float(value))]


def _curve_rows(result: ExplanationBenchmark) -> Iterable[Sequence[object]]:
    yield ["curve", "subject", "method", "map", "x", "mean", "low", "high"]
    for curves in result.curves:
        for curve in curves.curves:
            points = zip(curves.x, curve.mean, curve.low, curve.high, strict=True)
            for point in points:
                figures = [_figure(float(value)) for value in point]
                yield [curves.key, *_key(curve.method), *figures]


def _lesion_rows(result: ExplanationBenchmark) -> Iterable[Sequence[object]]:
    yield [
        *("subject", "method", "map", "finding", "size_from", "size_below"),
        *("lesions", "found", "recall", "low", "high"),
    ]
    for one in result.recalls:
        size = [_figure(one.low), _figure(one.high)]
        counts = [one.lesions, one.found]
        yield [*_key(one.method), one.finding, *size, *counts, *_ends(one.recall)]
