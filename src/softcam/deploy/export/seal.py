"""A digest inside a file, over all the rest of it: what was changed or damaged is noticed.

The digest finds damage and changes by accident or carelessness. It does not say who made a file:
whoever changes one on purpose can also write a new digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MARK = b"softcam-sha256:"
"""What stands in front of the digest's 64 hexadecimal digits."""

_EMPTY = b"0" * 64
_SEALED = re.compile(re.escape(MARK) + rb"([0-9a-f]{64})")

UNSEALED = (MARK + _EMPTY).decode()
"""The text to write into a file that is to be sealed, once."""


def seal(first: bytes, *others: bytes) -> bytes:
    """Fill in the digest of a file, or of several that belong together.

    Args:
        first: The content of the file that holds `UNSEALED`, exactly once.
        *others: The contents of further files.

    Returns:
        The first file's content with its digest.

    Raises:
        ValueError: If the mark is not there once.
    """
    place = _place(first)
    if place is None:
        raise ValueError("the content holds no place for a digest, or several")
    found = _digest(first, place, others)
    return first[:place] + found.encode() + first[place + 64 :]


def is_sealed(first: bytes) -> bool:
    """Tell whether a file holds one digest, right or wrong."""
    return _place(first) is not None


def seal_holds(first: bytes, *others: bytes) -> bool:
    """Tell whether files are as they were sealed.

    Args:
        first: The content of the file with the digest.
        *others: The contents of the further files, in the order in which they were sealed.
    """
    place = _place(first)
    if place is None:
        return False
    return first[place : place + 64] == _digest(first, place, others).encode()


def digest_of(first: bytes) -> str | None:
    """Give the digest that a file holds, or None."""
    place = _place(first)
    return None if place is None else first[place : place + 64].decode()


def _place(content: bytes) -> int | None:
    found = [match.start(1) for match in _SEALED.finditer(content)]
    return found[0] if len(found) == 1 else None


def _digest(first: bytes, place: int, others: Sequence[bytes]) -> str:
    """Hash the lengths and contents, with zeros where the digest stands."""
    total = hashlib.sha256()
    view = memoryview(first)
    total.update(len(first).to_bytes(8, "little"))
    total.update(view[:place])
    total.update(_EMPTY)
    total.update(view[place + 64 :])
    for content in others:
        total.update(len(content).to_bytes(8, "little"))
        total.update(content)
    return total.hexdigest()
