"""What error messages quote of a file: short, and printable whatever the file holds."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

LONGEST = 200
"""Characters of a quoted value."""

_LISTED = 10

_QUOTES = reprlib.Repr()
_QUOTES.maxlevel = 2
_QUOTES.maxstring = _QUOTES.maxother = LONGEST // 2


def quoted(value: Any) -> str:
    """A value as Python writes it, cut where it is long, deep or holds itself.

    A few lines of YAML can stand for a list that its plain repr would need gigabytes for.
    """
    try:
        text = _QUOTES.repr(value)
    except ValueError:  # Python does not write out numbers of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def listed(names: Sequence[str]) -> str:
    """Names with commas between them, and no more than ten of many."""
    shown = ", ".join(printable(name) for name in names[:_LISTED])
    rest = len(names) - _LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown


def printable(text: object) -> str:
    """A text in one line, cut where it is long, and without what a terminal would obey."""
    line = " ".join(str(text).split())
    line = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)
    return line if len(line) <= LONGEST else line[:LONGEST] + "..."
