"""A short run of hostile requests in the ordinary suite; `make fuzz-web` is the long one."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.hostile import KINDS, make
from tests.fuzz.messages import Asked
from tests.fuzz.requests import bombard, send
from tests.fuzz.whole import whole_images

COUNT = 150
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory and files are read from /proc"
)


@needs_proc
@pytest.mark.timeout(240)
def test_hostile_requests_are_answered_and_harm_nothing() -> None:
    run = bombard(COUNT, 0)
    assert run.wrong == []
    assert len(run.answers) >= COUNT
    statuses = Counter(item.status for item in run.answers)
    # Neither a server that takes all nor one that takes nothing would pass.
    assert statuses[200] > COUNT // 20
    assert {201, 204, 400, 404, 405, 409, 413, 415, 421, 422} <= set(statuses)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_hostile_requests_harm_nothing() -> None:
    assert bombard(10_000, 1).wrong == []


def test_the_same_seed_makes_the_same_requests_of_every_kind() -> None:
    images = whole_images()
    first = [make(3, number, images) for number in range(300)]
    assert first == [make(3, number, images) for number in range(300)]
    assert len({asked.kind for asked in first}) == len(KINDS)


def answers_to(asked: list[Asked], said: list[bytes]) -> list[str]:
    """What is found bad where each request in turn gets what is said."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            for data in said:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(data)

        thread = threading.Thread(target=answer)
        thread.start()
        port = listening.getsockname()[1]
        found = [answer.bad for item in asked for answer in send(port, item)]
        thread.join()
    return found


GET = (b"GET / HTTP/1.1\r\n\r\n",)


def test_an_answer_that_must_not_be_is_noticed() -> None:
    said = [
        b"HTTP/1.1 500 Oops\r\n\r\n",
        b"HTTP/1.1 404 No\r\n\r\nnothing",
        b"HTTP/1.1 204 ok\r\n\r\n",
        b'HTTP/1.1 200 ok\r\n\r\n{"comment": "other"}',
        b"HTTP/1.1 200 ok\r\n\r\nimag",
    ]
    asked = [
        Asked("test", GET),
        Asked("test", GET),
        Asked("test", GET, statuses=(200,)),
        Asked("test", GET, tells=(("comment", "mine"),)),
        Asked("test", GET, content=b"image"),
    ]
    found = answers_to(asked, said)
    assert found[0] == "status 500"
    assert found[1] == "status 404 without a reason"
    assert found[2].startswith("status 204 is none of (200,)")
    assert found[3] == "comment came back as 'other', not 'mine'"
    assert found[4] == "4 other bytes came back than the 5 saved"


@pytest.mark.parametrize(("statuses", "taken"), [((200, 409), 1), ((200, 200), 2), ((409, 409), 0)])
def test_of_concurrent_changes_one_must_be_taken(statuses: tuple[int, int], taken: int) -> None:
    change = Asked("test", (b"PUT /ID-OF-THE-SAVED-CASE HTTP/1.1\r\n\r\n",))
    asked = Asked("test", GET, statuses=(201,), then=(change, change), race=True)
    said = [b'HTTP/1.1 201 ok\r\n\r\n{"id": "12"}']
    said += [b'HTTP/1.1 %d ok\r\n\r\n{"reason":"a"}' % status for status in statuses]
    wrong = [text for text in answers_to([asked], said) if text]
    assert wrong == ([] if taken == 1 else [f"{taken} of 2 concurrent changes were taken"])
