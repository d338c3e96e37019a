"""Arrays kept on disk by content, so that work that was done once is found again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.files import write_atomically


def digest_of(*parts: str | npt.NDArray[Any]) -> str:
    """Identify what an array was computed from.

    Args:
        parts: Texts and arrays.

    Returns:
        A hexadecimal digest.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, str):
            digest.update(f"{len(part)}:{part}".encode())
        else:
            whole = np.ascontiguousarray(part)
            digest.update(f"{whole.dtype}{whole.shape}".encode())
            digest.update(whole.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class ArrayStore:
    """A folder of arrays, each found by a digest.

    Args:
        folder: Where they are kept; None to keep none. Its files may be deleted at any time, and
            a damaged one counts as missing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, digest: str, *, ndim: int, dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
        """Find an array.

        Args:
            digest: What it was computed from.
            ndim: Its number of axes.
            dtype: Its type.

        Returns:
            The array; None if it is not there.
        """
        path = self._path(digest)
        if path is None or not path.is_file():
            return None
        try:
            values = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = isinstance(values, np.ndarray) and values.ndim == ndim and values.dtype == dtype
        return values if fits else None

    def write(self, digest: str, values: npt.NDArray[Any]) -> None:
        """Keep an array.

        Raises:
            InputError: If the folder cannot be written.
        """
        path = self._path(digest)
        if path is None:
            return
        stream = io.BytesIO()
        np.save(stream, values, allow_pickle=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{path.parent}: cannot keep maps here ({error.strerror}); choose another --cache."
            ) from error
        write_atomically(path, stream.getvalue())

    def _path(self, digest: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / digest[:2] / f"{digest}.npy"


def missing_rows(found: Iterable[object | None]) -> list[int]:
    """Say which of some arrays were not found."""
    return [row for row, value in enumerate(found) if value is None]
