"""What a table says, row by row, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from softcam.data.csvfile import open_csv
from softcam.data.spec import PartialSpec
from softcam.data.wording import listed, quoted
from softcam.errors import InputError
from softcam.evidence.info import Task

COLUMNS = ("image", "label", "split", "patient")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One image, in the table's own words.

    Attributes:
        row: Line of the table, or the image's number in a class-folder layout.
        image: The image as written.
        label: The label as written; None when the table has none.
        flags: The cells of a multi-label table's class columns.
        split: The split as written, or empty.
        patient: The patient as written, or empty.
        named: How error messages name the row, if not by its number.
    """

    row: int
    image: str
    label: str | None = None
    flags: tuple[str, ...] = ()
    split: str = ""
    patient: str = ""
    named: str = ""

    @property
    def where(self) -> str:
        """How error messages name the row."""
        return self.named or f"row {self.row}"


@dataclass(frozen=True)
class RawTable:
    """The rows of a table or of a class-folder layout.

    Attributes:
        path: The table, or the folder.
        rows: At least one row.
        flag_columns: The classes that a multi-label table has columns for.
        labelled: Whether the rows have labels or flags.
        notes: What was left out.
    """

    path: Path
    rows: tuple[RawRow, ...]
    flag_columns: tuple[str, ...] = ()
    labelled: bool = True
    notes: tuple[str, ...] = ()


def read_rows(path: Path, partial: PartialSpec, *, require_labels: bool) -> RawTable:
    """Read a `table.csv`.

    Args:
        path: The table.
        partial: What `dataset.yaml` says.
        require_labels: Whether a table without labels is an error.

    Returns:
        Its rows.

    Raises:
        InputError: It is no table, has no row, or lacks the image column or the labels.
    """
    columns, lines = open_csv(path, COLUMNS)
    if "image" not in columns:
        raise InputError(
            f"{path} has no column 'image' (its columns are {listed(columns)}); name one "
            "so in the first line."
        )
    flags = _flag_columns(path, columns, partial, require_labels=require_labels)
    labelled = bool(flags) or "label" in columns
    used = set(flags) | (set(COLUMNS) - {"label"} if flags else set(COLUMNS))
    ignored = [column for column in columns if column not in used]
    notes = []
    if ignored:
        shown = ", ".join(quoted(column) for column in ignored[:5])
        more = f" and {len(ignored) - 5} more" if len(ignored) > 5 else ""
        notes.append(f"{len(ignored)} column(s) of the table are not used: {shown}{more}")
    rows = tuple(
        RawRow(
            row=row.line,
            image=row.cells["image"],
            label=None if flags else row.cells.get("label"),
            flags=tuple(row.cells[column] for column in flags),
            split=row.cells.get("split", ""),
            patient=row.cells.get("patient", ""),
        )
        for row in lines
    )
    if not rows:
        raise InputError(f"{path} has a header but no rows; add a row per image.")
    return RawTable(path, rows, flags, labelled, tuple(notes))


def _flag_columns(
    path: Path, columns: tuple[str, ...], partial: PartialSpec, *, require_labels: bool
) -> tuple[str, ...]:
    """The class columns of a multi-label table; empty when it has a label column."""
    rest = tuple(column for column in columns if column and column not in COLUMNS)
    missing = [name for name in partial.classes if name not in columns]
    if partial.task is Task.MULTILABEL:
        if partial.classes and not missing:
            return partial.classes
        if not partial.classes and rest:
            return rest
        if not require_labels:
            return ()
        lacks = quoted(missing[0]) if missing else "any class"
        raise InputError(
            f"{path} has no column for {lacks}; a multi-label table needs one 0/1 column per class."
        )
    if "label" in columns or not require_labels:
        return ()
    if partial.task is None and partial.classes and not missing:
        return partial.classes
    raise InputError(
        f"{path} has no column 'label'; add one, or for several labels per image write "
        "`task: multilabel` into dataset.yaml and give one 0/1 column per class."
    )
