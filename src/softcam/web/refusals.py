"""A request that is turned away: its status, a code for programs, a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """Turns a request away.

    No refusal repeats what the client sent: file names and headers may name a patient.

    Attributes:
        status: The HTTP status.
        code: One of the documented codes, for programs.
        reason: What is wrong and what to do, in a sentence.
        more: Further values of the answer.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        more: Mapping[str, int | None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.more = dict(more or {})
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """Give the answer."""
        content = {"code": self.code, "reason": self.reason, **self.more}
        return JSONResponse(content, status_code=self.status, headers=self.headers)


def busy(reason: str) -> Refusal:
    """The server has too much to do: 503, to be tried again in a second."""
    return Refusal(503, "busy", reason, headers={"Retry-After": "1"})
