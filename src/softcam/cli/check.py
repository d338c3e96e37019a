"""`softcam check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softcam.cli.errors import BAD_INPUT
from softcam.cli.printing import console

if TYPE_CHECKING:
    from softcam.workflows.check import Checked


def check(
    table: Annotated[Path, typer.Argument(help="table.csv, its folder, or class folders.")],
    images: Annotated[Path | None, typer.Option(help="Image folder.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of splits that are made, as for train.")
    ] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leaks and label conflicts give exit code 2.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Look for leaks between splits, label conflicts, hints of the label and empty images.

    Example: softcam check data/fundus/table.csv --strict
    """
    from softcam.workflows.check import check as run

    done = run(table, images=images, dataset=dataset, seed=seed, show_progress=True)
    if json:
        from json import dumps

        print(dumps(done.to_json(), indent=2))
    else:
        _print(done)
    if done.unreadable:
        row, said = done.unreadable[0]
        typer.echo(
            f"softcam: {len(done.unreadable)} of {len(done.table)} images cannot be read, such as "
            f"row {row}: {said}",
            err=True,
        )
    if strict:
        done.refuse()
    return BAD_INPUT if done.unreadable else 0


def _print(done: Checked) -> None:
    splits = ", ".join(f"{name} {count}" for name, count in done.table.splits().items())
    patients = len(set(done.table.patients()))
    lines = [f"{done.table.path}: {len(done.table)} images of {patients} patients ({splits})"]
    lines += [f"note: {note}" for note in done.notes]
    for finding in done.findings:
        lines.append(f"{finding.severity}: {finding.sentence}.")
        lines += [f"    {example}" for example in finding.examples]
        # A hint's examples are its values; of the others each is one of those counted.
        if finding.severity != "hint" and finding.count > len(finding.examples):
            lines.append(f"    and {finding.count - len(finding.examples)} more")
    lines += [f"unreadable: row {row}: {said}" for row, said in done.unreadable]
    if not done.findings and not done.unreadable:
        lines.append("Nothing found.")
    console().print("\n".join(lines), markup=False, soft_wrap=True)
