"""Requests as bytes, and what must come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.fuzz.whole import Whole

_BOUNDARY = b"softcamfuzz"
FORM = b"multipart/form-data; boundary=" + _BOUNDARY
ID = b"ID-OF-THE-SAVED-CASE"
"""Stands in an address for the id that the answer to the request before gave."""


@dataclass(frozen=True)
class Asked:
    """A request as it goes over the connection.

    Attributes:
        kind: What is wrong with it, for the counts.
        pieces: What is sent, with a pause before all but the first.
        pause: Seconds between the pieces.
        leave: Whether the client goes without reading the answer.
        statuses: Those that it must be answered with, the first being the one hoped for; none for
            any but a failure.
        tells: Values that the answer's JSON must hold.
        content: What the answer's body must be.
        then: What is asked afterwards, if the answer is as it must; it gives the id that is put in
            the place of `ID`.
        race: Whether that is asked all at once: exactly one must be answered with 200.
    """

    kind: str
    pieces: tuple[bytes, ...]
    pause: float = 0.0
    leave: bool = False
    statuses: tuple[int, ...] = ()
    tells: tuple[tuple[str, object], ...] = ()
    content: bytes | None = None
    then: tuple[Asked, ...] = ()
    race: bool = False


def part(data: bytes, name: bytes = b"file", more: bytes = b'; filename="a.png"') -> bytes:
    """A part of a form."""
    head = b'Content-Disposition: form-data; name="' + name + b'"' + more
    return b"--" + _BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


END = b"--" + _BOUNDARY + b"--\r\n"


def request(
    body: bytes,
    *,
    target: bytes = b"/v1/predict",
    method: bytes = b"POST",
    kind: bytes = FORM,
    length: int | None = None,
    headers: bytes = b"",
    host: bytes = b"localhost",
) -> bytes:
    """A request that asks for its connection to be closed after it."""
    size = len(body) if length is None else length
    lines = [
        method + b" " + target + b" HTTP/1.1",
        b"Host: " + host,
        b"Connection: close",
        b"Content-Type: " + kind,
        b"Content-Length: " + str(size).encode(),
    ]
    return b"\r\n".join(lines) + b"\r\n" + headers + b"\r\n" + body


Maker = Callable[[np.random.Generator, dict[str, Whole]], Asked]
