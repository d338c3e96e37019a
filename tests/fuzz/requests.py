"""A run of hostile requests against a server: none may fail it, hang it or fill its memory.

    python -m tests.fuzz.requests --count 10000 --seed 0

Requests are damaged files, bombs, forms that lie, heads that are too long, paths that lead out,
bodies that never end, cases that are none, and some good ones between them; `tests.fuzz.hostile`
makes them. Each must be answered or cut off within seconds, no answer may be a 500, and the good
ones must be answered well: a saved case is read back. Afterwards the server must have the memory
and the open files that it had after the first tenth, and have written nothing but its case log, in
the room that it has. The same seed makes the same requests. The exit code is 1 if any of this does
not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from tests.fuzz.hostile import bombs, good, make, maker_of
from tests.fuzz.messages import ID, Asked
from tests.fuzz.served import CASES, LIMITS, prepared
from tests.fuzz.whole import whole_images

SECONDS = 45.0
"""By the clock, in which a request must be answered or cut off, on a machine that is busy."""

GROWTH = 96 << 20
"""Bytes that the server and its processes may have more than after the first tenth."""

_FILES = 12  # that may be open more: connections that are closing
_SLACK = 16 << 20  # bytes of the case log's journal: one image, and what was not folded in yet
_KEPT = 4096  # bytes of an answer that are looked at, unless all must be
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """What came of a request: its status (0: cut off), seconds, and whether that is as it must."""

    kind: str
    status: int
    seconds: float
    bad: str


def send(port: int, asked: Asked) -> list[Answer]:
    """Send a request, wait for what comes, and send what follows from it."""
    answer, body = _exchange(port, asked)
    if answer.bad or not asked.then:
        return [answer]
    id_ = json.loads(body)["id"].encode()
    then = [_with_id(item, id_) for item in asked.then]
    if not asked.race:
        return [answer, *(_exchange(port, item)[0] for item in then)]
    with ThreadPoolExecutor(len(then)) as pool:
        raced = [answer for answer, _ in pool.map(lambda item: _exchange(port, item), then)]
    won = sum(item.status == 200 for item in raced)
    if won != 1:
        answer = replace(answer, bad=f"{won} of {len(raced)} concurrent changes were taken")
    return [answer, *raced]


def _with_id(asked: Asked, id_: bytes) -> Asked:
    return replace(asked, pieces=tuple(piece.replace(ID, id_) for piece in asked.pieces))


def _exchange(port: int, asked: Asked) -> tuple[Answer, bytes]:
    begun = time.monotonic()
    data = b""
    most = 1 << 30 if asked.tells or asked.content is not None or asked.then else _KEPT
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
            with suppress(BrokenPipeError, ConnectionResetError):
                for index, piece in enumerate(asked.pieces):
                    if index:
                        time.sleep(asked.pause)
                    sock.sendall(piece)
            if asked.leave:
                return Answer(asked.kind, 0, 0.0, ""), b""
            with suppress(ConnectionResetError):
                while time.monotonic() - begun < SECONDS and (new := sock.recv(65536)):
                    data = (data + new)[:most] if len(data) < most else data
    except TimeoutError:
        return Answer(asked.kind, 0, time.monotonic() - begun, "hang"), b""
    except OSError as error:
        return Answer(asked.kind, 0, time.monotonic() - begun, type(error).__name__), b""
    seconds = time.monotonic() - begun
    status = int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else 0
    bad = "hang" if seconds >= SECONDS else _bad(asked, status, data)
    return Answer(asked.kind, status, seconds, bad), data.partition(b"\r\n\r\n")[2]


def _bad(asked: Asked, status: int, data: bytes) -> str:
    """What of an answer must not be."""
    if status >= 500 and status != 503:
        return f"status {status}"
    if asked.statuses and status not in asked.statuses:
        return f"status {status} is none of {asked.statuses}: {data[-300:]!r}"
    if status >= 400 and b'"reason":' not in data and not asked.pieces[0].startswith(b"HEAD "):
        return f"status {status} without a reason"
    body = data.partition(b"\r\n\r\n")[2]
    if asked.content is not None and body != asked.content:
        return f"{len(body)} other bytes came back than the {len(asked.content)} saved"
    told = json.loads(body) if asked.tells else {}
    for name, value in asked.tells:
        if told[name] != value:
            return f"{name} came back as {told[name]!r}, not {value!r}"
    return ""


class Served:
    """A server in a process of its own, with a folder that is gone after it."""

    def __enter__(self) -> Served:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._before = prepared(self.folder)
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.served", str(self.folder)],
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
        self._folder.cleanup()

    def written(self) -> tuple[int, list[str]]:
        """Bytes of the case log, and the names of other files that were not there before."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        log = [path for path in files if path.name.startswith(CASES)]
        return sum(path.stat().st_size for path in log), [
            path.name for path in files if path not in log and path not in self._before
        ]

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
    written: int


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
        if maker_of(seed, number)[0] is bombs:
            make(seed, number, images)
    with Served() as server, ThreadPoolExecutor(jobs) as pool:

        def work(number: int) -> list[Answer]:
            return send(server.port, make(seed, number, images))

        first = max(50, count // 10)
        answers = list(chain.from_iterable(pool.map(work, range(first))))
        _settle(server)
        before, files = server.resident(), server.files()
        answers += chain.from_iterable(pool.map(work, range(first, count)))
        _settle(server)
        grown, more = server.resident() - before, server.files() - files
        decoders = server.decoders()
        written, strange = server.written()
        (last,) = send(server.port, good(np.random.default_rng(0), images))
        running = server.running
    wrong = [f"{item.kind}: {item.bad}" for item in answers if item.bad]
    if grown > GROWTH:
        wrong.append(f"the server grew by {grown >> 20} MiB")
    if more > _FILES:
        wrong.append(f"the server has {more} files more open")
    if strange or not 0 < written <= LIMITS.log + _SLACK:
        wrong.append(f"the case log has {written} bytes; other files: {strange}")
    if last.status != 200 or not running:
        wrong.append("the server does not serve any more")
    return Run(answers, wrong, grown, more, decoders, written)


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
    print(f"{'':15}" + "".join(f"{status or 'cut off':>8}" for status in statuses))
    for kind in sorted({item.kind for item in run.answers}):
        print(f"{kind:15}" + "".join(f"{counts[kind, status]:8}" for status in statuses))
    slowest = max(run.answers, key=lambda item: item.seconds)
    print(
        f"{len(run.answers)} requests, seed {given.seed}, {time.monotonic() - begun:.0f} s; "
        f"slowest {slowest.seconds:.1f} s ({slowest.kind}); after the first tenth the "
        f"server's memory grew by {run.grown / (1 << 20):.1f} MiB and its open files by "
        f"{run.files}; its largest decoding process has {run.decoders >> 20} MiB, its case log "
        f"{run.written / (1 << 20):.1f} MiB"
    )
    for line in run.wrong[:50]:
        print(f"wrong: {line}")
    print("All of it holds." if not run.wrong else f"{len(run.wrong)} things do NOT hold.")
    return int(bool(run.wrong))


if __name__ == "__main__":
    raise SystemExit(main())
