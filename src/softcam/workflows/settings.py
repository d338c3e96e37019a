"""The settings of a training command: flags, a YAML file, or an interrupted run's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.training.config import TrainConfig, make_config, read_config

HOW_NOT_WHAT = frozenset(
    {"device", "workers", "cache", "cache_gb", "checkpoint_steps", "mlflow", "mlflow_uri"}
)
"""Settings that may change between the parts of a run, since they change none of its numbers."""


def settings_for(
    flags: Mapping[str, Any], *, config: Path | None = None, resume: bool = False
) -> TrainConfig:
    """Join flags with a YAML file, or with the settings of the run to resume.

    Args:
        flags: Settings given on the command line.
        config: A YAML file; flags win over it.
        resume: Take the settings of the unfinished run in `flags["out"]`.

    Returns:
        The settings.

    Raises:
        InputError: If a setting is wrong, or differs from that of the run to resume.
    """
    if not resume:
        if config is not None:
            return read_config(config, dict(flags))
        for name, how in (("table", "name the table"), ("out", "name a folder with --out")):
            if name not in flags:
                raise InputError(f"train: {name} is missing; {how}, or give --config.")
        return make_config(dict(flags))
    if config is not None:
        raise InputError("train: --resume takes the run's own settings; leave out --config.")
    if "out" not in flags:
        raise InputError("train: --resume needs --out, the folder of the run to go on with.")
    stored_in = Path(flags["out"]) / "config.yaml"
    if not stored_in.is_file():
        raise InputError(f"{flags['out']}: holds no run to resume (no config.yaml).")
    stored = read_config(stored_in)
    wanted = make_config({**stored.model_dump(), **flags})
    for name in flags:
        before, now = getattr(stored, name), getattr(wanted, name)
        if name == "out" or name in HOW_NOT_WHAT or _same(before, now):
            continue
        raise InputError(
            f"{stored_in}: the run was started with {name} {before}, not {now}; resume it without "
            f"--{name.replace('_', '-')}, or start another run."
        )
    return wanted


def _same(before: object, now: object) -> bool:
    if isinstance(before, Path) and isinstance(now, Path):
        return before.resolve() == now.resolve()
    return before == now


def changes_no_number(name: str) -> bool:
    """Tell whether a setting may change between the parts of a run."""
    return name in HOW_NOT_WHAT


def same_setting(before: object, now: object) -> bool:
    """Tell whether two values of a setting mean the same; of paths, whether they lead there."""
    return _same(before, now)
