"""Saved cases as a table that spreadsheets open without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from softcam.web.cases_schemas import CaseOut

_COLUMNS = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN = (
    "id", "created", "updated", "revision", "label", "reader", "verdict", "comment",
)  # fmt: skip
_ABOUT = (
    "model", "model_digest", "model_version", "sha256", "frame", "width", "height", "folder_id",
    "has_image",
)  # fmt: skip


def class_names(batches: Iterable[Sequence[CaseOut]]) -> list[str]:
    """Give the classes that get a column of their own.

    Args:
        batches: All cases, some at a time.

    Returns:
        The classes in the order in which they occur; at most 1000, since each lengthens every row.
    """
    names: dict[str, None] = {}
    for cases in batches:
        for case in cases:
            for name in case.probabilities:
                if name not in names:
                    if len(names) == _COLUMNS:
                        return list(names)
                    names[name] = None
    return list(names)


def to_csv(batches: Iterable[Sequence[CaseOut]], names: Sequence[str]) -> Iterator[str]:
    """Write cases as CSV.

    Several classes of a cell are joined by "; ". A text that a spreadsheet would take for a formula
    gets an apostrophe in front, as it has when somebody types it in as text.

    Args:
        batches: The cases in the order shown, some at a time.
        names: The classes whose probabilities have a column, see `class_names`; those of others
            share one.

    Yields:
        The heads, then one row for each case of a batch.
    """
    heads = [f"probability: {name}" for name in names]
    yield _lines([[*_PLAIN, "called", "correct", *heads, "other probabilities", *_ABOUT]])
    known = frozenset(names)
    for cases in batches:
        yield _lines(_row(case, names, known) for case in cases)


def _row(case: CaseOut, names: Sequence[str], known: frozenset[str]) -> list[str]:
    others = [
        f"{name}: {value!r}" for name, value in case.probabilities.items() if name not in known
    ]
    return [
        *(_cell(getattr(case, name)) for name in _PLAIN),
        _cell("; ".join(case.called)),
        _cell("; ".join(case.correct)),
        *(_cell(case.probabilities.get(name)) for name in names),
        _cell("; ".join(others)),
        *(_cell(getattr(case, name)) for name in _ABOUT),
    ]


def _lines(rows: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerows(rows)
    return stream.getvalue()


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return repr(value)
    # Line ends of all kinds stay inside a quoted cell; NUL ends a cell for some programs.
    text = value.replace("\0", "")
    return f"'{text}" if text.lstrip(" \xa0").startswith(_FORMULA) else text
