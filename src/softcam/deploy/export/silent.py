"""OpenVINO without its reports home."""

from __future__ import annotations

import sys
from typing import Any

from softcam.errors import MissingExtraError

_REPORTER = "openvino_telemetry"


def load_openvino() -> Any:
    """Import OpenVINO so that it tells nobody that it is used.

    Its import sends a message to its makers where the package `openvino_telemetry` is installed,
    which it brings. Machines that read patients' images send nothing: that package is kept from
    being imported, and OpenVINO goes on without it.

    Returns:
        The module `openvino`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    if _REPORTER not in sys.modules:
        sys.modules[_REPORTER] = None  # type: ignore[assignment]  # "not there", says Python
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError(
            "exported OpenVINO graphs need openvino, which is not installed; run: "
            'pip install "softcam[export]"'
        ) from error
    return openvino
