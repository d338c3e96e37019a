"""A table of a report as plain text cells, before any file format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from softcam.evaluation.bootstrap import Interval


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        label: What it is called.
        arrow: Which way is better; empty for neither.
        meaning: What it is, in one line; empty where the label says it.
    """

    label: str
    arrow: Literal["↑", "↓", ""] = ""
    meaning: str = ""

    @property
    def shown(self) -> str:
        """The label with its arrow."""
        return f"{self.label} {self.arrow}" if self.arrow else self.label


@dataclass(frozen=True)
class Cell:
    """What stands in a cell.

    Attributes:
        text: A number or words.
        span: Its interval in brackets; empty without one.
        best: Whether to set it in bold.
        numeric: Whether it stands to the right.
        numbers: What `text` and `span` round, for files that are read by programs: the value, or
            the value and the two ends of its interval; empty for words.
    """

    text: str
    span: str = ""
    best: bool = False
    numeric: bool = True
    numbers: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} {self.span}" if self.span else self.text


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: What it is about.
        cells: One for each column.
        subject: What rows are grouped by, such as the model that a method explains; empty for
            nothing.
        kind: The reference, a floor that knows nothing of the model, or neither.
    """

    name: str
    cells: tuple[Cell, ...]
    subject: str = ""
    kind: Literal["reference", "floor", ""] = ""


@dataclass(frozen=True)
class Table:
    """One table, which `softcam.report.table_files` writes as CSV, Markdown and LaTeX.

    Attributes:
        key: Its anchor and its label.
        title: Its heading.
        caption: How it was measured and how it is read, in sentences.
        corner: Head of the names.
        columns: The other columns.
        rows: Its rows.
        notes: What else a reader must know, one sentence each; they stand below it.
        grouped: Whether LaTeX sets each subject as a heading over its rows.
        subject: What the subjects are, for the head of their column in CSV.
    """

    key: str
    title: str
    caption: str
    corner: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    grouped: bool = True
    subject: str = "subject"

    def numeric(self) -> list[bool]:
        """Tell of every column whether it stands to the right."""
        if not self.rows:
            return [True] * len(self.columns)
        return [cell.numeric for cell in self.rows[0].cells]


def figure(value: float, digits: int = 3) -> Cell:
    """Give the cell of a number."""
    return Cell(number(value, digits), numbers=(value,))


def measured(interval: Interval, digits: int = 3, *, ends: int = 2, best: bool = False) -> Cell:
    """Give the cell of a value with its interval.

    Args:
        interval: The value.
        digits: Digits behind the point of the value.
        ends: The same of the interval's ends.
        best: Whether to set it in bold.
    """
    numbers = (interval.value, interval.low, interval.high)
    return Cell(number(interval.value, digits), span(interval, ends), best, numbers=numbers)


def p_value(value: float) -> Cell:
    """Give the cell of a p-value: three digits, or `<0.001`."""
    text = "<0.001" if value < 0.001 else number(value)
    return Cell(text, numbers=(value,))


def number(value: float, digits: int = 3) -> str:
    """Write a number with fixed digits, or with a power of ten where they would hide it.

    Args:
        value: Any number; NaN gives "n/a".
        digits: Digits behind the point.
    """
    if math.isnan(value):
        return "n/a"
    size = abs(value)
    if math.isinf(value) or size >= 10_000 or 0 < size < 0.5 * 10**-digits:
        return f"{value:.2g}"
    return f"{round(value, digits) + 0.0:.{digits}f}"


def span(interval: Interval, least: int = 2) -> str:
    """Write an interval's ends as ``[0.21, 0.30]``, with a third digit where two look the same.

    Args:
        interval: The value.
        least: Digits behind the point where the ends differ in them.
    """
    if math.isnan(interval.value):
        return ""
    if math.isnan(interval.low):
        return "[n/a]"
    ends = (interval.low, interval.high)
    digits = least if f"{ends[0]:.{least}f}" != f"{ends[1]:.{least}f}" else 3
    # Adding zero takes the sign from what was rounded to it. Ends that fixed digits would hide
    # or spread get a power of ten, but no single end does: 0.00 beside 0.11 reads well.
    if 0.5 * 10**-digits <= max(abs(end) for end in ends) < 10_000 or ends == (0.0, 0.0):
        low, high = (f"{round(end, digits) + 0.0:.{digits}f}" for end in ends)
    else:
        low, high = (number(end, digits) for end in ends)
    return f"[{low}, {high}]"
