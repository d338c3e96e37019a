"""Rows to CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(*parts: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV with plain line ends, the same on every machine."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for rows in parts:
        writer.writerows(rows)
    return text.getvalue()
