from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from softcam.web import wire


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("blobs", [[], [b""], [b"a" * 10, b"", bytes(3 << 20)]])
def test_what_is_sent_comes_out(pair, blobs):
    ours, theirs = pair
    message = {"text": "ü\0", "number": 1.5, "none": None}
    thread = threading.Thread(target=wire.send, args=(ours, message, blobs), kwargs={"seconds": 10})
    thread.start()
    assert wire.receive(theirs, seconds=10) == (message, blobs)
    thread.join()


def test_silence_and_a_full_socket_end_in_time(pair):
    ours, theirs = pair
    begun = time.monotonic()
    with pytest.raises(wire.WireError):
        wire.receive(theirs, seconds=0.1)
    with pytest.raises(wire.WireError):
        wire.send(ours, {}, [bytes(32 << 20)], seconds=0.1)
    assert time.monotonic() - begun < 5


def test_a_byte_now_and_then_does_not_extend_the_time(pair):
    ours, theirs = pair
    stop = threading.Event()

    def drip() -> None:
        ours.sendall(struct.pack("<II", 1000, 0))
        while not stop.wait(0.05):
            ours.sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(wire.WireError):
        wire.receive(theirs, seconds=0.5)
    assert time.monotonic() - begun < 5
    stop.set()
    thread.join()


def test_an_end_or_nonsense_is_no_message(pair):
    ours, theirs = pair
    ours.sendall(struct.pack("<II", 1 << 31, 0))
    with pytest.raises(wire.WireError, match="no message"):
        wire.receive(theirs, seconds=1)
    ours.close()
    with pytest.raises(wire.WireError, match="closed"):
        wire.receive(theirs, seconds=1)
