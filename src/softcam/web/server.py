"""The process that serves: opens the address, says which, and stops on Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import uvicorn
from fastapi import FastAPI

from softcam.errors import InputError, WorkError
from softcam.web.app import create_app
from softcam.web.connection import bounded_protocol
from softcam.web.gate import LONGEST_HEAD
from softcam.web.models import ServedModel
from softcam.web.settings import Settings

_STOP_SECONDS = 10


class Server(uvicorn.Server):
    """uvicorn's server, for which Ctrl-C and SIGTERM are how it ends, and no failure."""

    on_started: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen."""
        await super().startup(sockets)
        if self.on_started is not None:
            self.on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, and do not raise them once more."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def open_socket(host: str, port: int) -> socket.socket:
    """Open the address to listen on.

    Args:
        host: A name or an address.
        port: The port; 0 for any that is free.

    Raises:
        InputError: The address is not this machine's, is taken, or may not be used.
    """
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host}: is no address of this machine.") from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"--port {port}: is in use; give another, or 0 for any that is free."
            ) from error
        said = error.strerror or "no address of this machine"
        raise InputError(f"--host {host} --port {port}: cannot be used ({said}).") from error
    sock.setblocking(False)
    return sock


def make_server(app: FastAPI, settings: Settings) -> Server:
    """Make a server that is not started yet.

    Args:
        app: What `create_app` gave.
        settings: The same settings.
    """
    # Its log names paths, which clients choose; what we log, we log ourselves.
    for name in ("uvicorn", "python_multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(settings.limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, int(settings.limits.header_seconds)),
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    return Server(config)


def serve(
    models: Mapping[str, ServedModel],
    settings: Settings,
    say: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        models: Models by name.
        settings: Address, token, folder and limits.
        say: Told the server's address once it answers.

    Raises:
        InputError: The address cannot be used.
        WorkError: The server does not start.
    """
    sock = open_socket(settings.host, settings.port)
    with contextlib.closing(sock):
        app = create_app(models, settings)
        server = make_server(app, settings)
        server.on_started = lambda: say(address_of(sock))
        try:
            server.run(sockets=[sock])
        except SystemExit as error:  # uvicorn's way to say that the lifespan failed
            raise getattr(
                app.state, "failure", WorkError("The server does not start; its model failed.")
            ) from error


def address_of(sock: socket.socket) -> str:
    """Give the URL of an open socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
