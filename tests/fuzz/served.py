"""The server that the run of hostile requests is sent to; it prints its port.

`python -m tests.fuzz.served FOLDER` serves the images of a folder, and keeps its case log there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from softcam.web.limits import Limits
from softcam.web.models import serve_predictor
from softcam.web.server import serve
from softcam.web.settings import Settings
from tests.web.conftest import Blocks, png

LIMITS = Limits(
    rate=1e6,
    burst=1_000_000,
    body=8 << 20,
    body_seconds=3.0,
    header_seconds=3.0,
    decoders=2,
    decode_seconds=15.0,
    log=64 << 20,
)
"""Times that are short, so that a run of slow requests is not."""

CASES = "cases.db"


def prepared(folder: Path) -> list[Path]:
    """Put into a folder what is served, and give these files."""
    images = folder / "images"
    images.mkdir()
    image = images / "a.png"
    image.write_bytes(png(np.zeros((9, 9), np.uint8)))
    return [image]


def main() -> None:
    """Serve until the process is ended."""
    folder = Path(sys.argv[1])
    settings = Settings(port=0, folder=folder / "images", cases=folder / CASES, limits=LIMITS)
    models = {"blocks": serve_predictor("blocks", Blocks())}
    serve(models, settings, lambda url: print(url.rpartition(":")[2], flush=True))


if __name__ == "__main__":
    main()
