"""`softcam explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.errors import BAD_INPUT
from softcam.cli.printing import console, print_rows


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("explanations"),
    contrast: Annotated[
        bool, typer.Option("--contrast", help="Draw each class against the others.")
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
) -> int:
    """Show the evidence in images: probabilities, overlays, raw maps, regions.

    Example: softcam explain runs/fundus eye_left.png eye_right.png --out explanations
    """
    from softcam.workflows.explain import explain_files

    done = explain_files(
        run,
        images,
        out,
        contrast=contrast,
        threshold=threshold,
        tta=tta,
        dicom_out=dicom_out,
        dicom_objects=[name.strip() for name in dicom_objects.split(",") if name.strip()],
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
