"""The server that the run of hostile requests is sent to; it prints its port."""

from __future__ import annotations

import tempfile
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
)
"""Times that are short, so that a run of slow requests is not."""


def main() -> None:
    """Serve until the process is ended."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
        settings = Settings(port=0, folder=Path(folder), limits=LIMITS)
        models = {"blocks": serve_predictor("blocks", Blocks())}
        serve(models, settings, lambda url: print(url.rpartition(":")[2], flush=True))


if __name__ == "__main__":
    main()
