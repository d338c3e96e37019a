"""`softcam evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.printing import console, print_metrics


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    table: Annotated[Path, typer.Argument(help="table.csv, its folder, or class folders.")],
    twin: Annotated[
        Path | None, typer.Option(help="Run folder or model file of the black-box twin.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all; test if there is one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; a folder beside the model if left out.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Image folder.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml.")] = None,
    resamples: Annotated[int, typer.Option(min=10, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    tta: Annotated[
        str, typer.Option(help="Average over views of each image: none, flips or rotations.")
    ] = "none",
) -> None:
    """Measure a model on a table, with 95 % intervals; localisation where annotated.

    Example: softcam evaluate runs/fundus data/fundus/table.csv --twin runs/fundus/twin
    """
    from softcam.workflows.evaluate_run import evaluate_run

    done, folder = evaluate_run(
        run,
        table,
        twin=twin,
        split=split,
        out=out,
        images=images,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        tta=tta,
        show_progress=True,
    )
    print_metrics(done.metrics)
    console().print(f"Report: {folder / 'report.html'}", markup=False)
