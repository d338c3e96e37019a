"""`softcam predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli import scoring


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder, model file or exported file.")],
    table: Annotated[
        Path, typer.Argument(help="table.csv, its folder, or a folder of images or classes.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write, or to go on with.")] = Path(
        "predictions"
    ),
    maps: Annotated[bool, typer.Option(help="Keep the evidence maps too.")] = False,
    tta: Annotated[
        str, typer.Option(help="Average over views of each image: none, flips or rotations.")
    ] = "none",
    split: Annotated[str | None, typer.Option(help=scoring.SPLIT)] = None,
    images: Annotated[Path | None, typer.Option(help=scoring.IMAGES)] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help=scoring.BATCH)] = 16,
    block_size: Annotated[int, typer.Option(min=1, help=scoring.BLOCK)] = 128,
    workers: Annotated[int, typer.Option(min=0, help=scoring.WORKERS)] = 0,
    device: Annotated[str, typer.Option(help=scoring.DEVICE)] = "auto",
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help=scoring.RAY)] = None,
    retry: Annotated[bool, typer.Option("--retry", help=scoring.RETRY)] = False,
) -> int:
    """Answer for every image of a table: logits, probabilities and calls, as Parquet.

    The same command goes on where a former one was stopped.

    Example: softcam predict runs/fundus data/fundus/table.csv --out predictions
    """
    return scoring.score(
        run,
        table,
        out,
        settings={"maps": maps, "regions": False, "tta": tta, "block": block_size},
        effort={"batch_size": batch_size, "workers": workers, "device": device},
        split=split,
        images=images,
        dataset=dataset,
        ray=ray,
        retry=retry,
    )
