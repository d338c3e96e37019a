"""What a sweep is made from: a base training configuration, penalties, variants and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from softcam.errors import InputError
from softcam.training.config import TrainConfig, make_config, wrong_setting
from softcam.workflows.settings import changes_no_number, same_setting

OWNED = frozenset({"out", "seed", "with_twin", "black_box"})
"""Training settings that the sweep itself gives to its runs."""

SWEEP_FILE = "sweep.yaml"

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class SweepConfig(BaseModel):
    """All settings of a sweep; `sweep.yaml` in its folder is one of these.

    Attributes:
        out: The folder of the sweep.
        base: Training settings that all runs share, as `softcam train` takes them.
        seeds: One run of each recipe for each of these seeds.
        l1: Weights of the sparse penalty, each alone; 0 is the dense model, always trained.
        l2: Weights of the smooth penalty, each alone.
        mixes: Pairs (l1, l2) of ElasticNet mixes.
        full_grid: Every l1 with every l2 as well.
        variants: Name to training settings that differ from the base, such as other stages.
        cross: The penalties on every variant too, and not on the base alone.
        plain_twins: For each variant also the same architecture trained plainly.
        select_by: "deletion" needs no annotation; "localisation" uses those of validation images.
        maps: "own", the class's map, or "contrast", its map less the mean of the others'.
        margin: How far the validation AUC may lie below the twin's; None for one standard error.
        limit: Most images whose maps are judged, in each split; 0 for all.
        resamples: Bootstrap resamples over patients.
        jobs: Runs at the same time, each a process.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    out: Path
    base: dict[str, Any]
    seeds: tuple[Seed, ...] = Field(default=(0, 1, 2), min_length=1)
    l1: tuple[Weight, ...] = ()
    l2: tuple[Weight, ...] = ()
    mixes: tuple[tuple[Weight, Weight], ...] = ()
    full_grid: bool = False
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    cross: bool = False
    plain_twins: bool = False
    select_by: Literal["deletion", "localisation"] = "deletion"
    maps: Literal["own", "contrast"] = "own"
    margin: float | None = Field(default=None, ge=0, lt=1)
    limit: int = Field(default=200, ge=0)
    resamples: int = Field(default=1000, ge=10)
    jobs: int = Field(default=1, ge=1, le=64)

    @field_validator("seeds", "l1", "l2", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | float) else value

    @field_validator("seeds", "l1", "l2", "mixes")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("mixes", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        """Take "0.01:0.1" for a pair."""
        if isinstance(value, list | tuple):
            return [item.split(":") if isinstance(item, str) else item for item in value]
        return value

    @field_validator("variants", mode="before")
    @classmethod
    def _settings(cls, value: Any) -> Any:
        """Take a variant without a colon's right side for one that changes nothing."""
        if isinstance(value, Mapping):
            return {name: {} if item is None else item for name, item in value.items()}
        return value

    def training(self) -> TrainConfig:
        """Give the base configuration, with this sweep's folder in place of a run's."""
        return make_config({**self.base, "out": self.out}, source="base")

    def to_yaml(self) -> str:
        """Write every setting, so that the file runs again as it stands."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def make_sweep(values: Mapping[str, Any], *, source: str = "sweep") -> SweepConfig:
    """Validate settings, and write out the base configuration in full.

    Args:
        values: Settings by name.
        source: Where they came from, for the message.

    Returns:
        The settings.

    Raises:
        InputError: Naming the first setting that is wrong, and why.
    """
    for name, how in (("base", "give training settings"), ("out", "name a folder with --out")):
        if values.get(name) is None:
            raise InputError(f"{source}: {name} is missing; {how}.")
    try:
        settings = SweepConfig.model_validate(dict(values))
    except pydantic.ValidationError as error:
        known = ", ".join(SweepConfig.model_fields)
        unknown = f"no such setting of a sweep; there are {known} (training's go under base)"
        raise wrong_setting(error, source, unknown) from error
    return settings.model_copy(update={"base": _complete(settings, source)})


def _complete(settings: SweepConfig, source: str) -> dict[str, Any]:
    """Give every training setting that runs share."""
    given = dict(settings.base)
    if given.pop("black_box", False):
        raise InputError(f"{source}: base: black_box is the sweep's own twin; leave it out.")
    first_seed = given.get("seed", 0)
    given = {name: value for name, value in given.items() if name not in OWNED}
    if given.get("table") is None:
        raise InputError(f"{source}: table is missing; name the table.")
    base = make_config({**given, "out": settings.out, "seed": first_seed}, source=source)
    if base.split_seed is None:  # all runs must share the splits, whatever their seeds
        base = base.model_copy(update={"split_seed": base.seed})
    shared = base.model_dump(mode="json")
    return {name: value for name, value in shared.items() if name not in OWNED}


def read_sweep(
    path: Path,
    sweep: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> SweepConfig:
    """Read a YAML file: a sweep's, with a `base`, or a training configuration to take as base.

    Args:
        path: The file; relative paths in it are taken from the current folder.
        sweep: Settings of the sweep that win over the file's.
        training: Training settings that win over the file's.

    Returns:
        The settings.

    Raises:
        InputError: If the file cannot be read or a setting is wrong.
    """
    values = read_settings(path)
    if not set(values) & (set(SweepConfig.model_fields) - set(TrainConfig.model_fields)):
        values.pop("out", None)  # a run's folder, not the sweep's
        values = {"base": values}
    base = values.get("base") or {}
    if not isinstance(base, Mapping):
        raise InputError(f"{path}: base must hold training settings as `name: value` lines.")
    joined = {**values, **(sweep or {}), "base": {**base, **(training or {})}}
    return make_sweep(joined, source=str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of `name: value` lines.

    Raises:
        InputError: If it cannot be read or holds anything else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read; give a YAML file.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold settings as `name: value` lines.")
    return values


def sweep_for(
    sweep: Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    config: Path | None = None,
    resume: bool = False,
) -> SweepConfig:
    """Join flags with a YAML file, or with the settings of the sweep to resume.

    A resumed sweep may be widened (more weights, variants or seeds), judged by another rule and
    run by other means (jobs, device, workers, cache); what its runs share stays as it was.

    Args:
        sweep: Settings of the sweep given on the command line.
        training: Training settings given on the command line.
        config: A YAML file; flags win over it.
        resume: Take the settings of the sweep in `sweep["out"]`.

    Returns:
        The settings.

    Raises:
        InputError: If a setting is wrong, or differs from what the sweep's runs were trained with.
    """
    if not resume:
        if config is not None:
            return read_sweep(config, sweep, training)
        return make_sweep({**sweep, "base": dict(training)})
    if config is not None:
        raise InputError("sweep: --resume takes the sweep's own settings; leave out --config.")
    if "out" not in sweep:
        raise InputError("sweep: --resume needs --out, the folder of the sweep to go on with.")
    path = Path(sweep["out"]) / SWEEP_FILE
    if not path.is_file():
        raise InputError(f"{sweep['out']}: holds no sweep to resume (no {SWEEP_FILE}).")
    stored = read_sweep(path)
    wanted = read_sweep(path, sweep, training)
    before, now = stored.training(), wanted.training()
    for name in training:
        was, given = getattr(before, name, None), getattr(now, name, None)
        if not changes_no_number(name) and not same_setting(was, given):
            raise InputError(
                f"{path}: the sweep was started with {name} {was}, not {given}; resume it "
                "without, or start another sweep."
            )
    changed = [
        name for name, was in stored.variants.items() if wanted.variants.get(name, was) != was
    ]
    if changed:
        raise InputError(
            f"{path}: variant {changed[0]} was started with {stored.variants[changed[0]]}; give "
            "the new one another name."
        )
    together = {
        name: list(dict.fromkeys([*getattr(stored, name), *getattr(wanted, name)]))
        for name in ("seeds", "l1", "l2", "mixes")
    }
    together |= {"variants": {**stored.variants, **wanted.variants}}  # type: ignore[dict-item]
    return make_sweep({**wanted.model_dump(), **together}, source=str(path))
