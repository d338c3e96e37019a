"""What is wrong with a data set before anything is trained: leaks, conflicts, hints, bad images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from softcam.data.duplicates import group_similar
from softcam.data.fingerprint import Fingerprint
from softcam.data.hints import find_hint, in_words
from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.data.split import straddling, straddling_note

Severity = Literal["leak", "conflict", "hint", "quality"]

FATAL: tuple[Severity, ...] = ("leak", "conflict")
"""What a strict check refuses."""

SHOWN = 5
"""Examples that a finding names."""

_MEMBERS = 3  # images that the example of a group names


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a data set.

    Attributes:
        kind: What it is, in one word for programs, such as `file_across_splits`.
        severity: "leak" (splits share something), "conflict" (labels contradict each
            other), "hint" (something beside the picture predicts the label) or "quality".
        count: How many patients, groups of images or images.
        sentence: What to print.
        examples: Up to five of them; images by name and row of the table.
    """

    kind: str
    severity: Severity
    count: int
    sentence: str
    examples: tuple[str, ...]

    @property
    def fatal(self) -> bool:
        """Whether a strict check refuses it."""
        return self.severity in FATAL


def find_problems(table: Table, prints: Sequence[Fingerprint]) -> list[Finding]:
    """Check a data set.

    Args:
        table: The images with labels, splits and patients.
        prints: Their fingerprints, in the same order.

    Returns:
        What was found: leaks first, then conflicts, hints and the quality of images.
    """
    found = [
        *check_patients(table.records),
        *_check_files(table, prints),
        *_check_similar(table, prints),
        *_check_hints(table, prints),
        *_check_contrast(table.records, prints),
    ]
    order = ("leak", "conflict", "hint", "quality")
    return sorted(found, key=lambda finding: order.index(finding.severity))


def check_patients(records: Sequence[Record]) -> list[Finding]:
    """Find patients in several splits; needs no pixels."""
    patients = straddling(records)
    return _finding(
        "patient_across_splits",
        "leak",
        f"{straddling_note(len(patients))}; keep the images of a patient in one",
        [f"patient {name!r}: {_images(own, _splits(own))}" for name, own in patients.items()],
    )


def _check_files(table: Table, prints: Sequence[Fingerprint]) -> list[Finding]:
    """Find files with the same bytes."""
    files = _groups(table.records, (one.digest for one in prints))
    crossing = [own for own in files if _crosses(own)]
    # Frames of one file are different pictures of one patient: they leak, and are no repetition.
    pictures = _groups(table.records, (one.picture for one in prints))
    disputed = [own for own in pictures if _disagree(own)]
    rest = [own for own in pictures if not _crosses(own) and not _disagree(own)]
    return [
        *_finding(
            "file_across_splits",
            "leak",
            f"{len(crossing)} file(s) are in more than one split, byte for byte; keep each in one",
            [_images(own, _splits(own)) for own in crossing],
        ),
        *_finding(
            "file_labels",
            "conflict",
            f"{len(disputed)} file(s) have more than one label; keep the right one",
            [_images(own, _labels(own, table.spec)) for own in disputed],
        ),
        *_finding(
            "file_twice",
            "quality",
            f"{len(rest)} file(s) are in one split more than once, byte for byte, and count more "
            "than once; keep each once",
            [_images(own, [""] * len(own)) for own in rest],
        ),
    ]


def _check_similar(table: Table, prints: Sequence[Fingerprint]) -> list[Finding]:
    """Find near-duplicates: copies of one picture in different files."""
    groups = [[table.records[i] for i in group] for group in group_similar(prints)]
    crossing = [own for own in groups if _crosses(own)]
    disputed = [own for own in groups if _disagree(own)]
    # Pictures of one patient may well resemble each other, such as the slices of a scan.
    rest = [
        own
        for own in groups
        if not _crosses(own) and not _disagree(own) and len({r.patient for r in own}) > 1
    ]
    return [
        *_finding(
            "similar_across_splits",
            "leak",
            f"{len(crossing)} group(s) of near-duplicates are in more than one split; keep each in "
            "one",
            [_images(own, _splits(own)) for own in crossing],
        ),
        *_finding(
            "similar_labels",
            "conflict",
            f"{len(disputed)} group(s) of near-duplicates have more than one label; look at them "
            "and keep the right one",
            [_images(own, _labels(own, table.spec)) for own in disputed],
        ),
        *_finding(
            "similar_patients",
            "quality",
            f"{len(rest)} group(s) of near-duplicates in one split belong to more than one "
            "patient; perhaps one person has two names, or an image is there twice",
            [_images(own, [f"patient {r.patient}" for r in own]) for own in rest],
        ),
    ]


