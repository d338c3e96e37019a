"""Files that appear whole or not at all, and folders that one process works in at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from softcam.errors import InputError


def _umask() -> int:
    """Read the umask, which can only be read by setting it."""
    value = os.umask(0o077)
    os.umask(value)
    return value


def folder_mode() -> int:
    """Give the permissions that a new folder has here."""
    return 0o777 & ~_umask()


def reason_of(error: OSError) -> str:
    """Say why a file could not be used; libraries raise errors of their own from the system's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


@contextmanager
def folder_for(path: Path) -> Iterator[Path]:
    """Make a folder, and take it away again where nothing came to lie in it.

    Args:
        path: The folder; one that exists stays as it is.

    Yields:
        The folder.

    Raises:
        OSError: If it cannot be made.
    """
    new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        if new:
            with suppress(OSError):  # not empty: it is of use
                path.rmdir()


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Write a file beside its place and move it there, so that no reader meets half of it.

    Args:
        path: Where to write; an existing file is replaced, its folder must exist.
        content: Bytes, or text written as UTF-8.

    Returns:
        The path.

    Raises:
        InputError: If the folder does not exist or cannot be written, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as stream:
        stream.write(data)
    return path


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file piece by piece that takes its place only when it is whole and on the disk.

    A process that dies inside leaves the old file as it was, and `.NAME.XXXX` beside it.

    Args:
        path: Where to write; an existing file is replaced, its folder must exist.

    Yields:
        A stream to write to.

    Raises:
        InputError: If the folder does not exist or cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())  # as any program would; mkstemp's 0600 is stricter
        temporary.replace(path)
        _settle(path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: cannot write here ({reason_of(error)}); choose a folder that exists, is "
            "writable and has room."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Make a rename outlive a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def lock_name(command: str) -> str:
    """Name the file by which `locked` keeps a second command out of a folder."""
    return f"{command}.lock"


@contextmanager
def locked(out: Path, command: str = "sweep") -> Iterator[None]:
    """Keep a second command out of a folder; the lock ends with the process, however it ends.

    Args:
        out: The folder.
        command: The command that works in it.

    Raises:
        InputError: If the folder cannot be written, or such a command is at work there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / lock_name(command), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(
            f"{out}: cannot write here ({error.strerror}); choose another --out."
        ) from error
    try:
        try:
            import fcntl
        except ImportError:  # not on Windows
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{out}: another softcam {command} is at work in this folder; wait for it or "
                "stop it."
            ) from error
        yield
    finally:
        os.close(handle)
