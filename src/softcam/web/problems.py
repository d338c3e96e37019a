"""What every route may answer besides what it is for, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from softcam.web.schemas import Problem

_SAID = {
    401: "The request does not carry the server's token.",
    403: "Another site's page asked.",
    404: "There is no such model, class, image or case.",
    408: "The body came too slowly.",
    409: "The case was changed meanwhile, or is about another image.",
    413: "The body, or the image, is too large.",
    415: "The body is no form, or the file no image that can be read.",
    421: "The server is not called so.",
    422: "The file or a parameter cannot be used.",
    431: "The address and the headers are too long.",
    429: "The client asks too often; Retry-After says when to go on.",
    503: "The server has too much to do, or is not ready; Retry-After says when to try again.",
    507: "The case log, or its disk, is full.",
}
_ALWAYS = (403, 421, 422, 429, 431, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the statuses that a route may turn requests away with.

    Args:
        *statuses: Those that only some routes have.
    """
    return {
        status: {"model": Problem, "description": _SAID[status]}
        for status in sorted({*_ALWAYS, *statuses})
    }
