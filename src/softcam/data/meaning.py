"""Settle what a table's labels and findings mean: what the user said, else sensible defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from softcam.data.labels import Classes, collect_classes, declared_classes
from softcam.data.rows import RawTable
from softcam.data.spec import DISTRACTOR, ORGAN, OWN_CLASS, DatasetSpec, PartialSpec
from softcam.data.wording import listed, quoted
from softcam.errors import InputError
from softcam.evidence.info import Task


@dataclass(frozen=True)
class Meaning:
    """Task and classes of a table, with how its labels name them.

    Attributes:
        task: What the labels are.
        classes: The classes; for a binary task the positive is second.
        partial: What the user said, for the findings.
        notes: What was assumed.
    """

    task: Task
    classes: Classes
    partial: PartialSpec
    notes: tuple[str, ...] = ()

    def with_findings(self, occurring: Iterable[str]) -> tuple[DatasetSpec, tuple[str, ...]]:
        """Complete the spec with the findings.

        Args:
            occurring: The findings that boxes and masks name. Those that the user did not explain
                speak for the positive class in a binary task, else for the image's own class.

        Returns:
            The spec, and notes on what was assumed.

        Raises:
            InputError: A finding is said to speak for a class that there is not.
        """
        findings: dict[str, str] = {}
        for finding, what in self.partial.findings.items():
            if what in (DISTRACTOR, ORGAN, OWN_CLASS):
                findings[finding] = what
                continue
            index = self.classes.index(what)
            if index is None:
                raise InputError(
                    f"{self.partial.source}: the finding {finding!r} means {what!r}, which is no "
                    f"class; use {listed(self.classes.names)}, {DISTRACTOR} or {ORGAN}."
                )
            findings[finding] = self.classes.names[index]
        binary = self.task is Task.BINARY and len(self.classes.names) == 2
        positive = self.classes.names[1] if binary else None
        # A finding named like a class speaks for that class.
        findings.update({f: f for f in occurring if f in self.classes.names and f not in findings})
        open_ones = sorted(set(occurring) - set(findings))
        findings.update(dict.fromkeys(open_ones, OWN_CLASS if positive is None else positive))
        notes: tuple[str, ...] = ()
        if open_ones:
            whom = "the image's own class" if positive is None else f"the class {positive!r}"
            shown = ", ".join(quoted(finding) for finding in open_ones[:5])
            notes = (f"findings that dataset.yaml does not explain speak for {whom}: {shown}",)
        spec = DatasetSpec(
            self.task, self.classes.names, positive, findings, self.classes.meanings()
        )
        return spec, notes


def settle(raw: RawTable, partial: PartialSpec, *, require_labels: bool) -> Meaning:
    """Settle task, classes and their order.

    Args:
        raw: The rows.
        partial: What the user said.
        require_labels: Whether there must be classes.

    Returns:
        The meaning of the labels.

    Raises:
        InputError: What the user said contradicts itself or the table.
    """
    if raw.flag_columns or partial.task is Task.MULTILABEL:
        return _multilabel(raw, partial)
    if partial.classes:
        classes = declared_classes(partial)
    else:
        try:
            classes = collect_classes(row.label for row in raw.rows if row.label is not None)
        except InputError as error:
            raise InputError(f"{raw.path}: {error}.") from error
    count = len(classes.names)
    if require_labels and count < 2:
        there = f"only the class {classes.names[0]!r}" if count else "no class"
        raise InputError(
            f"{raw.path} has {there} in its labels; a classifier needs at least two, so add images "
            "of another, or list the classes in dataset.yaml."
        )
    task = partial.task or (Task.BINARY if count == 2 else Task.MULTICLASS)
    if task is Task.BINARY and count != 2 and (require_labels or partial.classes):
        raise InputError(
            f"{partial.source}: the task is binary but there are {count} classes "
            f"({listed(classes.names)}); list two, or make it multiclass."
        )
    meaning = Meaning(task, classes, partial, _order_notes(raw, classes))
    return meaning if partial.positive is None else _with_positive(meaning, partial.positive)


def _with_positive(meaning: Meaning, positive: str) -> Meaning:
    index = meaning.classes.index(positive)
    names = meaning.classes.names
    source = meaning.partial.source
    if meaning.task is not Task.BINARY:
        raise InputError(
            f"{source}: a positive class belongs to a binary task and this one is {meaning.task}; "
            "remove it."
        )
    if index is None:
        raise InputError(
            f"{source}: the positive class {positive!r} is none of {listed(names)}; name one."
        )
    if index == 1:
        return meaning
    classes = meaning.classes.positive_last(names[index])
    note = f"the classes are ordered {listed(classes.names)}, the positive one second"
    return replace(meaning, classes=classes, notes=(note,))


def _multilabel(raw: RawTable, partial: PartialSpec) -> Meaning:
    if partial.task not in (None, Task.MULTILABEL):
        raise InputError(
            f"{partial.source}: the task is {partial.task}, and {raw.path} has one column per "
            "class; make the task multilabel or add a column 'label'."
        )
    if partial.positive is not None:
        raise InputError(f"{partial.source}: a positive class belongs to a binary task; remove it.")
    names = partial.classes or raw.flag_columns
    return Meaning(Task.MULTILABEL, Classes(names, {}, bool(partial.classes)), partial)


def _order_notes(raw: RawTable, classes: Classes) -> tuple[str, ...]:
    """Say which order was assumed where the names do not show it."""
    names = classes.names
    if classes.declared or not raw.labelled or all(name.isdigit() for name in names):
        return ()
    which = f", so {names[1]!r} is the positive one" if len(names) == 2 else ""
    return (f"the classes were taken in the order {listed(names)}{which}",)
