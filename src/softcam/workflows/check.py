"""Look for what would spoil a training: `softcam check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from softcam.data.fingerprint import Fingerprint, try_fingerprints
from softcam.data.problems import Problems
from softcam.data.quality import Finding, find_problems
from softcam.data.records import Record, Table
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.workflows.progress import image_progress


@dataclass(frozen=True)
class Checked:
    """A checked data set.

    Attributes:
        table: The table as training would see it.
        findings: What was found among the images that can be read, leaks first.
        unreadable: Row and sentence for each image that cannot be read.
    """

    table: Table
    findings: tuple[Finding, ...]
    unreadable: tuple[tuple[int, str], ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed of the table, without what a finding says too."""
        said = [finding.sentence for finding in self.findings]
        return tuple(n for n in self.table.notes if not any(s.startswith(n) for s in said))

    def to_json(self) -> dict[str, Any]:
        """The findings as plain values."""
        return {
            "table": str(self.table.path),
            "images": len(self.table),
            "patients": len(set(self.table.patients())),
            "splits": self.table.splits(),
            "notes": list(self.notes),
            "findings": [asdict(finding) for finding in self.findings],
            "unreadable": [{"row": row, "problem": said} for row, said in self.unreadable],
        }

    def refuse_unreadable(self) -> None:
        """Raise if an image cannot be read.

        Raises:
            InputError: Names up to ten rows, and counts the others.
        """
        problems = Problems(str(self.table.path))
        for row, said in self.unreadable:
            problems.add(f"row {row}", said.rstrip("."))
        problems.raise_any()

    def refuse(self) -> None:
        """Raise if there is a leak or a conflict.

        Raises:
            InputError: Names the kinds and the first example of each.
        """
        fatal = [finding for finding in self.findings if finding.fatal]
        if not fatal:
            return
        kinds = Counter(finding.severity for finding in fatal)
        counted = " and ".join(f"{count} kind(s) of {kind}" for kind, count in kinds.items())
        details = "; ".join(f"{f.sentence}, such as {f.examples[0]}" for f in fatal)
        raise InputError(f"{self.table.path} has {counted}: {details}.")


def check(
    table: Path | str,
    *,
    images: Path | str | None = None,
    dataset: Path | str | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Checked:
    """Check a table of images for leaks, label conflicts, hints and constant images.

    Every image is decoded once. One that cannot be read is listed, and the others are checked. The
    same table gives the same findings.

    Args:
        table: A table.csv, its folder, or class folders.
        images: The image folder.
        dataset: A dataset.yaml that lies elsewhere.
        seed: Makes the splits where the table gives none, as training would.
        show_progress: Whether to show a progress bar.

    Returns:
        The table and what was found.

    Raises:
        InputError: The table cannot be read, or none of its images; names the rows.
        MissingExtraError: A format's extra is not installed.
    """
    read = read_table(table, images=images, spec=dataset, seed=seed)
    return check_read(read, show_progress=show_progress)


def check_read(
    table: Table,
    *,
    as_original: Callable[[Record, Fingerprint], Fingerprint] | None = None,
    show_progress: bool = False,
) -> Checked:
    """Check a table that is read already, as `check` does.

    Args:
        table: The images with labels, splits and patients.
        as_original: Gives a converted image the properties of the file that it was made of, which
            may tell its label.
        show_progress: Whether to show a progress bar.

    Returns:
        The table and what was found.

    Raises:
        InputError: No image can be read; names the rows.
        MissingExtraError: A format's extra is not installed.
    """
    with image_progress("checking images", shown=show_progress) as told:
        results = try_fingerprints(table, told)
    pairs = list(zip(table.records, results, strict=True))
    unreadable = tuple(
        (r.row, str(result)) for r, result in pairs if isinstance(result, InputError)
    )
    prints = [result for result in results if isinstance(result, Fingerprint)]
    if not prints:
        Checked(table, (), unreadable).refuse_unreadable()
    kept = tuple(record for record, result in pairs if isinstance(result, Fingerprint))
    if as_original is not None:
        prints = [as_original(r, one) for r, one in zip(kept, prints, strict=True)]
    findings = find_problems(replace(table, records=kept), prints)
    return Checked(table, tuple(findings), unreadable)
