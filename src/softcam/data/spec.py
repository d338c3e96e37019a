"""What the labels and findings of a data set mean: `dataset.yaml`, and the spec that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from softcam.data.wording import LONGEST, listed, printable, quoted
from softcam.errors import InputError
from softcam.evidence.info import Task

DISTRACTOR = "distractor"
"""A finding where evidence is wrong, such as the optic disc."""
ORGAN = "organ"
"""A finding that bounds where evidence may lie, such as the lung."""
OWN_CLASS = ""
"""A finding that speaks for the class of the image that it is marked in."""

_LONGEST_PATH = 1024
_MAX_BYTES = 1 << 20  # of a dataset.yaml; its reader takes a minute for 10 MiB


@dataclass(frozen=True)
class DatasetSpec:
    """What the labels and findings of a data set mean.

    Attributes:
        task: What the labels are.
        classes: Class names in the order of the labels; for a binary task the positive is second.
        positive: The class that a binary task looks for; None for the other tasks.
        findings: Annotated finding to the class it speaks for, or "distractor", "organ", or ""
            for the class of the image that it is marked in.
        values: Label in the table to class name, for every label that names a class.
    """

    task: Task
    classes: tuple[str, ...]
    positive: str | None = None
    findings: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict, compare=False)

    def findings_for(self, class_name: str) -> tuple[str, ...]:
        """The findings that are evidence for a class, in an image of that class."""
        return tuple(f for f, what in self.findings.items() if what in (class_name, OWN_CLASS))

    def distractors(self) -> tuple[str, ...]:
        """The findings where evidence is wrong."""
        return tuple(f for f, what in self.findings.items() if what == DISTRACTOR)

    def organs(self) -> tuple[str, ...]:
        """The findings that bound where evidence may lie."""
        return tuple(f for f, what in self.findings.items() if what == ORGAN)


@dataclass(frozen=True)
class PartialSpec:
    """What `dataset.yaml` says; whatever it leaves open is None or empty.

    Attributes:
        path: The file, for error messages.
        task: What the labels are.
        classes: Class names in order.
        values: Label in the table to class name, when the file maps them; the order is `classes`.
        positive: The positive class, by name or by its label in the table.
        findings: Finding to class (by name or by its label), "distractor" or "organ".
        images: Folder of the images, relative to the table's folder.
    """

    path: Path | None = None
    task: Task | None = None
    classes: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    positive: str | None = None
    findings: Mapping[str, str] = field(default_factory=dict)
    images: str | None = None

    @property
    def source(self) -> str:
        """The file as error messages name it."""
        return str(self.path) if self.path else "dataset.yaml"


def read_spec(path: Path | str) -> PartialSpec:
    """Read a `dataset.yaml`.

    Its keys, all optional: `task` (binary, multiclass, ordinal, multilabel), `classes` (a list of
    names in order, or a mapping from the label in the table to the name), `positive` (a class),
    `findings` (finding to class, `distractor` or `organ`), `images` (the image folder).

    Args:
        path: The YAML file.

    Returns:
        What the file says.

    Raises:
        InputError: The file cannot be read, or a key or value is not one of these.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(
                f"{path} has more than {_MAX_BYTES >> 20} MiB, too much for a description of "
                "classes; correct the file."
            )
        data = yaml.safe_load(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; correct the path or leave it out.") from error
    except InputError:
        raise
    # PyYAML raises a ValueError for a date such as 2020-99-99, and follows brackets by recursion.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = printable(error)
        raise InputError(f"{path} cannot be read as YAML ({reason}); correct the file.") from error
    if data is None:
        return PartialSpec(path)
    reader = _SpecReader(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no keys; write lines such as `task: binary`.")
    known = ("task", "classes", "positive", "findings", "images")
    for key in data:
        if key not in known:
            raise InputError(f"{path} has the unknown key {quoted(key)}; use {', '.join(known)}.")
    values, classes = reader.classes(data.get("classes"))
    positive = data.get("positive")
    images = data.get("images")
    if images is not None and not _is_path(images):
        raise InputError(f"{path}: images is {quoted(images)}; give a folder's name.")
    return PartialSpec(
        path=path,
        task=reader.task(data.get("task")),
        classes=classes,
        values=values,
        positive=None if positive is None else reader.text("positive", positive),
        findings=reader.findings(data.get("findings")),
        images=images,
    )


def merge_specs(spec: DatasetSpec, own: PartialSpec) -> PartialSpec:
    """Read a data set in the terms of another spec, for instance a model's.

    Args:
        spec: Its task, classes and their order hold.
        own: What the data set's own `dataset.yaml` says: how its labels name the classes, what
            its findings mean, and where its images are.

    Returns:
        Both as one.

    Raises:
        InputError: The data set has a class that the spec lacks.
    """
    strange = [name for name in own.classes if name not in spec.classes]
    if strange:
        raise InputError(
            f"{own.source} has the class {strange[0]!r}, which is none of the expected "
            f"{listed(spec.classes)}; map its labels to these names."
        )
    values = dict(own.values or spec.values)
    if own.classes and not own.values:
        # A plain list lets labels be its own indices, which the spec's order may differ from.
        values = {str(i): name for i, name in enumerate(own.classes)}
    return replace(
        own,
        task=spec.task,
        classes=spec.classes,
        values=values,
        positive=spec.positive,
        findings={**spec.findings, **own.findings},
    )


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_PATH


class _SpecReader:
    """The checks of single values, with the file's name at hand."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def task(self, value: Any) -> Task | None:
        if value is None:
            return None
        try:
            return Task(value.strip().lower() if isinstance(value, str) else "")
        except ValueError as error:
            tasks = ", ".join(Task)
            raise InputError(
                f"{self._path}: task is {quoted(value)}; use one of {tasks}."
            ) from error

    def text(self, key: str, value: Any) -> str:
        """A name or an integer; YAML reads a bare yes, no, on or off as a truth value."""
        if isinstance(value, bool):
            raise InputError(
                f"{self._path}: {key} holds {value}, which YAML reads as true or false; put the "
                "name in quotes."
            )
        short = isinstance(value, str) or (isinstance(value, int) and value.bit_length() < 64)
        if not short or not str(value).strip():
            raise InputError(
                f"{self._path}: {key} holds {quoted(value)}; give a name or an integer."
            )
        text = str(value).strip()
        if len(text) > LONGEST or not text.isprintable():
            raise InputError(
                f"{self._path}: {key} holds {quoted(text)}; give a name of up to {LONGEST} "
                "letters in one line."
            )
        return text

    def classes(self, value: Any) -> tuple[dict[str, str], tuple[str, ...]]:
        if value is None:
            return {}, ()
        mapping: dict[str, str] = {}
        if isinstance(value, dict):
            for label, name in value.items():
                mapping[self.text("classes", label)] = self.text("classes", name)
            # Several labels may share a name, which merges them into one class.
            names = tuple(dict.fromkeys(mapping.values()))
        elif isinstance(value, list):
            names = tuple(self.text("classes", name) for name in value)
        else:
            raise InputError(
                f"{self._path}: classes is {quoted(value)}; give a list of names, or a mapping "
                "from the label in the table to the name."
            )
        for name, times in Counter(names).items():
            if name in (DISTRACTOR, ORGAN):
                raise InputError(
                    f"{self._path}: a class cannot be called {name!r}, which is what a finding "
                    "can mean; choose another name."
                )
            if times > 1:
                raise InputError(f"{self._path}: the class {name!r} is listed twice; keep one.")
        if not names:
            raise InputError(f"{self._path}: classes is empty; name the classes or leave it out.")
        return mapping, names

    def findings(self, value: Any) -> dict[str, str]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InputError(
                f"{self._path}: findings is {quoted(value)}; give lines such as `exudate: 1` or "
                "`optic_disc: distractor`."
            )
        return {
            self.text("findings", name): self.text(f"findings.{name}", what)
            for name, what in value.items()
        }
