"""A short run of hostile requests in the ordinary suite; `make fuzz-web` is the long one."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.requests import KINDS, Asked, bombard, make, send
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
    assert len(run.answers) == COUNT
    statuses = Counter(item.status for item in run.answers)
    # Neither a server that takes all nor one that takes nothing would pass.
    assert statuses[200] > COUNT // 20
    assert {400, 404, 413, 415, 421, 422} <= set(statuses)


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


def test_an_answer_that_must_not_be_is_noticed() -> None:
    said = (
        b"HTTP/1.1 500 Oops\r\n\r\n",
        b"HTTP/1.1 404 No\r\n\r\nnothing",
        b"HTTP/1.1 204 ok\r\n\r\n",
    )
    found = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            for data in said:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(data)

        thread = threading.Thread(target=answer)
        thread.start()
        for good in (False, False, True):
            asked = Asked("test", (b"GET / HTTP/1.1\r\n\r\n",), good=good)
            found.append(send(listening.getsockname()[1], asked).bad)
        thread.join()
    assert found[0] == "status 500"
    assert found[1] == "status 404 without a reason"
    assert found[2].startswith("good, but status 204")
