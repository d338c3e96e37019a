"""A CSV file to rows of named cells, with the line that each row starts on."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from softcam.data.problems import Problems
from softcam.data.wording import printable, quoted
from softcam.errors import InputError

_LONGEST = 4096
"""Characters of a cell; the longest path that Linux allows."""


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
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = _parse(path, stream.read())
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; correct the path or add the file.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as CSV in "
            "UTF-8."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if not lines:
        raise InputError(f"{path} is empty; its first line must name the columns.")
    columns = tuple(_column(cell, known) for cell in lines[0][1])
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
    problems = Problems(str(path))
    rows = []
    for line, cells in lines[1:]:
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
        rows.append(CsvRow(line, dict(zip(columns, cells, strict=True))))
    problems.raise_any()
    return CsvFile(columns, tuple(rows))


def _parse(path: Path, text: str) -> list[tuple[int, list[str]]]:
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    # newline="" keeps line ends inside quoted cells, as the csv module asks for; splitlines would
    # end a row at signs that are no line ends in a CSV file, such as a form feed.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    start = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((start, stripped))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, row {start}: it is not valid CSV ({printable(error)})."
        ) from error
    return rows


def _column(cell: str, known: tuple[str, ...]) -> str:
    return cell.lower() if cell.lower() in known else cell
