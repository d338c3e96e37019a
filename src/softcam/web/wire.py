"""Messages between the server and the processes that decode: JSON with blobs, over a socket."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

_HEAD = struct.Struct("<II")
_MOST_TEXT, _MOST_BLOBS = 64 << 20, 8


class WireError(Exception):
    """The other side ended, went silent, or sent what is no message."""


def send(
    sock: socket.socket, message: dict[str, Any], blobs: Sequence[bytes] = (), *, seconds: float
) -> None:
    """Send a message.

    Args:
        sock: The socket.
        message: JSON values.
        blobs: What is not JSON.
        seconds: How long it may take.

    Raises:
        WireError: It could not be sent in time.
    """
    text = json.dumps({**message, "blobs": [len(blob) for blob in blobs]}).encode()
    end = time.monotonic() + seconds
    try:
        for part in (_HEAD.pack(len(text), len(blobs)), text, *blobs):
            sock.settimeout(max(0.001, end - time.monotonic()))
            sock.sendall(part)
    except OSError as error:
        raise WireError(type(error).__name__) from error


def receive(sock: socket.socket, *, seconds: float | None) -> tuple[dict[str, Any], list[bytes]]:
    """Receive a message.

    Args:
        sock: The socket.
        seconds: How long it may take; None for as long as it takes.

    Raises:
        WireError: None came in time.
    """
    end = None if seconds is None else time.monotonic() + seconds
    length, count = _HEAD.unpack(_exactly(sock, _HEAD.size, end))
    if length > _MOST_TEXT or count > _MOST_BLOBS:
        raise WireError("no message")
    message = json.loads(_exactly(sock, length, end))
    return message, [_exactly(sock, size, end) for size in message.pop("blobs")]


def _exactly(sock: socket.socket, size: int, end: float | None) -> bytes:
    data = np.empty(size, np.uint8)  # a bytearray that gets no memory may end the process
    view, place = data.data, 0
    try:
        while place < size:
            sock.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            count = sock.recv_into(view[place:])
            if count == 0:
                raise WireError("closed")
            place += count
    except OSError as error:
        raise WireError(type(error).__name__) from error
    return data.tobytes()
