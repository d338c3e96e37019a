"""`softcam import`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softcam.cli.errors import InterruptedRunError
from softcam.cli.printing import console, print_rows

if TYPE_CHECKING:
    from softcam.workflows.import_data import Imported

_SHOWN = 3


def import_data(
    name: Annotated[str, typer.Argument(help="kaggle-dr, oct2017, rsna-pneumonia, folder or csv.")],
    source: Annotated[Path, typer.Argument(help="The unpacked download; for csv the table.")],
    out: Annotated[Path, typer.Argument(help="The data set's folder to write.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="kaggle-dr: onset1, onset2, levels; oct2017: drusen, four; rsna-pneumonia: "
            "opacity, three. The first if left out."
        ),
    ] = None,
    splits: Annotated[
        list[Path] | None,
        typer.Option(help="Published split table, or a folder of them; may be repeated."),
    ] = None,
    resplit: Annotated[
        bool, typer.Option("--resplit", help="Make splits by patient, not the download's own.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(min=0, help="Pixels; 0 keeps the size. By data set: 512, 496, 512, 0, 0."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of splits that are made.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse problems, leaks and conflicts, exit code 2.")
    ] = False,
    masks: Annotated[
        Path | None,
        typer.Option(help="For csv: folder of <finding>/<image>.png; else masks/ by the table."),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Look for leaks, conflicts and hints; the card lists them.")
    ] = True,
) -> None:
    """Import a data set from its original download; an interrupted import goes on.

    Example: softcam import kaggle-dr downloads/diabetic-retinopathy data/dr --task onset2
    """
    from softcam.workflows.import_data import import_data as run

    try:
        done = run(
            name,
            source,
            out,
            task=task,
            splits=splits or (),
            resplit=resplit,
            size=size,
            seed=seed,
            jobs=jobs,
            strict=strict,
            masks=masks,
            check=check,
            show_progress=True,
        )
    except KeyboardInterrupt as error:
        flags: list[object] = [name, source, out]
        flags += ["--task", task] if task else []
        for path in splits or ():
            flags += ["--splits", path]
        flags += ["--resplit"] if resplit else []
        flags += ["--size", size] if size is not None else []
        flags += ["--seed", seed, "--jobs", jobs] + (["--strict"] if strict else [])
        flags += ["--masks", masks] if masks is not None else []
        flags += [] if check else ["--no-check"]
        raise InterruptedRunError(
            f"Go on with: softcam import {shlex.join(map(str, flags))}"
        ) from error
    _print(done)


def _print(done: Imported) -> None:
    card = done.card
    names = list(next(iter(card["splits"].values()))["classes"])
    print_rows(
        f"{card['title']}: {card['images']} images, {card['patients']} patients, "
        f"{card['boxes']} boxes, {card['masks']} masks",
        ["Split", "Images", "Patients", *names],
        [
            (split, *(str(n) for n in (row["images"], row["patients"], *row["classes"].values())))
            for split, row in card["splits"].items()
        ],
    )
    for note in (*card["notes"], *done.notes):
        console().print(f"note: {note}", markup=False)
    for finding in card.get("quality", []):
        console().print(f"{finding['severity']}: {finding['sentence']}", markup=False)
        for example in finding["examples"][:_SHOWN]:
            console().print(f"    {example}", markup=False)
    for group in card["left_out"]:
        kind = "problem" if group["problem"] else "left out"
        console().print(f"{kind}: {group['count']}, {group['reason']}", markup=False)
        if group["problem"]:
            for example in group["examples"][:_SHOWN]:
                console().print(f"    {example}", markup=False)
            if group["count"] > _SHOWN:
                console().print(f"    and {group['count'] - _SHOWN} more", markup=False)
    console().print(f"Table: {done.table}\nCard: {done.folder / 'datacard.md'}", markup=False)
    if done.problems:
        print(
            f"softcam: {done.problems} problem(s) in the download were left out; "
            f"{done.folder / 'left_out.csv'} lists each.",
            file=sys.stderr,
        )
