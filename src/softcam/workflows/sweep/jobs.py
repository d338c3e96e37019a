"""Do many pieces of work: here one after the other, or several processes at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.workflows.sweep.work import BAD_INPUT, INTERRUPTED, Failure, Work, do, outcome

Told = Callable[[Work, Failure | None], None]

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0


def do_all(
    works: Sequence[Work], *, jobs: int, folder: Path, told: Told, any_done: bool = False
) -> list[Failure]:
    """Do all work; what fails is noted and the rest goes on.

    Args:
        works: What to do.
        jobs: How many at a time; 1 does them in this process.
        folder: Where processes log.
        told: Called after each piece of work.
        any_done: Whether other work of the sweep was done before.

    Returns:
        What failed.

    Raises:
        InputError: If the first to end fails of its input, of which the others would fail too.
        KeyboardInterrupt: After an interruption; processes have been stopped.
    """
    failures: list[Failure] = []
    done = any_done
    with ExitStack() as stack:
        ended = _here(works) if jobs == 1 else stack.enter_context(_apart(works, jobs, folder))
        for work, failure in ended:
            if failure is None:
                done = True
            else:
                if failure.input and not done and not failures:
                    raise InputError(f"{work}: {failure.reason}")
                failures.append(failure)
            told(work, failure)
    return failures


def _here(works: Iterable[Work]) -> Iterator[tuple[Work, Failure | None]]:
    for work in works:
        try:
            do(work)
        except Exception as error:
            code, reason = outcome(error)
            yield work, Failure(work, reason, code == BAD_INPUT)
        else:
            yield work, None


@dataclass
class _Process:
    work: Work
    running: subprocess.Popen[bytes]
    log: Path


@contextmanager
def _apart(
    works: Sequence[Work], jobs: int, folder: Path
) -> Iterator[Iterator[tuple[Work, Failure | None]]]:
    """Do work in processes; whatever happens, none is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}).") from error
    running: list[_Process] = []

    def ended() -> Iterator[tuple[Work, Failure | None]]:
        waiting = list(works)
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(0), jobs, folder))
            over = [process for process in running if process.running.poll() is not None]
            for process in over:
                running.remove(process)
                yield process.work, _result(process)
            if not over:
                time.sleep(_POLL_SECONDS)

    try:
        yield ended()
    finally:
        _stop(running)


def threads_each(jobs: int) -> int:
    """Share the processor's cores out to processes."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return max(1, cores // jobs)


def command_for(description: Path) -> list[str]:
    """Give the command that does the work which a file describes."""
    return [sys.executable, "-m", "softcam.workflows.sweep.work", str(description)]


def _start(work: Work, jobs: int, folder: Path) -> _Process:
    stem = f"{work.name}-seed{work.config.seed}-{work.split}"
    description = write_atomically(folder / f"{stem}.json", work.write())
    log = folder / f"{stem}.log"
    threads = str(threads_each(jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    stream: IO[bytes]
    with log.open("wb") as stream:
        # A session of its own: Ctrl-C reaches the sweep alone, which asks each process once.
        running = subprocess.Popen(
            command_for(description),
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return _Process(work, running, log)


def _result(process: _Process) -> Failure | None:
    code = process.running.returncode
    if process.running.stdin is not None:
        process.running.stdin.close()
    if code == 0:
        return None
    if code < 0:
        killed = " (out of memory?)" if -code == signal.SIGKILL else ""
        name = signal.Signals(-code).name
        return Failure(process.work, f"its process was ended by {name}{killed}; see {process.log}")
    lines = process.log.read_text("utf-8", errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"its process ended with {code}"
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return Failure(process.work, reason, code == BAD_INPUT)


def _stop(running: Iterable[_Process]) -> None:
    """Ask processes to stop as Ctrl-C does, and end those that do not."""
    for process in running:
        if process.running.poll() is None:
            process.running.send_signal(signal.SIGINT)
    until = time.monotonic() + _PATIENCE_SECONDS
    for process in running:
        try:
            process.running.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.running.kill()
            process.running.wait()
        if process.running.stdin is not None:
            process.running.stdin.close()
