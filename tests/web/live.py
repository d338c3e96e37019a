"""A real server on a loopback port of its own, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from softcam.web.app import create_app
from softcam.web.models import ServedModel, serve_predictor
from softcam.web.server import make_server, open_socket
from softcam.web.settings import Settings
from tests.web.conftest import Blocks


@contextmanager
def serving(settings: Settings, *models: ServedModel) -> Iterator[int]:
    """Serve, and give the port."""
    given = models or (serve_predictor("blocks", Blocks(), "abc"),)
    sock = open_socket("127.0.0.1", 0)
    server = make_server(create_app({model.name: model for model in given}, settings), settings)
    started = threading.Event()
    server.on_started = started.set
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        assert started.wait(60)
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        sock.close()
    assert not thread.is_alive()


def talk(port: int, data: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes as they are, and give all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        sock.sendall(data)
        return everything(sock)


def everything(sock: socket.socket) -> bytes:
    """What comes until the other side closes; what it sent is lost where it resets."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)
