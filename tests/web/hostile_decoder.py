"""The process that decodes, with a job more: what hostile files try, for the tests of its bounds.

`DecoderPool` starts it as it starts `softcam.web.decoder`, whose main and whose bounds it has.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np

from softcam.web import decoder


def bombard(message: dict[str, Any], blobs: list[bytes]) -> decoder.Reply:
    """Take all time or memory, crash, write a file, or fail as a defect does."""
    what = message["what"]
    if what == "spin":
        while True:
            pass
    if what == "memory":
        # As readers ask for it: Python's own bytes may end the process where they get none.
        return {"length": len(np.ones(1 << 40, np.uint8))}, []
    if what == "crash":
        signal.raise_signal(signal.SIGKILL)
    if what == "write":
        Path(message["path"]).write_bytes(b"not allowed")
    raise KeyError("a defect")


if __name__ == "__main__":
    decoder.JOBS["bombard"] = bombard
    decoder.main()
