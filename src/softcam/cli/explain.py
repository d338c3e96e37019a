"""`softcam explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli import scoring
from softcam.cli.errors import BAD_INPUT
from softcam.cli.printing import console, print_rows
from softcam.errors import InputError

_TABLE = "For tables: "


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder, model file or exported file.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE... | TABLE",
            help="Image files, or folders of them; or one table: table.csv, its folder, or class "
            "folders.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("explanations"),
    contrast: Annotated[
        bool, typer.Option("--contrast", help="Each class against the others.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="Evidence, in logit units, from which a cell belongs to a region."),
    ] = None,
    tta: Annotated[
        str, typer.Option(help="Average over views of each image: none, flips or rotations.")
    ] = "none",
    dicom_out: Annotated[
        Path | None,
        typer.Option(help="Write DICOM objects here too, for images that are DICOM files."),
    ] = None,
    dicom_objects: Annotated[
        str,
        typer.Option(help="Which: segmentation, overlay, structured report, parametric map."),
    ] = "seg,sc,sr,pm",
    table: Annotated[
        bool | None,
        typer.Option(
            "--table/--no-table",
            help="One Parquet and map store for all images, or files for each image. Default: "
            "a store for a .csv file, and for a folder with table.csv or class folders.",
        ),
    ] = None,
    maps: Annotated[bool, typer.Option(help=_TABLE + "keep the evidence maps.")] = True,
    split: Annotated[str | None, typer.Option(help=_TABLE + scoring.SPLIT)] = None,
    image_folder: Annotated[
        Path | None, typer.Option("--images", help=_TABLE + scoring.IMAGES)
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help=_TABLE + "dataset.yaml.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help=_TABLE + scoring.BATCH)] = 16,
    block_size: Annotated[int, typer.Option(min=1, help=_TABLE + scoring.BLOCK)] = 128,
    workers: Annotated[int, typer.Option(min=0, help=_TABLE + scoring.WORKERS)] = 0,
    device: Annotated[str, typer.Option(help=_TABLE + scoring.DEVICE)] = "auto",
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help=_TABLE + scoring.RAY)] = None,
    retry: Annotated[bool, typer.Option("--retry", help=_TABLE + scoring.RETRY)] = False,
) -> int:
    """Show the evidence in images: probabilities, overlays, raw maps, regions.

    For a whole table, the answers, regions and maps go into one store, without overlays; the same
    command goes on where a former one was stopped.

    Example: softcam explain runs/fundus eye_left.png eye_right.png --out explanations

    Example: softcam explain runs/fundus data/fundus/table.csv --out scores
    """
    from softcam.workflows.explain import is_table

    if table is None:
        table = len(images) == 1 and is_table(images[0])
    if not table:
        objects = [name.strip() for name in dicom_objects.split(",") if name.strip()]
        return _explain_images(
            run,
            images,
            out,
            contrast=contrast,
            threshold=threshold,
            tta=tta,
            dicom_out=dicom_out,
            dicom_objects=objects,
        )
    if dicom_out is not None:
        raise InputError(
            "explain: --dicom-out writes objects for each image, not for a table's store; add "
            "--no-table, or name the files."
        )
    if len(images) > 1:
        raise InputError(
            f"explain: --table takes one table, not {len(images)} arguments; name a table.csv or "
            "a folder."
        )
    return scoring.score(
        run,
        images[0],
        out,
        settings={
            "maps": maps,
            "regions": True,
            "contrast": contrast,
            "threshold": threshold,
            "tta": tta,
            "block": block_size,
        },
        effort={"batch_size": batch_size, "workers": workers, "device": device},
        split=split,
        images=image_folder,
        dataset=dataset,
        ray=ray,
        retry=retry,
    )


def _explain_images(
    run: Path,
    images: list[Path],
    out: Path,
    *,
    contrast: bool,
    threshold: float | None,
    tta: str,
    dicom_out: Path | None,
    dicom_objects: list[str],
) -> int:
    from softcam.workflows.explain import explain_files

    done = explain_files(
        run,
        images,
        out,
        contrast=contrast,
        threshold=threshold,
        tta=tta,
        dicom_out=dicom_out,
        dicom_objects=dicom_objects,
        show_progress=True,
    )
    if done.rows:
        print_rows(
            f"Explained, written to {out}",
            ["Image", "Call", "Probability", "File"],
            [
                (
                    item.name,
                    ", ".join(item.called) or "none",
                    f"{item.probability:.3f} ({item.main_class})",
                    item.files[0].name,
                )
                for item in done.rows
            ],
        )
    for note in done.notes:
        console().print(note, style="dim", markup=False)
    for problem in done.problems:
        console().print(f"skipped: {problem}", markup=False)
    if done.problems:
        typer.echo(
            f"softcam: {len(done.problems)} of {len(done.problems) + len(done.rows)} "
            f"images could not be explained: {done.problems[0]}",
            err=True,
        )
        return BAD_INPUT
    return 0
