from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest

from softcam.errors import InputError
from softcam.web.models import serve_predictor
from softcam.web.server import open_socket
from softcam.web.settings import Settings
from tests.web.conftest import LIMITS, Blocks, form, png
from tests.web.live import everything, serving, talk

QUICK = replace(LIMITS, header_seconds=1.0, body_seconds=1.0, body=200_000, connections=20)
HEAD = b"Host: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"


@pytest.fixture(scope="module")
def port():
    with serving(Settings(limits=QUICK)) as made:
        yield made


def answer_of(raw: bytes) -> tuple[int, dict]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_a_file_is_answered_over_a_real_connection(port):
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url) as client:
        for _ in range(3):  # on one connection
            image = png(np.zeros((20, 30), np.uint8))
            answer = client.post("/v1/predict", files=form(image))
            assert (answer.status_code, answer.json()["predicted"]) == (200, ["plain"])
        assert client.get("/readyz").json() == {"status": "ok"}


def test_a_head_that_comes_slowly_is_cut_off(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        begun = time.monotonic()
        try:
            for (
                letter
            ) in b"GET / HTTP/1.1\r\nHost: localhost\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb":
                sock.sendall(bytes([letter]))
                time.sleep(0.1)
        except OSError:
            pass
        assert everything(sock) == b""
        assert time.monotonic() - begun < 5


def test_a_connection_that_says_nothing_is_closed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        assert everything(sock) == b""


def test_a_body_that_comes_slowly_gets_408(port):
    request = b"POST /v1/predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000\r\n\r\n--b\r\n"
    status, said = answer_of(talk(port, request))
    assert (status, said["code"]) == (408, "slow_body")


def test_a_body_that_is_cut_off_harms_nobody(port):
    request = b"POST /v1/predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000\r\n\r\n--b\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(request)
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_a_body_that_is_too_large_gets_413_also_while_it_is_sent(port):
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/predict", files=form(bytes(3_000_000)))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_after_a_refusal_a_body_without_end_is_cut_off(port):
    request = b"POST /v1/predict HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(request)
        try:
            while time.monotonic() - begun < 8:
                sock.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        except OSError:
            pass
    assert time.monotonic() - begun < 6


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    ],
)
def test_what_is_no_http_gets_400_with_a_reason(port, request_):
    status, said = answer_of(talk(port, request_))
    # A head that comes as a whole is read before it is found too long.
    assert (status, said["code"]) in ((400, "bad_request"), (431, "head_too_large"))


def test_more_connections_than_allowed_are_told_so_and_the_rest_go_on(port):
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(QUICK.connections)]
    time.sleep(0.2)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            status, said = answer_of(everything(sock))
        assert (status, said["code"]) == (503, "busy")
    finally:
        for sock in held:
            sock.close()
    time.sleep(0.2)
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_a_request_over_its_deadline_gets_503():
    blocks = Blocks()
    with serving(
        Settings(limits=replace(QUICK, request_seconds=0.7)), serve_predictor("slow", blocks)
    ) as own:
        blocks.gate.clear()
        image = png(np.zeros((20, 30), np.uint8))
        try:
            answer = httpx.post(f"http://127.0.0.1:{own}/v1/predict", files=form(image))
        finally:
            blocks.gate.set()
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline")


def test_an_answer_that_nobody_reads_is_given_up():
    limits = replace(QUICK, request_seconds=6.0, body=9 << 20)
    noise = np.random.default_rng(0).integers(0, 255, (1600, 1600, 3), np.uint8)
    with serving(Settings(limits=limits)) as own:
        url = f"http://127.0.0.1:{own}"
        body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        body += png(noise) + b"\r\n--b--\r\n"
        head = b"POST /v1/predict?image=shown HTTP/1.1\r\n" + HEAD
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", own))
            sock.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert sock.recv(12) == b"HTTP/1.1 200"
            end = time.monotonic() + 20
            while time.monotonic() < end:
                told = httpx.get(url + "/metrics").text
                if "softcam_pending_requests 0.0" in told:
                    break
                time.sleep(0.1)
            assert "softcam_pending_bytes 0.0" in told
            sock.settimeout(10)
            assert len(everything(sock)) < 10_000_000  # cut off: the answer is larger


def test_more_than_the_queue_holds_get_503_at_once_and_the_rest_an_answer():
    blocks = Blocks()
    limits = replace(QUICK, queue=3)
    with serving(Settings(limits=limits), serve_predictor("slow", blocks)) as own:
        blocks.gate.clear()
        image = png(np.zeros((20, 30), np.uint8))
        url = f"http://127.0.0.1:{own}/v1/predict"

        def ask(number: int) -> int:
            status = httpx.post(url, files=form(image), timeout=20).status_code
            if status == 503:
                seen.append(number)
            if len(seen) >= 5:
                blocks.gate.set()
            return status

        seen: list[int] = []
        with ThreadPoolExecutor(8) as threads:
            statuses = list(threads.map(ask, range(8)))
    assert sorted(statuses) == [200] * 3 + [503] * 5


def test_one_client_that_asks_too_often_gets_429_with_the_time_to_wait():
    with serving(Settings(limits=replace(QUICK, rate=0.5, burst=3))) as own:
        url = f"http://127.0.0.1:{own}/v1/models"
        answers = [httpx.get(url) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert httpx.get(f"http://127.0.0.1:{own}/healthz").status_code == 200


def test_the_log_holds_nothing_of_a_request(caplog):
    class Failing(Blocks):
        def predict(self, batch):
            if batch.any():
                raise RuntimeError("Jane Doe")
            return super().predict(batch)

    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.CRITICAL)
    logging.getLogger("httpcore").setLevel(logging.CRITICAL)
    with serving(Settings(limits=QUICK), serve_predictor("failing", Failing())) as own:
        image = png(np.full((20, 30), 200, np.uint8))
        answer = httpx.post(
            f"http://127.0.0.1:{own}/v1/predict?model=failing",
            files=form(image, "Jane Doe.png"),
            headers={"X-Patient": "Jane Doe"},
        )
        httpx.get(f"http://127.0.0.1:{own}/Jane%20Doe")
        talk(own, b"GET /Jane Doe HTTP/1.1\r\n\r\n")
    assert (answer.status_code, answer.json()["code"]) == (503, "model_failed")
    assert "failed with RuntimeError" in caplog.text
    assert "Jane" not in caplog.text


def test_a_port_in_use_and_a_strange_host_are_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="is in use"):
            open_socket("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="--host"):
        open_socket("203.0.113.7", 0)
    with pytest.raises(InputError, match="--host"):
        open_socket("no such name", 0)


SCRIPT = """
import sys
from softcam.web.models import serve_predictor
from softcam.web.server import serve
from softcam.web.settings import Settings
from tests.web.conftest import LIMITS, Blocks
serve({"a": serve_predictor("a", Blocks())}, Settings(port=0, limits=LIMITS),
      lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


def test_it_stops_cleanly_on_sigterm_and_leaves_no_process():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().strip()
        assert httpx.get(url + "/readyz").status_code == 200
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out.strip(), err) == (0, "stopped", "")
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)


def test_a_server_of_exported_models_needs_no_torch():
    code = "import sys, softcam.web.server; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
