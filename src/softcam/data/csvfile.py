"""A CSV file to rows of named cells, with the line that each row starts on."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from softcam.data.problems import Problems
from softcam.data.wording import printable, quoted
from softcam.errors import InputError

_LONGEST = 4096
"""Characters of a cell; the longest path that Linux allows."""

# A CSV file's rows end at these alone, unlike str.splitlines(); a file object over the text, which
# knows that too, would hold it once more, at four bytes a sign.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_MAX_SHARED = 4096


class _Cells(Mapping[str, str]):
    """A row's cells by column name; a dict for each row would take most of a table's memory."""

    __slots__ = ("_places", "_texts")

    def __init__(self, places: dict[str, int], texts: tuple[str, ...]) -> None:
        self._places = places
        self._texts = texts

    def __getitem__(self, column: str) -> str:
        return self._texts[self._places[column]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row.

    Attributes:
        line: Line of the file on which the row starts; the header is 1.
        cells: Column name to the cell's text, without surrounding spaces.
    """

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class CsvFile:
    """The rows of a file under its header.

    Attributes:
        columns: Column names in order, without surrounding spaces.
        rows: The rows that are not blank.
    """

    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]


def read_csv(path: Path, known: tuple[str, ...]) -> CsvFile:
    """Read a CSV file in UTF-8, with commas, or with semicolons when the header has them.

    Args:
        path: The file.
        known: Column names that are recognised however their case is written.

    Returns:
        Its columns and rows.

    Raises:
        InputError: The file is missing, is no UTF-8 text, has no header, names a column twice or
            oddly, or has rows that are longer or shorter than the header, or cells of more than
            4,096 characters.
    """
    columns, rows = open_csv(path, known)
    return CsvFile(columns, tuple(rows))


def open_csv(path: Path, known: tuple[str, ...]) -> tuple[tuple[str, ...], Iterator[CsvRow]]:
    """Read a CSV file as `read_csv` does, one row at a time.

    Args:
        path: The file.
        known: Column names that are recognised however their case is written.

    Returns:
        Its columns, and its rows; bad rows are left out and raised together after the last one.

    Raises:
        InputError: As `read_csv`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; correct the path or add the file.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as CSV in "
            "UTF-8."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    lines = _parse(path, text)
    header = next(lines, None)
    if header is None:
        raise InputError(f"{path} is empty; its first line must name the columns.")
    columns = tuple(_column(cell, known) for cell in header[1])
    for column, times in Counter(columns).items():
        if column and times > 1:
            raise InputError(
                f"{path} has two columns called {quoted(column)}; rename or remove one."
            )
        if len(column) > _LONGEST or not column.isprintable():
            raise InputError(
                f"{path} has a column called {quoted(column)}; its first line must name the "
                "columns, with commas or semicolons between them."
            )
    return columns, _rows(path, columns, lines)


def _rows(
    path: Path, columns: tuple[str, ...], lines: Iterator[tuple[int, list[str]]]
) -> Iterator[CsvRow]:
    problems = Problems(str(path))
    places = {column: place for place, column in enumerate(columns)}
    shared: dict[str, str] = {}
    for line, cells in lines:
        if len(cells) != len(columns):
            problems.add(
                f"row {line}",
                f"it has {len(cells)} cells where the header has {len(columns)}; put text that "
                "holds the separator in double quotes",
            )
            continue
        longest = max(cells, key=len)
        if len(longest) > _LONGEST:
            problems.add(
                f"row {line}",
                f"it has a cell of {len(longest)} characters, of which {_LONGEST} are allowed; "
                "look for a double quote that is not closed",
            )
            continue
        # Labels and splits repeat in every row: one string each will do.
        if len(shared) < _MAX_SHARED:
            texts = tuple(shared.setdefault(cell, cell) for cell in cells)
        else:
            texts = tuple(shared.get(cell, cell) for cell in cells)
        yield CsvRow(line, _Cells(places, texts))
    problems.raise_any()


def _parse(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with its line."""
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    # The csv module asks for line ends as they are, inside quoted cells too.
    lines = (match[0] for match in _LINE.finditer(text))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield start, stripped
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, row {start}: it is not valid CSV ({printable(error)})."
        ) from error


def _column(cell: str, known: tuple[str, ...]) -> str:
    return cell.lower() if cell.lower() in known else cell
