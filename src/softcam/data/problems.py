"""Collect what is wrong with a file's rows, so that a user mends them all in one go."""

from __future__ import annotations

from softcam.errors import InputError

SHOWN = 10
"""How many problems one message spells out; the rest are counted."""


class Problems:
    """The bad rows of one file, raised together as one `InputError`.

    Args:
        source: The file that the rows come from, as the message shall name it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[tuple[str, str]] = []

    def add(self, where: str, text: str) -> None:
        """Note a problem.

        Args:
            where: The row ("row 7") or the file that is bad.
            text: What is wrong and what to do, without a full stop.
        """
        self._found.append((where, text))

    def __len__(self) -> int:
        return len(self._found)

    def raise_any(self) -> None:
        """Raise one error that lists the problems, if there are any.

        Raises:
            InputError: Names the file and up to ten rows, and counts the others.
        """
        if not self._found:
            return
        if len(self._found) == 1:
            where, text = self._found[0]
            raise InputError(f"{self._source}, {where}: {text}.")
        lines = "; ".join(f"{where}: {text}" for where, text in self._found[:SHOWN])
        rest = len(self._found) - SHOWN
        tail = f"; and {rest} more" if rest > 0 else ""
        raise InputError(f"{self._source} has {len(self._found)} problems: {lines}{tail}.")
