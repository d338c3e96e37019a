"""A CSV file to rows of named cells, with the line that each row starts on."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from softcam.data.problems import Problems
from softcam.errors import InputError


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
        InputError: The file is missing, is no UTF-8 text, has no header or no rows, names a
            column twice, or has rows that are longer or shorter than the header.
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
    for column in columns:
        if column and columns.count(column) > 1:
            raise InputError(f"{path} has two columns called {column!r}; rename or remove one.")
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
        rows.append(CsvRow(line, dict(zip(columns, cells, strict=True))))
    problems.raise_any()
    return CsvFile(columns, tuple(rows))


def _parse(path: Path, text: str) -> list[tuple[int, list[str]]]:
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    # newline="" keeps line ends inside quoted cells, as the csv module asks for.
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    rows = []
    start = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((start, stripped))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, row {start}: it is not valid CSV ({error}).") from error
    return rows


def _column(cell: str, known: tuple[str, ...]) -> str:
    return cell.lower() if cell.lower() in known else cell
