"""Every request passes here: checked before, bounded in time, its answer given safe headers."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softcam.web.limits import Limits
from softcam.web.metrics import Measured
from softcam.web.rate import RateLimiter
from softcam.web.refusals import Refusal
from softcam.web.security import DATA_POLICY, HEADERS, Guard, is_public

_LOG = logging.getLogger("softcam.web")
LONGEST_HEAD = 16 << 10
"""Bytes of a request's address and headers; the connection bounds what comes in pieces."""

HELD = "softcam.held"
"""What a request holds until its answer is sent, in its scope: an ExitStack."""

_SLACK = 1 << 20  # beyond what any route takes
_UNCOUNTED = ("/healthz", "/readyz")


class Gate:
    """ASGI middleware around everything.

    Args:
        app: What answers.
        guard: Checks host, origin and token.
        limits: Rate and seconds.
        measured: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, guard: Guard, limits: Limits, measured: Measured) -> None:
        self._app = app
        self._guard = guard
        self._seconds = limits.request_seconds
        self._longest = limits.body + _SLACK
        self._rate = RateLimiter(limits.rate, limits.burst)
        self._measured = measured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        status = 0
        held = scope[HELD] = ExitStack()

        taken = 0

        async def bounded() -> Message:
            # Routes bound their bodies by themselves; this is for one that forgets.
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._longest:
                raise Refusal(413, "too_large", "The body is too large; send less.")
            return message

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            try:
                async with asyncio.timeout(self._seconds) as deadline:
                    self._check(scope)
                    await self._app(scope, bounded, guarded)
            except TimeoutError:
                if not deadline.expired():
                    raise
                if status:
                    return  # half an answer is sent: the connection is closed
                raise Refusal(
                    503,
                    "deadline",
                    f"The answer took more than {self._seconds:g} seconds; try again later.",
                    headers={"Connection": "close"},
                ) from None
        except Refusal as refusal:
            self._measured.refusals.labels(refusal.code).inc()
            if status:
                return  # half an answer is sent, as above
            await refusal.response()(scope, receive, guarded)
        except Exception as error:
            # Not what the exception says, which may hold a patient's data.
            last = traceback.extract_tb(error.__traceback__)[-1]
            _LOG.error("failed with %s at %s:%s", type(error).__name__, last.filename, last.lineno)
            if not status:
                reason = "The server failed at this; its log says where."
                await Refusal(500, "failed", reason).response()(scope, receive, guarded)
        finally:
            held.close()
            route = getattr(scope.get("route"), "path", "other")
            self._measured.answered(route, status, time.perf_counter() - begun)

    def _check(self, scope: Scope) -> None:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["raw_path"] or b"") + len(scope["query_string"]) > LONGEST_HEAD:
            raise Refusal(
                431,
                "head_too_large",
                f"The address and the headers are longer than {LONGEST_HEAD} bytes; shorten them.",
                headers={"Connection": "close"},
            )
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        self._guard.check_host(hosts)
        path = scope["path"]
        # Other sites may link to the page.
        site = "" if is_public(path) else headers.get("sec-fetch-site", "")
        self._guard.check_origin(hosts[0], headers.getlist("origin"), site)
        if path in _UNCOUNTED:
            return
        client = scope.get("client") or ("", 0)
        wait = self._rate.wait(client[0])
        if wait > 0:
            raise Refusal(
                429,
                "too_many_requests",
                "You ask too often; wait as long as Retry-After says.",
                headers={"Retry-After": str(int(wait) + 1)},
            )
        if not is_public(path):
            self._guard.check_token(headers.getlist("authorization"))


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    _default(headers, [("Content-Security-Policy", DATA_POLICY), ("Cache-Control", "no-store")])


def _default(headers: MutableHeaders, values: Sequence[tuple[str, str]]) -> None:
    for name, value in values:
        headers.setdefault(name, value)
