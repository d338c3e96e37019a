"""One frame of a file that holds several, named as in `scan.dcm#3`."""

from __future__ import annotations

import os
import re
from pathlib import Path

from softcam.errors import InputError


class FrameError(InputError):
    """A file holds several frames and none, or one that is not there, was named.

    Attributes:
        count: How many there are; None if it is only known that there are several.
        asked: The frame that was asked for, counted from 1; None if none was named.
    """

    def __init__(self, message: str, count: int | None, asked: int | None) -> None:
        super().__init__(message)
        self.count = count
        self.asked = asked


_NUMBERED = re.compile(r"(.+)#([0-9]{1,9})", re.DOTALL)


def split_frame(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """Split a path such as `scan.dcm#3` into the file and the frame.

    A file whose own name ends so is taken as it is.

    Args:
        path: Path of an image file, with or without a frame number.

    Returns:
        The file, and the frame counted from 1, or None if none is named.
    """
    text = os.fspath(path)
    match = _NUMBERED.fullmatch(text)
    if match is None or os.path.lexists(text):
        return Path(path), None
    return Path(match[1]), int(match[2])


def choose_frame(name: str, frame: int | None, count: int | None, what: str = "frame") -> int:
    """Settle which frame of a file is read.

    A frame is never chosen for the user: which one shows the disease, nobody but the user knows.

    Args:
        name: What error messages call the file.
        frame: The frame asked for, counted from 1; None if none was named.
        count: How many there are; None if it is only known that there are several.
        what: What one is called: frame, page or slice.

    Returns:
        The frame, counted from 0.

    Raises:
        FrameError: There are several and none was named, or there is no such frame.
    """
    if frame is None:
        if count == 1:
            return 0
        many = "several" if count is None else str(count)
        raise FrameError(
            f"{name} holds {many} {what}s; name one, counted from 1, as in {Path(name).name}#1.",
            count,
            frame,
        )
    if frame < 1 or (count is not None and frame > count):
        there = f"it holds {count}" if count is not None else "they are counted from 1"
        raise FrameError(f"{name} has no {what} {frame}; {there}.", count, frame)
    return frame - 1
