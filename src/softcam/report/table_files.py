"""Tables as CSV and Markdown, and as files of these and LaTeX: the same numbers in all."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from softcam.files import write_atomically
from softcam.report.latex import to_latex
from softcam.report.table import Cell, Table


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
    heads = [plain(table.corner), *(plain(head.shown) for head in table.columns)]
    rules = ["---", *("---:" if numeric else "---" for numeric in table.numeric())]
    rows = [heads, rules]
    for line in table.rows:
        name = plain(f"{line.subject}: {line.name}" if line.subject else line.name)
        rows.append([name, *(_markdown_cell(cell) for cell in line.cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _markdown_cell(cell: Cell) -> str:
    if not cell.numeric:
        return plain(cell.text)
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.span}" if cell.span else text


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
