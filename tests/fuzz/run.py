"""A fuzz run: damaged files of every kind, each read in a process that is watched.

    python -m tests.fuzz.run --count 2000 --seed 0

Each file must be read, or refused in a sentence that names it, within 5 seconds and 1 GiB. Seconds
are the processor's, so that a busy machine changes nothing, and up to 20 by the clock. The same
seed gives the same files. The exit code is 1 if any file breaks this.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np

from tests.fuzz.damage import BOMBS, LYING, RANDOM, bomb, wrong_suffix
from tests.fuzz.tables import damaged_data_set
from tests.fuzz.whole import Whole, whole_images

SECONDS = 5.0
GOOD = ("read", "refused")
BAD = ("crash", "hang", "memory", "unnamed")

_BUSY = 4  # times the seconds by the clock
_START = 60  # seconds for the worker's imports
_TABLES = 0.25  # of the cases
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """A damaged file, or a data set with one.

    Attributes:
        number: Its place in the run; seed and number decide everything else.
        kind: The format, for the counts.
        damage: What was done to it.
        reader: Who reads it, see `tests.fuzz.worker.READERS`.
        files: Content by path below the case's folder.
        target: What to read, relative to that folder.
    """

    number: int
    kind: str
    damage: str
    reader: str
    files: dict[str, bytes]
    target: str


@dataclass(frozen=True)
class Verdict:
    """What came of a case: one of `GOOD` or `BAD`, what was said, seconds, and most bytes."""

    case: Case
    result: str
    detail: str
    seconds: float
    peak: int


def make_case(seed: int, number: int, images: dict[str, Whole]) -> Case:
    """Damage something; the same seed and number give the same."""
    rng = np.random.default_rng([seed, number])
    if number < len(BOMBS):  # each once
        name = list(BOMBS)[number]
        suffix = BOMBS[name][0]
        file = f"{number:04d}{suffix}"
        return Case(number, "bomb", name, "image", {file: bomb(name)}, file)
    if rng.random() < _TABLES:
        damage, files = damaged_data_set(rng)
        folder = f"{number:04d}"
        inside = {f"{folder}/{name}": data for name, data in files.items()}
        reader = "data set" if rng.random() < 0.7 else "import"
        return Case(number, "table", damage, reader, inside, folder)
    name = str(rng.choice(list(images)))
    whole = images[name]
    damage = str(rng.choice([*RANDOM, *["header lies"] * 5, "suffix wrong", "empty"]))
    suffix, data = whole.suffix, whole.data
    if damage in RANDOM:
        data = RANDOM[damage](data, rng)
    elif damage == "header lies":
        data = LYING[whole.format](data, rng)
    elif damage == "empty":
        data = b""
    else:
        suffix = wrong_suffix(whole, rng)
    file = f"{number:04d}{suffix}"
    target = file if whole.frame is None else f"{file}#{whole.frame}"
    return Case(number, whole.format, f"{name}: {damage}", "image", {file: data}, target)


class Worker:
    """A process that reads cases, started anew after each one that ended or stopped it."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._complaints.close()

    def read(self, case: Case, folder: Path) -> Verdict:
        """Have a case read that lies in a folder."""
        process = self._process or self._begin()
        assert process.stdin is not None
        order = {"reader": case.reader, "path": str(folder / case.target)}
        start = time.perf_counter()
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        limit = self._seconds * _BUSY
        answer = self._answer(process, limit)
        seconds = time.perf_counter() - start
        if answer is None:
            hung = process.poll() is None and seconds >= limit
            self._end()
            code = "" if hung else f"exit code {process.returncode}; {self._last_words()}"
            return Verdict(case, "hang" if hung else "crash", code, seconds, 0)
        told = json.loads(answer)
        result = told["result"] if told["seconds"] <= self._seconds else "hang"
        return Verdict(case, result, told["detail"], told["seconds"], told["peak"])

    def _begin(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        self._process = process
        ready = self._answer(process, _START)
        if ready is None or json.loads(ready)["result"] != "ready":
            raise RuntimeError(f"the worker does not start: {self._last_words()}")
        if json.loads(ready)["detail"]:
            raise RuntimeError("reading images has imported torch")
        return process

    @staticmethod
    def _answer(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
        """A line of the process, or None if it ends or takes too long."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        return process.stdout.readline() or None

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.wait()
            self._process = None

    def _last_words(self) -> str:
        size = self._complaints.seek(0, 2)
        self._complaints.seek(max(0, size - 1500))
        return self._complaints.read().decode(errors="replace")


def run_cases(cases: Iterator[Case], *, keep: Path | None = None) -> Iterator[Verdict]:
    """Read cases one after the other in one worker.

    Args:
        cases: The cases.
        keep: Where to leave the files of those that go wrong.

    Yields:
        What came of each.
    """
    with tempfile.TemporaryDirectory() as root, Worker() as worker:
        for case in cases:
            folder = Path(root) / "case"
            for name, data in case.files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            verdict = worker.read(case, folder)
            if verdict.result in BAD and keep is not None:
                shutil.copytree(folder, keep / verdict.result, dirs_exist_ok=True)
            shutil.rmtree(folder)
            yield verdict


def fuzz(
    count: int,
    seed: int,
    *,
    jobs: int = 1,
    keep: Path | None = None,
    numbers: list[int] | None = None,
    tell: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Make and read the cases of a run."""
    images = whole_images()
    chosen = list(range(count)) if numbers is None else numbers

    def work(job: int) -> list[Verdict]:
        own = (make_case(seed, number, images) for number in islice(chosen, job, None, jobs))
        done = []
        for verdict in run_cases(own, keep=keep):
            done.append(verdict)
            if tell is not None:
                tell(verdict)
        return done

    with ThreadPoolExecutor(jobs) as pool:
        parts = list(pool.map(work, range(jobs)))
    return sorted((v for part in parts for v in part), key=lambda v: v.case.number)


def table_of(verdicts: list[Verdict]) -> str:
    """The counts by kind, as text."""
    counts = Counter((v.case.kind, v.result) for v in verdicts)
    kinds = sorted({v.case.kind for v in verdicts})
    results = (*GOOD, *BAD)
    lines = [f"{'':8}" + "".join(f"{name:>9}" for name in ("files", *results))]
    for kind in kinds:
        row = [counts[kind, result] for result in results]
        lines.append(f"{kind:8}" + "".join(f"{n:9}" for n in (sum(row), *row)))
    whole = [sum(counts[kind, result] for kind in kinds) for result in results]
    lines.append(f"{'all':8}" + "".join(f"{n:9}" for n in (sum(whole), *whole)))
    return "\n".join(lines)


def main() -> int:
    """Run, print the counts and what went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="workers at a time")
    parser.add_argument("--keep", type=Path, help="folder for files that go wrong")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of single files to try again")
    given = parser.parse_args()

    def tell(verdict: Verdict) -> None:
        if given.only or verdict.result in BAD:
            case = verdict.case
            print(
                f"{verdict.result}: {case.number:04d} {case.kind}, {case.damage}, {case.reader}: "
                f"{verdict.detail[:600]} ({verdict.seconds:.2f} s, {verdict.peak >> 20} MiB)",
                flush=True,
            )

    start = time.perf_counter()
    verdicts = fuzz(
        given.count,
        given.seed,
        jobs=given.jobs,
        keep=given.keep,
        numbers=given.only,
        tell=tell,
    )
    slowest = max(verdicts, key=lambda v: v.seconds)
    largest = max(verdicts, key=lambda v: v.peak)
    print(table_of(verdicts))
    print(
        f"seed {given.seed}, {time.perf_counter() - start:.0f} s; "
        f"slowest {slowest.seconds:.1f} s ({slowest.case.damage}); "
        f"most memory {largest.peak >> 20} MiB ({largest.case.damage})"
    )
    return int(any(v.result in BAD for v in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
