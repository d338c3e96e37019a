"""Values for JSON, YAML and self-contained pages."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Turn nested values into what JSON and YAML can hold.

    Args:
        value: Mappings, lists, tuples, numbers and text.

    Returns:
        The same as dicts and lists, with None for numbers that are not finite.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def png_uri(png: bytes) -> str:
    """Write a PNG as the address of an image within a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
