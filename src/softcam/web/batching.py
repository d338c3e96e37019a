"""Requests that arrive together run together: one thread that feeds a predictor in batches."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from softcam.explanation.predictor import Predictor
from softcam.web.refusals import busy

Maps = npt.NDArray[np.float32]


@dataclass
class _Job:
    pixels: Maps
    future: Future[tuple[Maps, Maps]] = field(default_factory=Future)


class Batcher:
    """Runs a predictor on the images that wait, as many at once as fit.

    While the predictor runs, what arrives gathers, so that a busy server has full batches; an idle
    one waits a few milliseconds for company.

    Args:
        predictor: The predictor.
        size: The most images to run at once.
        wait: Seconds that the first image of a batch waits for others.
        capacity: The most images that may wait.
        turn: A lock that several batchers share, so that their predictors take turns.
        on_batch: Told of each batch: its size, and the seconds that it took.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        size: int,
        wait: float,
        capacity: int,
        turn: threading.Lock | None = None,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self._predictor = predictor
        self._size = size
        self._wait = wait
        self._turn = turn or threading.Lock()
        self._on_batch = on_batch or (lambda count, seconds: None)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(capacity)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="softcam-batches", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many images wait."""
        return self._jobs.qsize()

    def submit(self, pixels: Maps) -> Future[tuple[Maps, Maps]]:
        """Let an image run with the next batch.

        Args:
            pixels: Normalised input of shape (C, H, W).

        Returns:
            Its logits (K,) and evidence (K, h, w), once they are there. Cancelled, it is left out.

        Raises:
            Refusal: Too many wait.
        """
        job = _Job(pixels)
        try:
            if self._closed.is_set():
                raise queue.Full
            self._jobs.put_nowait(job)
        except queue.Full:
            raise busy("Too many images wait for the model; try again in a moment.") from None
        return job.future

    def close(self) -> None:
        """Stop after the batch that runs; what waits is turned away."""
        self._closed.set()
        while True:
            try:
                self._jobs.put(None, timeout=0.05)
                break
            except queue.Full:
                continue  # the thread takes some out, or turns them away
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._closed.is_set():
            job = self._jobs.get()
            if job is None:
                break
            self._run(self._gather(job))
        while True:
            try:
                left = self._jobs.get_nowait()
            except queue.Empty:
                return
            if left is not None and left.future.set_running_or_notify_cancel():
                left.future.set_exception(busy("The server is stopping."))

    def _gather(self, first: _Job) -> list[_Job]:
        """Take what waits already, and what comes within the wait."""
        jobs = [first]
        end = time.monotonic() + self._wait
        while len(jobs) < self._size:
            try:
                left = end - time.monotonic()
                job = self._jobs.get(timeout=left) if left > 0 else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._closed.set()
                break
            jobs.append(job)
        return [job for job in jobs if job.future.set_running_or_notify_cancel()]

    def _run(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            with self._turn:
                begun = time.perf_counter()
                logits, evidence = self._predictor.predict(np.stack([job.pixels for job in jobs]))
                self._on_batch(len(jobs), time.perf_counter() - begun)
        except BaseException as error:  # the callers must hear of it, whatever it is
            for job in jobs:
                job.future.set_exception(error)
            return
        for index, job in enumerate(jobs):
            # Copies, so that an answer does not keep the whole batch.
            job.future.set_result((logits[index].copy(), evidence[index].copy()))