def _check_hints(table: Table, prints: Sequence[Fingerprint]) -> list[Finding]:
    """Find properties of the files that predict the label: see `softcam.data.hints.find_hint`."""
    found: list[Finding] = []
    for what, labels in _questions(table):
        kept = list(labels)
        patients = [table.records[i].patient for i in kept]
        seen: set[str] = set()
        for kind, name, values in _properties(prints):
            # Where sizes give the label away, their ratio says nothing new.
            if kind == "hint_aspect" and "hint_size" in seen:
                continue
            hint = find_hint([values[i] for i in kept], list(labels.values()), patients)
            if hint is None:
                continue
            seen.add(kind)
            answers = table.spec.classes if what is None else (f"no {what}", what)
            label = "the label" if what is None else f"the label {what!r}"
            found.append(
                Finding(
                    kind,
                    "hint",
                    1,
                    f"the {name} predicts {label} (it explains {hint.explained:.0%} of it), which "
                    "a model may learn instead of the disease; make it alike for all classes",
                    tuple(
                        f"{value}: {times} of {count} are {answers[index]!r}"
                        for value, index, times, count in hint.examples
                    ),
                )
            )
    return found


def _questions(table: Table) -> list[tuple[str | None, dict[int, int]]]:
    """What there is to predict: the label, or each class of a multi-label table where known."""
    single = {i: r.label for i, r in enumerate(table.records) if isinstance(r.label, int)}
    if single:
        return [(None, single)]
    questions: list[tuple[str | None, dict[int, int]]] = []
    for place, name in enumerate(table.spec.classes):
        flags = {
            i: int(r.label[place])
            for i, r in enumerate(table.records)
            if isinstance(r.label, tuple) and r.label[place] in (0.0, 1.0)
        }
        questions.append((name, flags))
    return questions


def _properties(prints: Sequence[Fingerprint]) -> list[tuple[str, str, list[str]]]:
    sizes = [one.size for one in prints]
    ratios = [width / height for height, width in sizes]
    return [
        (
            "hint_size",
            "image size",
            in_words([h * w for h, w in sizes], [f"{w} x {h} px" for h, w in sizes]),
        ),
        (
            "hint_aspect",
            "ratio of width to height",
            in_words(ratios, [f"{ratio:.2f}" for ratio in ratios]),
        ),
        ("hint_format", "file format", [one.format for one in prints]),
        ("hint_bits", "bit depth", [f"{one.bits} bits" for one in prints]),
        ("hint_colour", "colour mode", [one.colour for one in prints]),
    ]


def _check_contrast(records: Sequence[Record], prints: Sequence[Fingerprint]) -> list[Finding]:
    flat = [record for record, one in zip(records, prints, strict=True) if one.flat]
    return _finding(
        "constant",
        "quality",
        f"{len(flat)} image(s) have no contrast and show nothing; replace them or remove the rows",
        [_images([record], [""]) for record in flat],
    )


def _finding(
    kind: str, severity: Severity, sentence: str, examples: Sequence[str]
) -> list[Finding]:
    """One finding with its first examples, or none."""
    if not examples:
        return []
    return [Finding(kind, severity, len(examples), sentence, tuple(examples[:SHOWN]))]


def _groups(records: Sequence[Record], keys: Iterable[object]) -> list[list[Record]]:
    groups: dict[object, list[Record]] = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        groups[key].append(record)
    return [own for own in groups.values() if len(own) > 1]


def _splits(records: Sequence[Record]) -> list[str]:
    return [record.split or "no split" for record in records]


def _labels(records: Sequence[Record], spec: DatasetSpec) -> list[str]:
    names = []
    for record in records:
        label = record.label
        if isinstance(label, tuple):
            present = [n for n, flag in zip(spec.classes, label, strict=True) if flag == 1]
            names.append(" and ".join(present) or "none")
        else:
            names.append("no label" if label is None else spec.classes[label])
    return names


def _crosses(records: Sequence[Record]) -> bool:
    return len({record.split for record in records}) > 1


def _disagree(records: Sequence[Record]) -> bool:
    """Whether two images have contradicting labels; an unknown one contradicts nothing."""
    known: set[tuple[int, float]] = set()
    for record in records:
        if isinstance(record.label, tuple):
            known.update((i, flag) for i, flag in enumerate(record.label) if flag in (0.0, 1.0))
        elif record.label is not None:
            known.add((-1, float(record.label)))
    return len(known) > len({place for place, _ in known})


def _images(records: Sequence[Record], notes: Sequence[str]) -> str:
    """Name images of a group, those first that differ in what is noted of them."""
    first: dict[str, int] = {}
    for i, note in enumerate(notes):
        first.setdefault(note, i)
    order = list(first.values())[:_MEMBERS]
    order += [i for i in range(min(_MEMBERS, len(records))) if i not in order]
    shown = [
        f"{records[i].name} (row {records[i].row}{', ' if notes[i] else ''}{notes[i]})"
        for i in order[:_MEMBERS]
    ]
    rest = len(records) - len(shown)
    return " = ".join(shown) + (f" and {rest} more" if rest else "")
