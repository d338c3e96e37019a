"""Answers that are sent in pieces, so that one which nobody reads does not pile up in memory."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_PIECE = 256 << 10


class Pieces(Response):
    """A whole answer, sent piece by piece.

    The server waits before a piece until the client has taken in most of what went before; given in
    one, all of it would wait outside the request's deadline.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        body = memoryview(bytes(self.body))
        for place in range(0, len(body), _PIECE):
            piece = bytes(body[place : place + _PIECE])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
