r"""Tables as LaTeX that fit a page: divided, and heads broken, by an estimate of their width."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from softcam.report.table import Cell, Column, Row, Table

LATEX_NEEDS = "% Needs \\usepackage{booktabs}; letters beyond Latin need XeLaTeX or LuaLaTeX."
"""First line of a file of LaTeX tables."""

# Lengths in points. A line of the standard article class has 345 (10 pt, letter and A4 paper); a
# digit of Computer Modern 3.98 at 7 pt and 3.41 at 5 pt.
_LINE, _DIGIT, _SMALL_DIGIT, _BETWEEN = 345.0, 3.98, 3.41, 6.0
_NARROW, _WIDE = frozenset(" .,:;'|!()[]ijlftr"), frozenset("mwMW%&@-−±×↑↓")
_NAME, _WORDS = 0.36, 0.3  # shares of a line that names and columns of words take at most
_HEAD = 11.0  # digits of a head that stand beside each other, if the numbers below are not wider
_MOST_LINES = 45  # of a table: what fits on a page
_MOST_WAITING = 12  # tables that TeX is asked to find a place for at once
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
    "±": r"$\pm$",
}


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
        lines += ["", "\\clearpage"] if position > 1 and position % _MOST_WAITING == 1 else []
        lines += ["", *_latex_table(part if last else replace(part, notes=()), which, label)]
    return lines


def tex(text: str) -> str:
    """Escape what LaTeX would read as a command, and put it on one line."""
    one_line = " ".join(text.split())
    return "".join(_TEX.get(sign, sign) for sign in one_line if sign.isprintable())


def _parts(table: Table) -> Iterable[Table]:
    """Divide a table into ones that fit a page, as even as can be."""
    room = _LINE - _name_width(table) - _BETWEEN
    heights: list[float] = [_height(table, row) for row in table.rows]
    for rows in _fitting(heights, _MOST_LINES):
        for columns in _fitting(_column_widths(table), room):
            yield replace(
                table,
                columns=tuple(table.columns[i] for i in columns),
                rows=tuple(
                    replace(table.rows[i], cells=tuple(table.rows[i].cells[j] for j in columns))
                    for i in rows
                ),
            )


def _fitting(sizes: Sequence[float], room: float) -> list[Sequence[int]]:
    """Divide rows or columns into the fewest runs of even length that have room."""
    for count in range(1, len(sizes)):
        runs = _even(len(sizes), count)
        if all(sum(sizes[i] for i in run) <= room for run in runs):
            return runs
    return _even(len(sizes), len(sizes))


def _even(number: int, count: int) -> list[Sequence[int]]:
    count = max(1, count)
    cuts = [round(i * number / count) for i in range(count + 1)]
    return [range(cuts[i], cuts[i + 1]) for i in range(count)]


def _grouped(table: Table) -> Sequence[Row]:
    """Order rows so that those of a subject stand together, the subjects as they first come."""
    if not table.grouped:
        return table.rows
    order = list(dict.fromkeys(row.subject for row in table.rows))
    return sorted(table.rows, key=lambda row: order.index(row.subject))


def _name(table: Table, row: Row) -> str:
    """Name a row, with its subject where that is no heading above it."""
    return f"{row.subject}: {row.name}" if row.subject and not table.grouped else row.name


def _digits(text: str) -> float:
    """Estimate the width of text in digits."""
    return sum(
        0.6 if c in _NARROW else 1.6 if c in _WIDE else 1.4 if c.isupper() else 1.0 for c in text
    )


def _name_width(table: Table) -> float:
    """Width of the column of names, which break where they are longer."""
    names = (table.corner, *(_name(table, row) for row in table.rows))
    return min(_NAME * _LINE, max(map(_digits, names)) * _DIGIT)


def _height(table: Table, row: Row) -> int:
    """Lines of a row, whose name and words break where they are longer than their column."""
    name = math.ceil(1.1 * _digits(_name(table, row)) * _DIGIT / (_NAME * _LINE))
    words = (_digits(cell.text) for cell in row.cells if not cell.numeric)
    return max(name, *(math.ceil(1.1 * w * _DIGIT / (_WORDS * _LINE)) for w in words), 1)


def _column_widths(table: Table) -> list[float]:
    """Width of every column but that of the names, with the room before it."""
    widths = []
    for i, (column, numeric) in enumerate(zip(table.columns, table.numeric(), strict=True)):
        below = max((_cell_width(row.cells[i]) for row in table.rows), default=0.0)
        if numeric:
            head = max(map(_digits, _head_lines(column, below))) * _DIGIT
        else:
            below = min(below, _WORDS * _LINE)
            head = max(map(_digits, column.shown.split()), default=0.0) * _DIGIT
        widths.append(max(below, head) + _BETWEEN)
    return widths


def _cell_width(cell: Cell) -> float:
    width = _digits(cell.text) * _DIGIT
    return width + _digits(f" {cell.span}") * _SMALL_DIGIT if cell.span else width


def _head_lines(column: Column, below: float) -> list[str]:
    """Break a head where it is wider than the numbers below; its arrow stays with a word."""
    most = max(_HEAD, below / _DIGIT)
    lines: list[str] = []
    words = column.label.split()
    if words and column.arrow:
        words[-1] += f" {column.arrow}"
    for word in words:
        if lines and _digits(f"{lines[-1]} {word}") <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [column.arrow]


def _latex_table(table: Table, which: str, label: str) -> list[str]:
    width = len(table.columns) + 1
    numeric, widths = table.numeric(), _column_widths(table)
    name_width = _name_width(table)
    breaks = name_width >= _NAME * _LINE  # long names do
    # Not two backslashes, to which a ragged cell gives another meaning.
    end = r" \tabularnewline"
    columns = _paragraph(name_width) if breaks else "l"
    heads = [tex(table.corner)]
    left = max(0.0, _LINE - name_width - _BETWEEN - sum(widths)) / max(1, numeric.count(False))
    for column, right, room in zip(table.columns, numeric, widths, strict=True):
        columns += "r" if right else _paragraph(room + left - _BETWEEN)
        heads.append(_head(column, room) if right else _ragged(tex(column.shown)))
    stop = "" if table.title.endswith("?") else "."
    body: list[str] = []
    subject = ""
    for row in _grouped(table):
        if table.grouped and row.subject != subject:
            subject = row.subject
            body += ["\\addlinespace"] if body else []
            if subject:
                body.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{tex(subject)}}}}}{end}")
        name = tex(_name(table, row))
        body.append(
            " & ".join([_ragged(name) if breaks else name, *map(_latex_cell, row.cells)]) + end
        )
    return [
        "\\begin{table}[htbp]",
        "  \\centering\\scriptsize\\setlength{\\tabcolsep}{3pt}",
        f"  \\caption{{{tex(f'{table.title}{stop} {table.caption}{which}')}}}",
        f"  \\label{{tab:{label}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        "    " + " & ".join(heads) + end,
        "    \\midrule",
        *(f"    {line}" for line in body),
        "    \\bottomrule",
        "  \\end{tabular}",
        *(f"  \\par\\smallskip {tex(note)}" for note in table.notes),
        "\\end{table}",
    ]


def _paragraph(width: float) -> str:
    return f"p{{{width / _LINE:.2f}\\linewidth}}"


def _ragged(text: str) -> str:
    return f"\\raggedright {text}"


def _head(column: Column, width: float) -> str:
    lines = [tex(line) for line in _head_lines(column, width - _BETWEEN)]
    stacked = r" \\ ".join(lines)
    return stacked if len(lines) == 1 else f"\\shortstack[r]{{{stacked}}}"


def _latex_cell(cell: Cell) -> str:
    text, span = tex(cell.text), tex(cell.span[1:-1])
    if cell.numeric:  # a hyphen is no minus sign
        text, span = (re.sub(r"(?<![\w-])-(?=\d)", "$-$", part) for part in (text, span))
    text = f"\\textbf{{{text}}}" if cell.best else text
    if not cell.numeric:
        return _ragged(text)
    # In braces: a bracket at the start of a line would be an argument of the line break.
    return f"{text} {{\\tiny [{span}]}}" if span else text
