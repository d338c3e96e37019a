"""How far a sweep is, counted in epochs over all its runs, and how long the rest will take."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from softcam.training.run import Run
from softcam.workflows.sweep.work import Failure, Work

_LOG = logging.getLogger("softcam")
_LOOK_SECONDS = 1.0


def in_words(seconds: float) -> str:
    """Write a time as a person would say it, such as "about 2 h 10 min"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    return f"about {minutes // 60} h {minutes % 60:02d} min"


class Clock:
    """Epochs done in this session, and from them the time that is left.

    Args:
        works: The runs; those finished before cost nothing any more.
        now: Gives the time in seconds.
    """

    def __init__(self, works: Sequence[Work], now: Callable[[], float] = time.monotonic) -> None:
        self._works = works
        self._now = now
        self._over = {id(work) for work in works if Run(work.config.out).finished}
        self._at_start = self.done()
        self._started = now()

    @property
    def total(self) -> int:
        """Epochs of all runs."""
        return sum(work.config.epochs for work in self._works)

    def end(self, work: Work) -> None:
        """Note that a run ended, also one that failed or stopped early."""
        self._over.add(id(work))

    def done(self) -> int:
        """Epochs that need not be waited for any more."""
        return sum(
            work.config.epochs
            if id(work) in self._over
            else min(work.config.epochs, len(Run(work.config.out).history()))
            for work in self._works
        )

    def left(self) -> float | None:
        """Seconds that are left, at the pace since the start; None before there is one."""
        done = self.done()
        here = done - self._at_start
        if here <= 0:
            return None
        return (self.total - done) * (self._now() - self._started) / here


@contextmanager
def sweep_progress(
    works: Sequence[Work], *, shown: bool, verb: str = "done"
) -> Iterator[Callable[[Work, Failure | None], None]]:
    """Show how far a sweep is: a bar on a terminal, a line for each run that ends elsewhere.

    Args:
        works: The runs.
        shown: False for neither.
        verb: What is said of a run that ended well.

    Yields:
        A function to call when a run has ended.
    """
    clock = Clock(works)
    console = Console(stderr=True)
    ended = 0
    bar = Progress(
        TextColumn("{task.fields[runs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
    )
    visible = shown and console.is_terminal
    task = bar.add_task("", total=clock.total, runs=f"0/{len(works)} runs", left="")
    over = threading.Event()
    estimated = threading.Event()

    def look() -> None:
        left = clock.left()
        if left is not None and not estimated.is_set():
            estimated.set()
            if shown:
                _say(f"the {len(works)} runs will take {in_words(left)}, by the first epochs")
        words = "" if left is None else f"{in_words(left)} left"
        bar.update(task, completed=clock.done(), runs=f"{ended}/{len(works)} runs", left=words)

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            look()

    def _say(text: str) -> None:
        if visible:
            bar.console.print(f"softcam: {text}", markup=False, highlight=False)
        else:
            _LOG.info("%s", text)

    def told(work: Work, failure: Failure | None) -> None:
        nonlocal ended
        ended += 1
        clock.end(work)
        if not shown:
            return
        look()
        left = clock.left()
        rest = "" if left is None or ended == len(works) else f"; {in_words(left)} left"
        how = verb if failure is None else f"FAILED: {failure.reason}"
        _say(f"{ended} of {len(works)}: {work}: {how}{rest}")

    watcher = threading.Thread(target=watch, daemon=True)
    if visible:
        bar.start()
    if shown:
        watcher.start()
    try:
        yield told
    finally:
        over.set()
        if watcher.is_alive():
            watcher.join()
        if visible:
            bar.stop()
