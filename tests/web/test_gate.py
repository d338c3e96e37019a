from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from softcam.web.gate import HELD, LONGEST_HEAD, Gate
from softcam.web.limits import Limits
from softcam.web.metrics import Measured
from softcam.web.refusals import Refusal
from softcam.web.security import Guard
from softcam.web.settings import Settings


class Thing:
    held = 0

    def __enter__(self) -> None:
        self.held += 1

    def __exit__(self, *_: object) -> None:
        self.held -= 1


@pytest.fixture
def thing():
    return Thing()


@pytest.fixture
def client(thing):
    async def fail(request: Request) -> Response:
        request.scope[HELD].enter_context(thing)
        raise KeyError("Jane Doe")

    async def hold(request: Request) -> Response:
        request.scope[HELD].enter_context(thing)
        return PlainTextResponse(str(thing.held))

    async def late(request: Request) -> Response:
        raise TimeoutError("of its own")

    async def half(request: Request) -> Response:
        def parts():
            yield "half"
            raise Refusal(503, "cases_unavailable", "It broke meanwhile.")

        return StreamingResponse(parts())

    async def read(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    routes = [Route("/read", read, methods=["POST"])]
    routes.append(Route("/half", half))
    app = Router(routes=[Route("/fail", fail), Route("/hold", hold), Route("/late", late), *routes])
    gate = Gate(app, Guard(Settings()), Limits(rate=1e6, burst=1000, body=1 << 20), Measured())
    return TestClient(gate, base_url="http://localhost")


def test_a_defect_is_answered_without_what_it_says_and_logged_by_its_place(client, caplog):
    answer = client.get("/fail")
    assert (answer.status_code, answer.json()["code"]) == (500, "failed")
    assert answer.headers["cache-control"] == "no-store"
    assert "KeyError at" in caplog.text
    assert "Jane" not in answer.text + caplog.text


def test_a_timeout_of_a_part_is_a_defect_and_no_deadline(client):
    assert client.get("/late").json()["code"] == "failed"


def test_what_a_request_holds_is_given_back_after_its_answer(client, thing):
    assert client.get("/hold").text == "1"
    assert thing.held == 0
    client.get("/fail")
    assert thing.held == 0


def test_a_head_that_is_too_long_is_refused(client):
    assert client.get("/hold", headers={"X-A": "a" * (LONGEST_HEAD - 1000)}).status_code == 200
    for answer in (
        client.get("/hold", headers={"X-A": "a" * LONGEST_HEAD}),
        client.get("/hold?" + "a" * LONGEST_HEAD),
    ):
        assert (answer.status_code, answer.json()["code"]) == (431, "head_too_large")


def test_no_route_reads_more_than_any_may(client):
    assert client.post("/read", content=bytes(1 << 20)).text == str(1 << 20)
    answer = client.post("/read", content=bytes(5 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_refusal_in_the_middle_of_an_answer_adds_no_second_one(client):
    answer = client.get("/half")
    assert (answer.status_code, answer.text) == (200, "half")
