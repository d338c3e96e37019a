"""Settings of `softcam sweep` and `softcam reproduce` as they are given on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softcam.errors import InputError


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out options that were not given, so that a file's settings and defaults hold.

    Args:
        options: Option to value; None and what is empty were not given.

    Returns:
        The others.
    """
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def assignment(text: str, option: str) -> tuple[str, Any]:
    """Read name=value; the value is read as YAML, so that lists and numbers are what they are.

    Args:
        text: What the command line holds.
        option: The option that it was given to, for the message.

    Returns:
        The setting's name and its value.

    Raises:
        InputError: If it is no name=value.
    """
    import yaml

    name, sign, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not sign or not name:
        raise InputError(f"{option}: {text!r} is no name=value.")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"{option}: {name}: {value!r} is no value.") from error
