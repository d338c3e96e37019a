"""Carry out a plan: a pool of processes, and a journal to resume from."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from softcam.data.importers.convert import Job, convert
from softcam.data.importers.plan import Item, LeftOut, Shape
from softcam.data.importers.sources import COLUMNS, Source, read_sources, sources_text
from softcam.data.importers.tables import csv_text
from softcam.errors import InputError, WorkError

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

JOURNAL = ".unfinished.csv"
"""What an import has done so far; it becomes `sources.csv`."""

_AHEAD = 8  # images a worker may be ahead of the journal


def convert_all(
    items: Sequence[Item],
    root: Path,
    out: Path,
    shape: Shape,
    *,
    jobs: int = 2,
    progress: Progress | None = None,
) -> list[Source | LeftOut]:
    """Convert every image, going on from where an interrupted import stopped.

    Images that are written already, from the same source and whole, are not written again.

    Args:
        items: The images.
        root: The download.
        out: The data set's folder.
        shape: How to bring images to size.
        jobs: Processes; 1 converts in this one. Each starts anew and imports the main module, so
            a script that calls this needs `if __name__ == "__main__":`.
        progress: Told after each image.

    Returns:
        For each image where it came from, or why it is left out.

    Raises:
        InputError: The folder cannot be written.
        WorkError: A process died.
        KeyboardInterrupt: After an interruption; what was done is in the journal.
    """
    journal = _trimmed(out / JOURNAL)
    known = _known(out)
    images = out / "images"
    work = [
        Job(root, images, item.source, item.name, shape, known.get(item.name)) for item in items
    ]
    done: list[Source | LeftOut] = []
    with _noting(journal) as note, _results(work, min(jobs, len(work))) as results:
        for result in results:
            done.append(result)
            if isinstance(result, Source):
                note(result)
            if progress is not None:
                progress(len(done), len(work))
    return done


def _trimmed(path: Path) -> Path:
    """Start the journal, or drop the last row of an old one if it was cut off."""
    try:
        old = path.read_bytes() if path.is_file() else b""
        path.write_bytes(old[: old.rfind(b"\n") + 1] or csv_text([COLUMNS]).encode())
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _known(out: Path) -> dict[str, Source]:
    """What earlier imports into the folder wrote, by the image's name without its suffix."""
    found: dict[str, Source] = {}
    for path in (out / "sources.csv", out / JOURNAL):
        if path.is_file():
            try:
                found.update(read_sources(path))
            except InputError:
                continue  # damaged: these images are made again
    return {str(PurePosixPath(name).with_suffix("")): source for name, source in found.items()}


@contextmanager
def _noting(path: Path) -> Iterator[Callable[[Source], None]]:
    """Append to the journal, so that nothing done is lost."""
    try:
        stream = path.open("a", encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error

    def note(source: Source) -> None:
        try:
            stream.write(sources_text([source], header=False))
            stream.flush()
        except OSError as error:
            raise _unwritable(path, error) from error

    with stream:
        yield note


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot write here ({error.strerror}); choose a folder that is writable and has "
        "room."
    )


@contextmanager
def _results(work: Sequence[Job], jobs: int) -> Iterator[Iterator[Source | LeftOut]]:
    """The results in order, from this process or from a pool that ends with the context."""
    if jobs <= 1:
        yield (convert(job) for job in work)
        return
    # A fresh process, since forking one that has started threads (torch's) may hang.
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        yield _streamed(pool, work, jobs * _AHEAD)
    except BrokenProcessPool as error:
        raise WorkError(
            "a process that converts images died, perhaps for lack of memory; run the same command "
            "with --jobs 1 to go on."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _streamed(
    pool: ProcessPoolExecutor, work: Sequence[Job], ahead: int
) -> Iterator[Source | LeftOut]:
    waiting: deque[Future[Source | LeftOut]] = deque()
    for job in work:
        with _interrupts_held():
            waiting.append(pool.submit(convert, job))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while a worker may be started, which then starts with it held back too.

    Without this, one that is hit before it runs `_start_worker` prints a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
