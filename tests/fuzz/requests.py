"""A run of hostile requests against a server: none may fail it, hang it or fill its memory.

    python -m tests.fuzz.requests --count 10000 --seed 0

Requests are damaged files, bombs, forms that lie, heads that are too long, paths that lead out,
bodies that never end, and some good ones between them. Each must be answered or cut off within
seconds, no answer may be a 500, and the good ones must be answered well. Afterwards the server must
have the memory and the open files that it had after the first tenth. The same seed makes the same
requests. The exit code is 1 if any of this does not hold.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fuzz.damage import BOMBS, LYING, RANDOM, bomb
from tests.fuzz.whole import Whole, whole_images

SECONDS = 45.0
"""By the clock, in which a request must be answered or cut off, on a machine that is busy."""

GROWTH = 96 << 20
"""Bytes that the server and its processes may have more than after the first tenth."""

_FILES = 12  # that may be open more: connections that are closing
_ROOT = Path(__file__).parents[2]
_BOUNDARY = b"softcamfuzz"


@dataclass(frozen=True)
class Asked:
    """A request as it goes over the connection.

    Attributes:
        kind: What is wrong with it, for the counts.
        pieces: What is sent, with a pause before all but the first.
        pause: Seconds between the pieces.
        good: Whether it must be answered with 200.
        leave: Whether the client goes without reading the answer.
    """

    kind: str
    pieces: tuple[bytes, ...]
    pause: float = 0.0
    good: bool = False
    leave: bool = False


def part(data: bytes, name: bytes = b"file", more: bytes = b'; filename="a.png"') -> bytes:
    """A part of a form."""
    head = b'Content-Disposition: form-data; name="' + name + b'"' + more
    return b"--" + _BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


END = b"--" + _BOUNDARY + b"--\r\n"


def request(
    body: bytes,
    *,
    target: bytes = b"/v1/predict",
    method: bytes = b"POST",
    kind: bytes = b"multipart/form-data; boundary=" + _BOUNDARY,
    length: int | None = None,
    headers: bytes = b"",
    host: bytes = b"localhost",
) -> bytes:
    """A request that asks for its connection to be closed after it."""
    size = len(body) if length is None else length
    lines = [
        method + b" " + target + b" HTTP/1.1",
        b"Host: " + host,
        b"Connection: close",
        b"Content-Type: " + kind,
        b"Content-Length: " + str(size).encode(),
    ]
    return b"\r\n".join(lines) + b"\r\n" + headers + b"\r\n" + body


_BOMBS = [name for name, (suffix, _) in BOMBS.items() if suffix != ".nii.gz"]
_QUERIES = (
    "",
    "?maps=true&regions=both&image=shown",
    "?image=full",
    "?format=npz",
    "?frame=2",
    "?frame=1&threshold=0.5",
    "?regions=contrast&contrast=true",
    "?model=blocks",
    "?model=%00",
    "?frame=999999999999999999999",
    "?threshold=1e999",
    "?class=%ff%fe&format=png",
    "?" + "a=b&" * 500,
    "?model=" + "x" * 5000,
    "?frame=1&frame=2&frame[]=3",
    "?format=../../etc/passwd",
)
_PATHS = (
    "/../../../etc/passwd",
    "/static/../../../../etc/passwd",
    "/static/..%2f..%2f..%2fetc%2fpasswd",
    "/static/%2e%2e/%2e%2e/app.py",
    "/static//etc/passwd",
    "/static/..\\..\\windows\\win.ini",
    "/v1/folder/../../etc/passwd/predict",
    "/v1/folder/%2e%2e%2f%2e%2e%2fetc%2fpasswd/predict",
    "/v1/folder/%00/predict",
    "/v1/folder/" + "a" * 5000 + "/predict",
    "//v1/predict",
    "/v1//predict",
    "/v1/predict/",
    "/v1/predict%00.png",
    "/%ff%fe%00",
    "/v1/folder/C:%5c/predict",
    "http://evil.example/v1/predict",
    "/;/v1/models",
    "/.git/config",
    "/openapi.json/..",
    "*",
)


def damaged_file(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    whole = images[str(rng.choice(list(images)))]
    damages = [RANDOM[str(rng.choice(list(RANDOM)))], LYING[whole.format]]
    damage = damages[int(rng.random() < 0.5)]
    query = _QUERIES[int(rng.integers(6))].encode()
    body = part(damage(whole.data, rng)) + END
    return Asked("damaged file", (request(body, target=b"/v1/predict" + query),))


def bombs(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    return Asked("bomb", (request(part(bomb(str(rng.choice(_BOMBS)))) + END),))


def damaged_form(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    body = part(images["png grey"].data) + END
    choice = int(rng.integers(9))
    if choice < 4:
        body = RANDOM[str(rng.choice(list(RANDOM)))](body, rng)
        return Asked("damaged form", (request(body),))
    odd = (
        part(b"a" * 100) * int(rng.integers(2, 3000)) + END,
        part(b"x", more=b"; " + b"a=b; " * 3000) + END,
        b"--" + _BOUNDARY + b"\r\n" + b"X-A: b\r\n" * 2000 + b"\r\nx\r\n" + END,
        part(b"x", name=b"../../etc/passwd", more=b'; filename="../../../tmp/owned"') + END,
        b"\r\n" * 30_000,
    )[choice - 4]
    return Asked("damaged form", (request(odd),))


def wrong_type(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    kinds = (
        b"application/json",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/mixed; boundary=" + _BOUNDARY,
        b"multipart/form-data",
        b'multipart/form-data; boundary="' + b"x" * 4000 + b'"',
        b"multipart/form-data; boundary=" + bytes(rng.integers(128, 256, 30).tolist()),
        b"\xff\xfe",
        b"",
    )
    encoded = b"Content-Encoding: gzip\r\n" if rng.random() < 0.3 else b""
    body = part(images["png grey"].data) + END
    kind = kinds[int(rng.integers(len(kinds)))]
    return Asked("wrong type", (request(body, kind=kind, headers=encoded),))


def path_trick(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    target = (str(rng.choice(_PATHS)) + str(rng.choice(_QUERIES))).encode("latin-1")
    method = rng.choice([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"TRACE", b"X"])
    return Asked("path trick", (request(b"", target=target, method=bytes(method)),))


def odd_query(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    query = str(rng.choice(_QUERIES))
    noise = "".join(f"%{value:02x}" for value in rng.integers(0, 256, 40))
    target = f"/v1/predict{query}{'&' if query else '?'}{noise}={noise}".encode()
    return Asked("odd query", (request(part(images["png grey"].data) + END, target=target),))


def huge_head(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    size = int(rng.choice([10_000, 40_000, 200_000, 1_000_000]))
    lines = b"X-A: " + b"a" * size + b"\r\n" if rng.random() < 0.5 else b"A: b\r\n" * (size // 6)
    return Asked("huge head", (request(b"", headers=lines, method=b"GET", target=b"/"),))


def foreign(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    names = (b"evil.example", b"localhost.evil.example", b"", b"127.0.0.1:99999999", b"a b", b"[::")
    headers = (
        b"Origin: http://evil.example\r\n",
        b"Origin: null\r\n",
        b"Sec-Fetch-Site: cross-site\r\n",
        b"Host: evil.example\r\n",
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil.example\r\n",
        b"Authorization: Bearer " + b"\xff" * 50 + b"\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    )
    host = bytes(rng.choice(names)) if rng.random() < 0.5 else b"localhost"
    extra = headers[int(rng.integers(len(headers)))]
    return Asked("foreign", (request(part(b"x") + END, host=host, headers=extra),))


def no_http(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    choices = (
        rng.bytes(int(rng.integers(1, 3000))),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.bytes(400),
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        RANDOM["bytes flipped"](request(part(b"x") + END), rng),
        request(b"", method=b"GET", target=b"/healthz") * 50,
        b"\r\n" * 10_000,
    )
    data = choices[int(rng.integers(len(choices)))]
    # Bytes that happen to begin a request wait for its end until they are cut off.
    return Asked("no http", (data + b"\r\n\r\n",))


def slow(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    whole = request(part(images["png grey"].data) + END, length=200_000)
    cut = int(rng.integers(1, len(whole)))
    pieces = tuple(whole[i : i + 40] for i in range(0, min(cut, 400), 40))
    return Asked("slow", pieces, pause=0.3)


def vanishing(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    whole = request(part(images["png grey"].data) + END)
    cut = int(rng.integers(1, len(whole) + 1))
    return Asked("vanishing", (whole[:cut],), leave=True)


def too_large(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    if rng.random() < 0.5:
        return Asked("too large", (request(b"", length=1 << 62),))
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    head = request(b"", headers=b"Transfer-Encoding: chunked\r\n")
    head = head.replace(b"Content-Length: 0\r\n", b"")
    return Asked("too large", (head + chunk * 12 + b"0\r\n\r\n",))


def good(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    names = [name for name, whole in images.items() if whole.format in ("PNG", "JPEG", "DICOM")]
    whole = images[str(rng.choice(names))]
    frame = b"" if whole.frame is None else b"&frame=%d" % whole.frame
    body = part(b"1", b"other", b"") + part(whole.data) + END
    target = b"/v1/predict?maps=true" + frame
    return Asked("good", (request(body, target=target),), good=True)


KINDS: dict[Callable[[np.random.Generator, dict[str, Whole]], Asked], int] = {
    damaged_file: 30,
    bombs: 1,
    damaged_form: 12,
    wrong_type: 6,
    path_trick: 14,
    odd_query: 6,
    huge_head: 5,
    foreign: 6,
    no_http: 7,
    slow: 2,
    vanishing: 4,
    too_large: 2,
    good: 5,
}
"""Makers of requests, and how many of a hundred they make."""


def make(seed: int, number: int, images: dict[str, Whole]) -> Asked:
    """Make a request; the same seed and number give the same."""
    maker, rng = _maker(seed, number)
    return maker(rng, images)


def _maker(
    seed: int, number: int
) -> tuple[Callable[[np.random.Generator, dict[str, Whole]], Asked], np.random.Generator]:
    rng = np.random.default_rng([seed, number])
    kinds, weights = list(KINDS), np.array(list(KINDS.values()), float)
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))], rng


@dataclass(frozen=True)
class Answer:
    """What came of a request: its status (0: cut off), seconds, and whether that is as it must."""

    kind: str
    status: int
    seconds: float
    bad: str


def send(port: int, asked: Asked) -> Answer:
    """Send a request and wait for what comes."""
    begun = time.monotonic()
    data = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
            with suppress(BrokenPipeError, ConnectionResetError):
                for index, piece in enumerate(asked.pieces):
                    if index:
                        time.sleep(asked.pause)
                    sock.sendall(piece)
            if asked.leave:
                return Answer(asked.kind, 0, 0.0, "")
            with suppress(ConnectionResetError):
                while time.monotonic() - begun < SECONDS and (new := sock.recv(65536)):
                    data = (data + new)[:4096] if len(data) < 4096 else data
    except TimeoutError:
        return Answer(asked.kind, 0, time.monotonic() - begun, "hang")
    except OSError as error:
        return Answer(asked.kind, 0, time.monotonic() - begun, type(error).__name__)
    seconds = time.monotonic() - begun
    status = int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else 0
    bad = ""
    if seconds >= SECONDS:
        bad = "hang"
    elif status >= 500 and status != 503:
        bad = f"status {status}"
    elif asked.good and status != 200:
        bad = f"good, but status {status}: {data[-300:]!r}"
    elif status >= 400 and b'"reason":' not in data and not _is_head(asked):
        bad = f"status {status} without a reason"
    return Answer(asked.kind, status, seconds, bad)


def _is_head(asked: Asked) -> bool:
    return asked.pieces[0].startswith(b"HEAD ")


class Served:
    """A server in a process of its own."""

    def __enter__(self) -> Served:
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.served"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline() or 0)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def resident(self) -> int:
        """Bytes of the server's own memory; its decoding processes are bounded and replaced."""
        return _status(self.process.pid, "VmRSS:") << 10

    def decoders(self) -> int:
        """The most bytes that one of its decoding processes has."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        children = " ".join((task / "children").read_text() for task in tasks.iterdir()).split()
        return max((_status(int(pid), "VmRSS:") << 10 for pid in children), default=0)

    def files(self) -> int:
        """How many files the server has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


