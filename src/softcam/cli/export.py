"""`softcam export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from softcam.cli.printing import console, print_rows

if TYPE_CHECKING:
    from softcam.deploy.export.description import Format, Precision


def export(
    run: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    out: Annotated[
        Path, typer.Option(help="The file to write: .onnx, .xml (OpenVINO) or .pt2 (torch).")
    ],
    format: Annotated[
        str | None, typer.Option(help="onnx, openvino or torch; by the file's suffix if left out.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 or int8; the evidence head stays in float32.")
    ] = "fp32",
    table: Annotated[
        Path | None,
        typer.Option(help="Labelled images to measure the loss on, and to calibrate int8 with."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Measure on train, val, test or all; test if there is one.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Image folder of the table.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml of the table.")] = None,
    verify_on: Annotated[
        list[Path] | None,
        typer.Option(help="Image file or folder to prove the export on; may be repeated."),
    ] = None,
    calibrate: Annotated[int, typer.Option(min=1, help="Images at most to calibrate int8.")] = 256,
    resamples: Annotated[int, typer.Option(min=10, help="Bootstrap resamples.")] = 1000,
) -> None:
    """Write a model as one file that gives logits and evidence without torch, and prove it.

    Example: softcam export runs/fundus --out fundus.onnx
    """
    from softcam.workflows.export.export import export as export_model

    done = export_model(
        run,
        out,
        format=cast("Format | None", format),
        precision=cast("Precision", precision),
        table=table,
        split=split,
        images=images,
        dataset=dataset,
        verify_on=verify_on or (),
        calibrate=calibrate,
        resamples=resamples,
        show_progress=True,
    )
    verified = done.description.verified
    if verified is not None:
        print_rows(
            f"Proved on {verified.images}, {done.description.precision}",
            ["Largest difference, of the largest value", "Found", "Allowed"],
            [
                ("Logits, from the model's", _error(verified.logits), _bound(verified, "logits")),
                (
                    "Evidence, from the model's",
                    _error(verified.evidence),
                    _bound(verified, "evidence"),
                ),
                (
                    "Logits, from the means of the maps",
                    _error(verified.completeness),
                    _bound(verified, "completeness"),
                ),
            ],
        )
    if done.loss is not None:
        print_rows(
            f"Cost of {done.description.precision} on {done.loss.images} images "
            f"({done.loss.split}) [95 % interval]",
            ["Figure", "Value"],
            done.loss.rows(),
        )
    say = console().print
    say(f"Input: any batch, {done.description.sizes}", markup=False)
    for file in done.files:
        say(f"Wrote {file} ({file.stat().st_size / 2**20:.1f} MiB)", markup=False)


def _error(value: float) -> str:
    return f"{value:.1e}"


def _bound(verified: object, name: str) -> str:
    tolerances: dict[str, float] = getattr(verified, "tolerances", {})
    return f"{tolerances[name]:.0e}" if name in tolerances else "measured"
