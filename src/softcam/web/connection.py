"""Connections that cannot be held open by saying nothing, or nothing to the point."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from softcam.web.limits import Limits


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """Give the protocol of the server's connections.

    A connection on which no request is in work is cut off when none came within the limit's
    seconds: be it that the head of a request comes byte by byte, or that a body which was refused
    goes on. One whose client does not take in its answer is cut off after the seconds that a
    request has.

    Args:
        limits: Seconds, and the number of connections.
    """

    class BoundedProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None
        _idle_since = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self.send_400_response("too many")
                return
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP, has a head that is too long, or comes when all is taken."""
            status, code, reason = 400, "bad_request", "This is no HTTP/1.1 request."
            if msg == "too many":
                status, code, reason = 503, "busy", "There are too many connections; try later."
            content = json.dumps({"code": code, "reason": reason}).encode()
            headers: list[Any] = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(content)).encode()),
                (b"connection", b"close"),
            ]
            try:
                for event in (
                    h11.Response(status_code=status, headers=headers),
                    h11.Data(data=content),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            except h11.LocalProtocolError:
                pass  # an answer is under way, or was given: what followed it was no HTTP
            self.transport.close()

        def _watch(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._unwatch()
            elif self._deadline is None:
                self._idle_since = self.loop.time()
                self._deadline = self.loop.call_later(limits.header_seconds, self._give_up)

        def _unwatch(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._deadline = None
            idle = self.loop.time() - self._idle_since
            if self.transport.get_write_buffer_size() and idle < limits.request_seconds:
                self._deadline = self.loop.call_later(limits.header_seconds, self._give_up)
            else:
                self.transport.abort()  # closing would wait until the client has read all

    return BoundedProtocol
