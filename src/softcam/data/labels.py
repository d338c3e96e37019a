"""From the text of a label to the index of its class."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from softcam.data.spec import PartialSpec
from softcam.data.wording import listed, quoted
from softcam.errors import InputError

_MISSING = {"", "nan", "na", "n/a", "none", "null", "<na>"}
_INTEGER = re.compile(r"-?\d+")
_NORMAL = re.compile(r"(normal|healthy|negative|control)s?|non?[_\- ].+")


def canonical(text: str) -> str:
    """The label without the ".0" that a spreadsheet or a float column adds to an integer."""
    return re.sub(r"^(-?\d+)\.0*$", r"\1", text.strip())


@dataclass(frozen=True)
class Classes:
    """The classes of a data set and how the table's labels name them.

    Attributes:
        names: Class names in order.
        values: Label in the table to class name, for labels that are not the names themselves.
        declared: Whether the user listed the classes; otherwise they were collected.
    """

    names: tuple[str, ...]
    values: Mapping[str, str]
    declared: bool

    @cached_property
    def _index(self) -> dict[str, int]:
        order = {name: i for i, name in enumerate(self.names)}
        index = {value: order[name] for value, name in self.values.items()}
        for name, i in order.items():
            index.setdefault(canonical(name), i)
        return index

    def index(self, text: str) -> int | None:
        """The class that a label names; None if there is none."""
        return self._index.get(canonical(text))

    def meanings(self) -> dict[str, str]:
        """Every label that names a class, with the class's name."""
        return {text: self.names[index] for text, index in self._index.items()}

    @staticmethod
    def is_missing(text: str) -> bool:
        """Whether a label is empty or a word for nothing, such as nan."""
        return canonical(text).lower() in _MISSING

    def problem(self, text: str) -> str:
        """Say why a label names no class, as the part of a sentence that follows a row number."""
        if self.is_missing(text):
            shown = "is empty" if not text.strip() else f"is {text!r}"
            return (
                f"the label {shown}; give the image a class or remove the row (if it is a class's "
                "name, list the classes in dataset.yaml)"
            )
        if self.declared:
            shown = listed(sorted(self._index, key=lambda t: (self._index[t], t)))
            return f"the label {quoted(text)} is unknown; use one of {shown}"
        return f"the label {quoted(text)} is no class number; list the classes in dataset.yaml"

    def positive_last(self, positive: str) -> Classes:
        """Two classes with the positive one second."""
        names = tuple(sorted(self.names, key=lambda name: name == positive))
        return Classes(names, self.values, self.declared)


def declared_classes(partial: PartialSpec) -> Classes:
    """Take the classes from `dataset.yaml`, where a list also allows each class's index."""
    if partial.values:
        return Classes(partial.classes, partial.values, declared=True)
    named = {canonical(name) for name in partial.classes}
    values = {str(i): name for i, name in enumerate(partial.classes) if str(i) not in named}
    return Classes(partial.classes, values, declared=True)


def collect_classes(labels: Iterable[str]) -> Classes:
    """Collect the classes from the labels themselves.

    Integers are sorted as numbers, names as text, but for names of a healthy class (normal,
    healthy, negative, control, no_...), which come first so that the positive class of two is the
    disease.

    Args:
        labels: Labels as the table has them; missing ones are left out.

    Raises:
        InputError: Two labels differ only in upper and lower case.
    """
    found = {canonical(label) for label in labels}
    found = {label for label in found if label.lower() not in _MISSING and not _numeric(label)}
    integers = all(_INTEGER.fullmatch(label) for label in found)
    if integers:
        names = sorted(found, key=int)
    else:
        names = sorted(found, key=lambda n: (not _NORMAL.fullmatch(n.lower()), n.lower(), n))
    for first, second in pairwise(names):
        if first.lower() == second.lower():
            raise InputError(
                f"the labels {quoted(first)} and {quoted(second)} differ only in upper and lower "
                "case; write them alike"
            )
    return Classes(tuple(names), {}, declared=False)


def _numeric(label: str) -> bool:
    """Whether a label is a number but no class number: negative, a fraction, infinite."""
    try:
        number = float(label)
    except ValueError:
        return False
    return not label.isdigit() or math.isinf(number)


def read_flag(text: str) -> float | None:
    """Read a cell of a multi-label column.

    Returns:
        0.0 or 1.0, nan for an empty (unknown) cell, None for anything else.
    """
    cell = canonical(text).lower()
    if cell in _MISSING:
        return math.nan
    return {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}.get(cell)


def label_text(label: int | tuple[float, ...] | None, classes: Sequence[str]) -> str | None:
    """Write a label as `predictions.csv` does: `a|b` for several, `?c` for one that is unknown."""
    if label is None:
        return None
    if isinstance(label, tuple):
        known = zip(classes, label, strict=True)
        return "|".join(f"?{n}" if math.isnan(v) else n for n, v in known if v != 0)
    return classes[label]