def _status(pid: int, field: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(text.partition(field)[2].split()[0]) if field in text else 0


@dataclass(frozen=True)
class Run:
    """What came of a run: the answers, and what does not hold of the server."""

    answers: list[Answer]
    wrong: list[str]
    grown: int
    files: int
    decoders: int


def bombard(count: int, seed: int, *, jobs: int = 8) -> Run:
    """Send hostile requests to a server of its own.

    Args:
        count: How many.
        seed: Which.
        jobs: How many at a time.
    """
    images = whole_images()
    images = {name: whole for name, whole in images.items() if whole.format != "NIfTI"}
    for number in range(count):  # bombs take seconds to make, which would stop all clients
        if _maker(seed, number)[0] is bombs:
            make(seed, number, images)
    with Served() as server, ThreadPoolExecutor(jobs) as pool:

        def work(number: int) -> Answer:
            return send(server.port, make(seed, number, images))

        first = max(50, count // 10)
        answers = list(pool.map(work, range(first)))
        _settle(server)
        before, files = server.resident(), server.files()
        answers += pool.map(work, range(first, count))
        _settle(server)
        grown, more = server.resident() - before, server.files() - files
        decoders = server.decoders()
        last = send(server.port, good(np.random.default_rng(0), images))
        running = server.running
    wrong = [f"{item.kind}: {item.bad}" for item in answers if item.bad]
    if grown > GROWTH:
        wrong.append(f"the server grew by {grown >> 20} MiB")
    if more > _FILES:
        wrong.append(f"the server has {more} files more open")
    if last.status != 200 or not running:
        wrong.append("the server does not serve any more")
    return Run(answers, wrong, grown, more, decoders)


def _settle(server: Served) -> None:
    """Wait until connections and replaced processes are done with."""
    time.sleep(1)
    least, end = server.files(), time.monotonic() + 10
    while time.monotonic() < end:
        time.sleep(0.5)
        now = server.files()
        if now >= least:
            return
        least = now


def main() -> int:
    """Run, print the counts and what does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="requests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=8, help="requests at a time")
    given = parser.parse_args()
    begun = time.monotonic()
    run = bombard(given.count, given.seed, jobs=given.jobs)
    statuses = sorted({item.status for item in run.answers})
    counts = Counter((item.kind, item.status) for item in run.answers)
    print(f"{'':14}" + "".join(f"{status or 'cut off':>8}" for status in statuses))
    for kind in sorted({item.kind for item in run.answers}):
        print(f"{kind:14}" + "".join(f"{counts[kind, status]:8}" for status in statuses))
    slowest = max(run.answers, key=lambda item: item.seconds)
    print(
        f"{len(run.answers)} requests, seed {given.seed}, {time.monotonic() - begun:.0f} s; "
        f"slowest {slowest.seconds:.1f} s ({slowest.kind}); after the first tenth the "
        f"server's memory grew by {run.grown / (1 << 20):.1f} MiB and its open files by "
        f"{run.files}; its largest decoding process has {run.decoders >> 20} MiB"
    )
    for line in run.wrong[:50]:
        print(f"wrong: {line}")
    print("All of it holds." if not run.wrong else f"{len(run.wrong)} things do NOT hold.")
    return int(bool(run.wrong))


if __name__ == "__main__":
    raise SystemExit(main())
