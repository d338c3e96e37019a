"""The libraries of the extra `scores`, imported when they are needed, or named when missing."""

from __future__ import annotations

import importlib
import os
from typing import Any

from softcam.errors import MissingExtraError


def pyarrow() -> Any:
    """Import pyarrow, which writes and reads Parquet.

    Raises:
        MissingExtraError: It is not installed.
    """
    return _import("pyarrow", "Results of a table", "scores")


def zarr() -> Any:
    """Import zarr, which stores the maps in chunks.

    Raises:
        MissingExtraError: It is not installed.
    """
    return _import("zarr", "Evidence maps of a table", "scores")


def ray(address: str) -> Any:
    """Import Ray, which spreads the work over machines.

    Args:
        address: The cluster to work on; "local" is kept to the loopback address.

    Raises:
        MissingExtraError: It, or Ray Data, is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no reports about the user
    if address == "local":
        # Read when Ray is imported. Ray would else listen on this machine's address in its
        # network; the switch works on Linux too.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    _import("ray.data", "Work on several machines", "ray")
    return _import("ray", "Work on several machines", "ray")


def _import(name: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = name.partition(".")[0]
        raise MissingExtraError(
            f'{what} need {missing}, which is not installed; run: pip install "softcam[{extra}]"'
        ) from error
