"""A pool of processes that decode, each ended and replaced when it dies or takes too long."""

from __future__ import annotations

import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import softcam
from softcam.errors import WorkError
from softcam.web import wire
from softcam.web.limits import Limits
from softcam.web.refusals import Refusal, busy

_LOG = logging.getLogger("softcam.web")
_START_SECONDS = 120.0  # numpy, scipy and pydicom from a cold disk
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH")
"""What of the environment is handed on: no token, no password of the server's."""

_DECODER = ("-m", "softcam.web.decoder")

_HERE = str(Path(softcam.__file__).parents[1])

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_format(data: bytes) -> None:
    """Check by its first bytes that a file may be decoded at all.

    Raises:
        Refusal: 415 for what is no PNG, JPEG, TIFF or DICOM; 422 for nothing.
    """
    if not data:
        raise Refusal(422, "empty", "The file is empty; send an image.")
    if not (data.startswith((_PNG, _JPEG, *_TIFF)) or data[128:132] == b"DICM"):
        raise Refusal(
            415,
            "unsupported_format",
            "The file is not a PNG, JPEG, TIFF or DICOM image; convert it to one of them.",
        )


class DecoderPool:
    """Processes that decode, and threads of the callers that wait for them.

    Args:
        limits: Number of processes, seconds and memory of each.
        on_end: Called with a reason each time a process had to be replaced.
        _program: What Python runs in a process; for tests, whose own has further jobs.
    """

    def __init__(
        self,
        limits: Limits,
        on_end: Callable[[str], None] | None = None,
        *,
        _program: Sequence[str] = _DECODER,
    ) -> None:
        self._limits = limits
        self._program = _program
        self._on_end = on_end or (lambda reason: None)
        self._idle: queue.Queue[_Process | None] = queue.Queue()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._all: set[_Process] = set()

    def start(self) -> None:
        """Start all processes and wait until they are ready.

        Raises:
            WorkError: They do not start.
        """
        try:
            started = [self._make() for _ in range(self._limits.decoders)]
            for process in started:
                process.wait_until_ready()
                self._add(process)
        except (OSError, wire.WireError) as error:
            self.close()
            raise WorkError(
                f"The decoding process does not start ({error}); it needs "
                f"{self._limits.decode_memory >> 20} MiB of address space."
            ) from error

    @property
    def alive(self) -> int:
        """How many processes there are."""
        with self._lock:
            return sum(process.running for process in self._all)

    def run(
        self, message: dict[str, Any], blobs: Sequence[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Do a job in a process that is idle, or wait for one.

        Args:
            message: The job, see `softcam.web.decoder`.
            blobs: The file, and what else is not JSON.

        Returns:
            The reply, and what of it is not JSON.

        Raises:
            Refusal: The file cannot be used, or there was no process in time.
        """
        seconds = self._limits.decode_seconds
        process = self._take(seconds)
        begun = time.monotonic()
        try:
            wire.send(process.sock, {**message, "seconds": seconds}, blobs, seconds=seconds)
            left = max(0.001, seconds - (time.monotonic() - begun))
            reply, out = wire.receive(process.sock, seconds=left)
        except wire.WireError as error:
            took_long = time.monotonic() - begun >= seconds
            self._replace(process, "time" if took_long else "crash")
            if took_long:
                reason = f"Decoding the image takes more than {seconds:g} seconds; shrink it."
                raise Refusal(422, "decode_timeout", reason) from error
            raise Refusal(
                422, "unreadable", "The image cannot be decoded; save it as PNG and try again."
            ) from error
        except BaseException:
            self._replace(process, "interrupted")
            raise
        if reply.get("ended"):
            self._replace(process, "memory")
        else:
            self._idle.put(process)
        if reply.pop("ok"):
            return reply, out
        if "defect" in reply:
            _LOG.error("decoding failed with %s", reply["defect"])
        raise Refusal(reply["status"], reply["code"], reply["reason"], more=reply["more"])

    def close(self) -> None:
        """End all processes."""
        self._closed.set()
        with self._lock:
            ending = list(self._all)
            self._all.clear()
        for process in ending:
            process.end()
        self._idle.put(None)

    def _take(self, seconds: float) -> _Process:
        end = time.monotonic() + seconds
        while not self._closed.is_set():
            try:
                process = self._idle.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if process is None:
                self._idle.put(None)  # for the next who waits
                break
            if process.running:
                return process
            self._replace(process, "crash")
        raise busy("All decoding processes are busy; try again in a moment.")

    def _make(self) -> _Process:
        return _Process(self._limits.decode_memory, self._program)

    def _add(self, process: _Process) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._all.add(process)
                self._idle.put(process)
                return
        process.end()

    def _replace(self, process: _Process, reason: str) -> None:
        """End a process, and start another beside what goes on."""
        with self._lock:
            self._all.discard(process)
        process.end()
        if self._closed.is_set():
            return
        self._on_end(reason)
        _LOG.warning("a decoding process was replaced (%s)", reason)
        threading.Thread(target=self._start_one, daemon=True, name="softcam-decoder-start").start()

    def _start_one(self) -> None:
        wait = 0.5
        while not self._closed.wait(0):
            process = None
            try:
                process = self._make()
                process.wait_until_ready()
            except (OSError, wire.WireError):
                if process is not None:
                    process.end()
                self._closed.wait(wait)
                wait = min(30.0, 2 * wait)
            else:
                self._add(process)
                return


class _Process:
    """One process and the socket to it."""

    def __init__(self, memory: int, program: Sequence[str] = _DECODER) -> None:
        self.sock, theirs = socket.socketpair()
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [_HERE, kept.get("PYTHONPATH")]))
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        # -P: the folder that the server was started in may hold a module of any name.
        command = [sys.executable, "-P", *program]
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(memory)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("SOFTCAM_DEBUG") else subprocess.DEVNULL,
                env={**kept, **threads},
                start_new_session=True,
            )
        except OSError:
            self.sock.close()
            raise
        finally:
            theirs.close()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        try:
            wire.receive(self.sock, seconds=_START_SECONDS)
        except wire.WireError:
            self.end()
            raise

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self.sock.close()
        self._process.wait()
