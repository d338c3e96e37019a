"""`softcam benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.errors import InterruptedRunError
from softcam.cli.printing import console


def benchmark(
    run: Annotated[Path, typer.Argument(help="Run folder or model file: the reference.")],
    table: Annotated[Path, typer.Argument(help="table.csv, its folder, or class folders.")],
    twin: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model to explain: RUN, or NAME=RUN; repeat for several. Without one, "
            "RUN/twin where there is one."
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help="Method or group (fast, all, floors); repeat for several. Default fast."),
    ] = None,
    native_only: Annotated[
        list[str] | None,
        typer.Option(help="Name of a model that its own evidence alone explains; repeat."),
    ] = None,
    shuffled: Annotated[
        Path | None,
        typer.Option(help="Run of the same settings trained with --shuffle-labels: a check."),
    ] = None,
    maps: Annotated[
        str, typer.Option(help="own, contrast or both: the score that is explained.")
    ] = "both",
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all; test if there is one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most images; 0 for all.")] = 100,
    followed: Annotated[
        int,
        typer.Option(min=0, help="Images for deletion and insertion curves; 0 for all."),
    ] = 40,
    probes: Annotated[
        int, typer.Option(min=0, help="Images for the costly measures; 0 for all.")
    ] = 8,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="What replaces a patch: mean, blur or local; repeat. Default mean."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Most patches that are removed.")] = 15,
    every_step: Annotated[
        bool, typer.Option(help="Measure after every patch and not at 1, 2, 3, 5, 7, 10, ...")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; a folder beside the model if left out.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where maps are kept; OUT/cache if left out.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Image folder.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml.")] = None,
    gallery: Annotated[int, typer.Option(min=0, help="Images in the gallery.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resamples: Annotated[int, typer.Option(min=10, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 0,
) -> None:
    """Compare native evidence with post-hoc attributions: is the map right, is it the reason?

    Example: softcam benchmark runs/fundus data/fundus/table.csv --methods fast --limit 60
    """
    from softcam.workflows.benchmark.run import benchmark_run

    try:
        result, folder = benchmark_run(
            run,
            table,
            twins=tuple(twin or ()),
            methods=tuple(methods or ("fast",)),
            native_only=tuple(native_only or ()),
            shuffled=shuffled,
            maps=maps,
            split=split,
            limit=limit,
            followed=followed,
            probes=probes,
            baselines=tuple(baseline or ("mean",)),
            steps=steps,
            every_step=every_step,
            out=out,
            cache=cache,
            images=images,
            dataset=dataset,
            gallery=gallery,
            batch_size=batch_size,
            device=device,
            resamples=resamples,
            seed=seed,
            show_progress=True,
        )
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "Go on with the same command: what was measured is read from the cache."
        ) from error
    for sentence in result.conclusions:
        console().print(sentence, markup=False)
    console().print(f"Report: {folder / 'benchmark.html'}", markup=False)
