"""The body of a request, in memory: bounded in bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from softcam.web.refusals import Refusal


async def read_body(
    request: Request,
    seconds: float,
    most: int,
    too_large: Refusal,
    count: Callable[[int], None] | None = None,
) -> bytearray:
    """Read a body.

    Args:
        request: The request.
        seconds: How long the whole may take.
        most: Bytes allowed.
        too_large: How a larger one is turned away: at once where its size is announced.
        count: Told the bytes of every piece before it is kept; it may turn the request away.

    Returns:
        The bytes.

    Raises:
        Refusal: `too_large`; 408 for a slow body, 422 where the client went away; what `count`
            raises.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > most:
                    raise too_large
                if count is not None:
                    count(len(chunk))
                body += chunk
    except TimeoutError:
        raise Refusal(
            408,
            "slow_body",
            f"The body did not come within {seconds:g} seconds; send it again.",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Refusal(422, "gone", "The body ended before it was whole; send it again.") from None
    return body
