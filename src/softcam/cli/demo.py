"""`softcam demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.printing import console, print_metrics


def demo(
    out: Annotated[Path, typer.Option(help="The demo's own folder; replaced each time.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of phantoms and training.")] = 0,
) -> None:
    """Train, explain, evaluate and report on embedded fundus phantoms, in minutes.

    Example: softcam demo
    """
    from softcam.workflows.demo import run_demo

    assessment, report = run_demo(out, seed=seed)
    print_metrics(assessment.metrics)
    console().print(f"Report: {report}", markup=False)
