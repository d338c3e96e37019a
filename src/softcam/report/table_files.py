"""Tables as CSV, Markdown and LaTeX: the same numbers in all three."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from softcam.files import write_atomically
from softcam.report.table import Cell, Column, Row, Table

LATEX_NEEDS = "% Needs \\usepackage{booktabs}; letters beyond Latin need XeLaTeX or LuaLaTeX."
"""First line of a file of LaTeX tables."""

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


def to_markdown(tables: Sequence[Table], title: str) -> str:
    """Write tables as Markdown.

    Args:
        tables: The tables, in the order shown.
        title: The heading over all.

    Returns:
        Markdown; names are escaped, so that they mean nothing to it.
    """
    parts = [f"# {plain(title)}"]
    for table in tables:
        parts += [f"## {plain(table.title)}", plain(table.caption), markdown_table(table)]
        parts += [bullets(table.notes)] if table.notes else []
    return "\n\n".join(part for part in parts if part) + "\n"


def to_latex(tables: Sequence[Table], prefix: str = "tab") -> str:
    r"""Write tables as LaTeX, to be read with ``\input``; they need the package booktabs.

    A table of many columns or rows is divided into ones that fit a page. Names are escaped;
    letters beyond Latin need XeLaTeX or LuaLaTeX.

    Args:
        tables: The tables, in the order shown.
        prefix: What labels begin with: ``tab:prefix-key``.

    Returns:
        One table environment after the other.
    """
    lines = [LATEX_NEEDS]
    for table in tables:
        lines += latex_tables(table, prefix)
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Write a table as CSV: numbers with six digits, an interval in three columns.

    Names stand there as they are: open files of others as text, not as formulas. Undefined
    numbers are empty.

    Args:
        table: The table.

    Returns:
        CSV with a head.
    """
    subjects = any(row.subject for row in table.rows)
    width = [
        max((len(row.cells[i].numbers) for row in table.rows), default=0)
        for i in range(len(table.columns))
    ]
    head = [table.subject] * subjects + [table.corner]
    for column, numbers in zip(table.columns, width, strict=True):
        head.append(column.label)
        head += [f"{column.label} {end}" for end in ("low", "high")] if numbers > 1 else []
    rows = [head]
    for row in table.rows:
        line = [row.subject] * subjects + [row.name]
        for cell, numbers in zip(row.cells, width, strict=True):
            line += _csv_cell(cell, max(1, numbers))
        rows.append(line)
    return csv_text(rows)


def write_tables(
    tables: Sequence[Table], folder: Path | str, stem: str, *, title: str
) -> list[Path]:
    """Write tables as `STEM.md`, `STEM.tex` and CSV.

    Args:
        tables: The tables, in the order shown.
        folder: Where; it must exist.
        stem: File name without suffix. The first table's CSV is `STEM.csv`, the others' are
            `STEM-KEY.csv`.
        title: Heading of the Markdown.

    Returns:
        The paths.

    Raises:
        InputError: If the folder cannot be written.
    """
    place = Path(folder)
    files = {
        f"{stem}.csv" if number == 0 else f"{stem}-{table.key}.csv": to_csv(table)
        for number, table in enumerate(tables)
    }
    files |= {f"{stem}.md": to_markdown(tables, title), f"{stem}.tex": to_latex(tables, stem)}
    return [write_atomically(place / name, text) for name, text in files.items()]


def bullets(sentences: Iterable[str]) -> str:
    """Write sentences as a Markdown list."""
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences)


def plain(text: str) -> str:
    """Escape what Markdown would read as markup, and put it on one line."""
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", " ".join(text.split()))


