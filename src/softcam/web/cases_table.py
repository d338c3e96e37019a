"""Saved cases as a table that spreadsheets open without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from softcam.web.cases_schemas import CaseOut

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN = (
    "id", "created", "updated", "revision", "label", "reader", "verdict", "comment",
)  # fmt: skip
_ABOUT = (
    "model", "model_digest", "model_version", "sha256", "frame", "width", "height", "folder_id",
    "has_image",
)  # fmt: skip


def to_csv(cases: Sequence[CaseOut]) -> str:
    """Write cases as CSV.

    Several classes of a cell are joined by "; ". A text that a spreadsheet would take for a formula
    gets an apostrophe in front, as it has when somebody types it in as text.

    Args:
        cases: The cases, in the order shown.

    Returns:
        One row for each case; the probability of each class that occurs has a column.
    """
    names = list(dict.fromkeys(name for case in cases for name in case.probabilities))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    heads = [f"probability: {name}" for name in names]
    writer.writerow([*_PLAIN, "called", "correct", *heads, *_ABOUT])
    for case in cases:
        writer.writerow(
            [
                *(_cell(getattr(case, name)) for name in _PLAIN),
                _cell("; ".join(case.called)),
                _cell("; ".join(case.correct)),
                *(_cell(case.probabilities.get(name)) for name in names),
                *(_cell(getattr(case, name)) for name in _ABOUT),
            ]
        )
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
