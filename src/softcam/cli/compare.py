"""`softcam compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.printing import console, print_rows


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders of finished runs or evaluations, as RUN or NAME=RUN; two or more. Runs "
            "that differ in the seed alone become one row.",
        ),
    ],
    table: Annotated[
        Path | None,
        typer.Option(help="Run the models on this table; else their predictions.csv is read."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all; test if there is one.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The run that others are compared with; else the first.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(help="auc, auprc, accuracy, loss, ...; repeat for several. Default all."),
    ] = None,
    draw_seeds: Annotated[
        bool, typer.Option("--draw-seeds", help="Resample the seeds too, not only the patients.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=10, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; `comparison` beside the runs if left out.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Image folder of the table.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml of the table.")] = None,
) -> None:
    """Compare runs on the same images: paired differences with intervals and p-values.

    Example: softcam compare runs/dense runs/sparse runs/dense/twin --reference runs/dense/twin
    """
    from softcam.report.comparison import SPREAD, difference_table
    from softcam.workflows.compare import compare_runs

    found, folder = compare_runs(
        runs,
        table=table,
        split=split,
        reference=reference,
        measures=measure or None,
        draw_seeds=draw_seeds,
        out=out,
        images=images,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        show_progress=True,
    )
    shown = difference_table(found)
    # Beside the spread over seeds there is no room for differences on most terminals.
    spread = [i for i, column in enumerate(shown.columns) if column.label in ("Value", *SPREAD)]
    rest = [i for i in range(len(shown.columns)) if i not in spread]
    parts = [spread, rest] if len(spread) > 1 else [spread + rest]
    for title, part in zip(("Models", shown.title)[-len(parts) :], parts, strict=True):
        print_rows(
            f"{title}, {found.counts['images']} images",
            [shown.subject, shown.corner, *(shown.columns[i].label for i in part)],
            [
                # A measure stands over its models once.
                (
                    "" if above is not None and above.subject == row.subject else row.subject,
                    row.name,
                    *(str(row.cells[i]) for i in part),
                )
                for above, row in zip((None, *shown.rows), shown.rows, strict=False)
            ],
        )
    for note in shown.notes:
        console().print(note, style="dim", markup=False)
    console().print(f"Tables: {folder / 'compare.md'}", markup=False)