def markdown_table(table: Table) -> str:
    """Write the table alone as Markdown, without title and notes."""
    heads = [plain(table.corner), *(plain(_head(head)) for head in table.columns)]
    rules = ["---", *("---:" if numeric else "---" for numeric in _numeric(table))]
    rows = [heads, rules]
    for line in table.rows:
        name = plain(f"{line.subject}: {line.name}" if line.subject else line.name)
        rows.append([name, *(_markdown_cell(cell) for cell in line.cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _head(head: Column) -> str:
    return f"{head.label} {head.arrow}" if head.arrow else head.label


def _markdown_cell(cell: Cell) -> str:
    if not cell.numeric:
        return plain(cell.text)
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.span}" if cell.span else text


def tex(text: str) -> str:
    """Escape what LaTeX would read as a command, and put it on one line."""
    one_line = " ".join(text.split())
    return "".join(_TEX.get(sign, sign) for sign in one_line if sign.isprintable())


def _parts(table: Table) -> Iterable[Table]:
    """Divide a table into ones that fit a page, as even as can be."""
    for rows in _even(range(len(table.rows)), _MOST_LINES):
        for columns in _even(range(len(table.columns)), _most_columns(table)):
            yield replace(
                table,
                columns=tuple(table.columns[i] for i in columns),
                rows=tuple(
                    replace(table.rows[i], cells=tuple(table.rows[i].cells[j] for j in columns))
                    for i in rows
                ),
            )


def _even(items: Sequence[int], most: int) -> list[Sequence[int]]:
    count = max(1, math.ceil(len(items) / most))
    cuts = [round(i * len(items) / count) for i in range(count + 1)]
    return [items[cuts[i] : cuts[i + 1]] for i in range(count)]


def latex_tables(table: Table, prefix: str) -> list[str]:
    """Write a table as lines of LaTeX, in as many parts as its size asks for.

    Args:
        table: The table.
        prefix: What labels begin with: ``tab:prefix-key``.

    Returns:
        Lines, an empty one before each part.
    """
    parts = list(_parts(table))
    lines: list[str] = []
    for position, part in enumerate(parts, start=1):
        which = f" Part {position} of {len(parts)}." if len(parts) > 1 else ""
        label = f"{prefix}-{part.key}-{position}" if len(parts) > 1 else f"{prefix}-{part.key}"
        last = position == len(parts)  # which has the notes
        lines += ["", *_latex_table(part if last else replace(part, notes=()), which, label)]
    return lines


def _most_columns(table: Table) -> int:
    """Columns that fit beside each other: intervals take the room of two numbers."""
    wide = sum(any(row.cells[i].span for row in table.rows) for i in range(len(table.columns)))
    return _MOST_COLUMNS if wide > _MOST_COLUMNS // 2 else 2 * _MOST_COLUMNS - wide


def _numeric(table: Table) -> list[bool]:
    if not table.rows:
        return [True] * len(table.columns)
    return [cell.numeric for cell in table.rows[0].cells]


def _latex_table(table: Table, which: str, label: str) -> list[str]:
    width = len(table.columns) + 1
    words = any(not cell.numeric for line in table.rows for cell in line.cells)
    columns = "p{0.3\\linewidth}" if words else "l"
    for numeric in _numeric(table):
        columns += "r" if numeric else f"p{{{0.6 / (width - 1):.2f}\\linewidth}}"
    heads = [tex(_head(head)) for head in table.columns]
    stop = "" if table.title.endswith("?") else "."
    body: list[str] = []
    runs: dict[str, list[Row]] = {}
    for line in table.rows:
        runs.setdefault(line.subject if table.grouped else "", []).append(line)
    for subject, lines in runs.items():
        if subject:
            body += ["\\addlinespace"] if body else []
            body.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{tex(subject)}}}}} \\\\")
        for line in lines:
            name = line.name if subject or not line.subject else f"{line.subject}: {line.name}"
            body.append(" & ".join([tex(name), *map(_latex_cell, line.cells)]) + r" \\")
    return [
        "\\begin{table}[htbp]",
        "  \\centering\\scriptsize\\setlength{\\tabcolsep}{3pt}",
        f"  \\caption{{{tex(f'{table.title}{stop} {table.caption}{which}')}}}",
        f"  \\label{{tab:{label}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        "    " + " & ".join([tex(table.corner), *heads]) + r" \\",
        "    \\midrule",
        *(f"    {line}" for line in body),
        "    \\bottomrule",
        "  \\end{tabular}",
        *(f"  \\par\\smallskip {tex(note)}" for note in table.notes),
        "\\end{table}",
    ]


def _latex_cell(cell: Cell) -> str:
    text, span = tex(cell.text), tex(cell.span[1:-1])
    if cell.numeric:  # a hyphen is no minus sign
        text, span = (re.sub(r"(?<![\w-])-(?=\d)", "$-$", part) for part in (text, span))
    text = f"\\textbf{{{text}}}" if cell.best else text
    # In braces: a bracket at the start of a line would be an argument of the line break.
    return f"{text} {{\\tiny [{span}]}}" if span else text


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV."""
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def csv_number(value: float) -> str:
    """Write a number with six digits; undefined is empty."""
    return "" if math.isnan(value) else f"{value:.6g}"


def _csv_cell(cell: Cell, width: int) -> list[str]:
    shown = [csv_number(value) for value in cell.numbers]
    if not shown:
        shown = ["" if cell.text == "n/a" else cell.text]
    return shown + [""] * (width - len(shown))
