"""Which runs are one model trained with several seeds, and what rows of a table are called."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from softcam.errors import InputError
from softcam.evaluation.comparison.result import Group

_NOT_THE_MODEL = ("seed", "out", "cache", "cache_gb", "workers", "with_twin")
"""Settings that may differ between the seeds of one model."""

_SEED = r"(?:[-_. ]*(?:seed|(?<![a-zA-Z])s))?[-_. ]*\d*$"  # what stands in front of its number


@dataclass(frozen=True)
class Named:
    """A RUN argument.

    Attributes:
        text: As it was given.
        path: The folder or model file.
        name: The name given with it, if any.
    """

    text: str
    path: Path
    name: str | None = None

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.path.parent if self.path.is_file() else self.path

    @classmethod
    def of(cls, text: str) -> Named:
        """Read RUN or NAME=RUN; a path that exists is a path even with a sign in it."""
        name, sign, rest = text.partition("=")
        if sign and name and rest and not Path(text).exists():
            return cls(text, Path(rest), name)
        return cls(text, Path(text))


def group_runs(runs: Sequence[Named]) -> tuple[list[Group], list[list[int]]]:
    """Put runs together whose settings differ in the seed alone.

    Runs without a `config.yaml` (evaluations) stay alone, and so do runs of the same seed, which
    are copies and not seeds of a model.

    Args:
        runs: The runs.

    Returns:
        The groups in the order of their first run, and the positions of their runs.

    Raises:
        InputError: If a run is given twice, a `config.yaml` cannot be read, or two groups have the
            same name.
    """
    places: dict[Path, str] = {}
    for run in runs:
        place = run.folder.resolve()
        if place in places:
            raise InputError(f"{run.text}: is given twice; leave one out.")
        places[place] = run.text
    settings = [_settings(run.folder) for run in runs]
    members: list[list[int]] = []
    for position, one in enumerate(settings):
        home = next((m for m in members if one and _belongs(one, [settings[i] for i in m])), None)
        if home is None:
            members.append([position])
        else:
            home.append(position)
    shown = _short([run.folder for run in runs])
    groups = []
    for each in members:
        known = [one[1] for i in each if (one := settings[i]) is not None]
        given = next((name for i in each if (name := runs[i].name)), None)
        groups.append(
            Group(
                given or _common([shown[i] for i in each]),
                tuple(str(runs[i].path) for i in each),
                tuple(known) if len(known) == len(each) else (),
            )
        )
    return _distinct(groups, runs, members), members


def find_reference(
    text: str | None, runs: Sequence[Named], groups: Sequence[Group], members: Sequence[list[int]]
) -> int:
    """Find the group that the others are compared with.

    Args:
        text: A run as it was given, its path, or a name; the first group if None.
        runs: The runs.
        groups: Their groups.
        members: Positions of the groups' runs.

    Returns:
        The position of the group.

    Raises:
        InputError: If nothing is called so.
    """
    if text is None:
        return 0
    wanted = Named.of(text)
    for position, (group, each) in enumerate(zip(groups, members, strict=True)):
        if text in (group.name, group.label):
            return position
        for run in (runs[i] for i in each):
            if text == run.text or text == run.name:
                return position
            if wanted.path.exists() and wanted.folder.resolve() == run.folder.resolve():
                return position
    names = ", ".join(group.name for group in groups)
    raise InputError(f"--reference: {text} is none of the runs; give one of {names}.")


def _settings(folder: Path) -> tuple[str, int] | None:
    """Read what makes a run's model, and its seed; None for an evaluation."""
    path = folder / "config.yaml"
    if not path.is_file():
        return None
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        kept = {name: value for name, value in values.items() if name not in _NOT_THE_MODEL}
        return json.dumps(kept, sort_keys=True, default=str), int(values.get("seed", 0))
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}: cannot be read as the settings of a run; put the run's own file back."
        ) from error


def _belongs(one: tuple[str, int], others: Sequence[tuple[str, int] | None]) -> bool:
    return all(other is not None and other[0] == one[0] and other[1] != one[1] for other in others)


def _short(folders: Sequence[Path]) -> list[str]:
    """Name folders from the one that holds them all."""
    places = [folder.resolve() for folder in folders]
    root = Path(os.path.commonpath(places))
    if root in places:  # a run and its twin within it
        root = root.parent
    return [place.relative_to(root).as_posix() for place in places]


def _common(names: Sequence[str]) -> str:
    """Name a group by what its runs' names have in common, without the seed: a-s0, a-s1: a."""
    if len(names) == 1:
        return names[0]
    parts = [name.split("/") for name in names]
    if len({len(part) for part in parts}) > 1:
        return names[0]
    kept = []
    for column in zip(*parts, strict=True):
        if len(set(column)) == 1:
            kept.append(column[0])
            continue
        length = next(
            (i for i, signs in enumerate(zip(*column, strict=False)) if len(set(signs)) > 1),
            min(map(len, column)),
        )
        kept.append(re.sub(_SEED, "", column[0][:length]))
    return "/".join(part for part in kept if part) or names[0]


def _distinct(
    groups: list[Group], runs: Sequence[Named], members: Sequence[list[int]]
) -> list[Group]:
    """Refuse names that the user gave twice, and tell others apart by their first run."""
    names = [group.name for group in groups]
    result = []
    for group, each in zip(groups, members, strict=True):
        if names.count(group.name) == 1:
            result.append(group)
            continue
        if any(runs[i].name == group.name for i in each):
            raise InputError(f"{group.name}: names two models; give each its own name as NAME=RUN.")
        result.append(Group(str(runs[each[0]].path), group.runs, group.seeds))
    return result
