import asyncio

import pytest
from starlette.requests import Request

from softcam.web.body import read_body
from softcam.web.refusals import Refusal

TOO_LARGE = Refusal(413, "too_large", "The body is too large.")


def read(pieces, *, announced=None, seconds=5.0, most=8, count=None, gone=False, wait=0.0):
    """Read a body that comes in pieces; give it, and how many pieces were asked for."""
    asked = 0

    async def receive():
        nonlocal asked
        await asyncio.sleep(wait)
        asked += 1
        if asked > len(pieces):
            return {"type": "http.disconnect"}
        more = gone or asked < len(pieces)
        return {"type": "http.request", "body": pieces[asked - 1], "more_body": more}

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    request = Request({"type": "http", "headers": headers}, receive)
    try:
        body = asyncio.run(read_body(request, seconds, most, TOO_LARGE, count))
    except Refusal as refusal:
        return refusal.code, asked
    return bytes(body), asked


def test_a_body_comes_whole_and_its_pieces_are_counted():
    counted = []
    assert read([b"abc", b"", b"defgh"], count=counted.append) == (b"abcdefgh", 3)
    assert sum(counted) == 8


@pytest.mark.parametrize(("announced", "asked"), [(9, 0), (None, 2), (3, 2)])
def test_a_body_that_is_too_large_is_refused_as_soon_as_it_shows(announced, asked):
    counted = []
    found = read([b"abcde", b"fghi", b"j"], announced=announced, count=counted.append)
    assert found == ("too_large", asked)
    assert sum(counted) <= 8


def test_a_slow_body_and_one_that_breaks_off_are_refused():
    assert read([b"a", b"b"], seconds=0.02, wait=0.2)[0] == "slow_body"
    assert read([b"a", b"b"], gone=True)[0] == "gone"


def test_what_the_count_refuses_is_not_kept():
    def full(count):
        raise Refusal(503, "busy", "Too much is in memory.")

    assert read([b"a"], count=full) == ("busy", 1)
