"""How much the server takes: sizes, pixels, rates, queues and times."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from softcam.errors import InputError


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """The server's limits; a request over one is refused with a reason.

    Attributes:
        body: Bytes of a request's body.
        pixels: Pixels of an image; 16-bit colour counts twice.
        picture: Bytes of a picture that an answer holds.
        rate: Requests a second that a client may go on with.
        burst: Requests that a client may send at once.
        queue: Requests that are read, decoded or run at a time.
        pending: Bytes of all bodies that are in memory at a time.
        connections: Connections at a time.
        header_seconds: Seconds in which a request's head must come.
        body_seconds: Seconds in which its body must come.
        request_seconds: Seconds after which a request is given up, its answer's sending included.
        decode_seconds: Seconds in which a file must be decoded.
        decode_memory: Bytes of address space of a process that decodes.
        decoders: Number of such processes.
        batch: Images that a model runs at once.
        log: Bytes that the case log may take on the disk.
        wait: Seconds that an image waits for others to be run with.

    Raises:
        InputError: A limit that is not above 0.
    """

    body: int = 64 << 20
    pixels: int = 50_000_000
    picture: int = 128 << 20
    rate: float = 50.0
    burst: int = 100
    queue: int = 64
    pending: int = 512 << 20
    connections: int = 256
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    request_seconds: float = 90.0
    decode_seconds: float = 20.0
    decode_memory: int = 3 << 30
    decoders: int = field(default_factory=lambda: max(1, min(4, _cores())))
    batch: int = 8
    log: int = 20 << 30
    wait: float = 0.004

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0 and name != "wait":
                raise InputError(f"The limit {name} is {value}; it must be above 0.")
