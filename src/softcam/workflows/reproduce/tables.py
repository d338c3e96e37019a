"""The two YAML files that come with softcam: penalty weights, and published figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.evaluation.explanations.measures import MEASURE
from softcam.explanation.attributions.methods import METHODS
from softcam.files import write_atomically
from softcam.report.reproduction.content import ANSWERED, ROLES, Published
from softcam.workflows.reproduce.papers import DATA_SETS, MODELS
from softcam.workflows.sweep.settings import read_settings

PENALTIES, PUBLISHED = "penalties.yaml", "published.yaml"


@dataclass(frozen=True)
class Penalty:
    """The penalty weights of one task and backbone.

    Attributes:
        l1: Of the sparse SoftCAM; None leaves it out.
        l2: Of the smooth one; None leaves it out.
        source: Where they come from.
    """

    l1: float | None = None
    l2: float | None = None
    source: str = ""

    def roles(self) -> dict[str, tuple[float, float]]:
        """Give the weights (l1, l2) of each penalised model."""
        found = {}
        if self.l1:
            found["sparse"] = (self.l1, 0.0)
        if self.l2:
            found["smooth"] = (0.0, self.l2)
        if self.l1 and self.l2:
            found["elastic"] = (self.l1, self.l2)
        return found


@dataclass(frozen=True)
class PublishedFigures:
    """Published figures of all data sets.

    Attributes:
        sources: Key to where figures were read.
        figures: (data set, task, model, role or method, measure) to the figure, where known.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[tuple[str, str, str, str, str], Published] = field(default_factory=dict)

    def of(self, data_set: str, task: str, model: str) -> dict[tuple[str, str], Published]:
        """Take the figures of one task and backbone."""
        return {
            key[3:]: one for key, one in self.figures.items() if key[:3] == (data_set, task, model)
        }


def packaged(name: str) -> str:
    """Read a file that comes with softcam."""
    return (files("softcam.workflows.reproduce") / name).read_text("utf-8")


def read_penalties(path: Path) -> dict[tuple[str, str, str], Penalty]:
    """Read penalty weights.

    Args:
        path: The YAML file.

    Returns:
        (data set, task, model) to its weights.

    Raises:
        InputError: If the file cannot be read; it names the first entry that is wrong.
    """
    found = {}
    for key, value in _leaves(path, read_settings(path), "penalties"):
        values = _mapping(path, key, value, "{l1: ..., l2: ..., source: ...}")
        if strange := set(values) - {"l1", "l2", "source"}:
            raise _wrong(path, key, f"{min(map(str, strange))} is none of l1, l2, source")
        weights = {}
        for name in ("l1", "l2"):
            weight = values.get(name)
            if weight is not None and not (_is_number(weight) and weight >= 0):
                raise _wrong(path, (*key, name), f"{weight!r} is no weight; give 0, more, or null")
            weights[name] = None if weight is None else float(weight)
        found[key] = Penalty(weights["l1"], weights["l2"], str(values.get("source") or ""))
    return found


def read_published(path: Path) -> PublishedFigures:
    """Read published figures.

    Args:
        path: The YAML file.

    Returns:
        The figures that are known.

    Raises:
        InputError: If the file cannot be read; it names the first entry that is wrong.
    """
    values = read_settings(path)
    if strange := set(values) - {"sources", "figures"}:
        raise _wrong(path, (str(min(map(str, strange))),), "is none of sources, figures")
    sources = _mapping(path, ("sources",), values.get("sources") or {}, "name: text")
    found = {}
    for key, value in _leaves(path, values.get("figures") or {}, "figures"):
        for of, measures in _mapping(path, key, value, "models or methods").items():
            if of not in ROLES and of not in METHODS:
                raise _wrong(
                    path, (*key, str(of)), f"is no model ({', '.join(ROLES)}) and no method"
                )
            for name, given in _mapping(path, (*key, of), measures, "measures").items():
                if name not in ANSWERED and name not in MEASURE:
                    raise _wrong(path, (*key, of, str(name)), "is no measure that is taken")
                if (one := _figure(path, (*key, of, name), given, sources)) is not None:
                    found[(*key, of, name)] = one
    return PublishedFigures({str(k): " ".join(str(v).split()) for k, v in sources.items()}, found)


def write_once(folder: Path, name: str, text: str) -> Path:
    """Write a file that a user may edit, unless it is there."""
    path = folder / name
    return path if path.is_file() else write_atomically(path, text)


def _figure(
    path: Path, key: tuple[str, ...], given: Any, sources: Mapping[str, Any]
) -> Published | None:
    source = ""
    if isinstance(given, Mapping):
        if strange := set(given) - {"value", "source"}:
            raise _wrong(path, key, f"{min(map(str, strange))} is none of value, source")
        source = str(given.get("source") or "")
        if source and source not in sources:
            raise _wrong(path, key, f"the source {source!r} is not under sources; add it there")
        given = given.get("value")
    if given is None:
        return None
    if not _is_number(given):
        raise _wrong(path, key, f"{given!r} is no number; give one, or null if it is not known")
    return Published(float(given), source)


def _leaves(path: Path, values: Any, what: str) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Walk through data sets, tasks and models, and refuse what there is not."""
    for data_set, tasks in _mapping(path, (what,), values, "data sets").items():
        if data_set not in DATA_SETS:
            raise _wrong(path, (str(data_set),), f"is no data set; use {', '.join(DATA_SETS)}")
        known = [task.name for task in DATA_SETS[data_set].tasks]
        for task, models in _mapping(path, (data_set,), tasks or {}, "tasks").items():
            if task not in known:
                raise _wrong(path, (data_set, str(task)), f"is no task; use {', '.join(known)}")
            for model, value in _mapping(path, (data_set, task), models or {}, "models").items():
                if model not in MODELS:
                    where = (data_set, task, str(model))
                    raise _wrong(path, where, f"is no model; use {', '.join(MODELS)}")
                yield (data_set, task, model), {} if value is None else value


def _mapping(path: Path, key: tuple[str, ...], value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(path, key, f"must hold {what}, not {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(path: Path, key: tuple[str, ...], why: str) -> InputError:
    return InputError(f"{path}: {'.'.join(map(str, key))}: {why}.")
