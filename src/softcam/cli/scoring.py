"""What `softcam predict` and `softcam explain` say of a whole table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from softcam.cli.errors import BAD_INPUT, InterruptedRunError
from softcam.cli.printing import console

IMAGES = "Image folder of a table, if not beside it."
SPLIT = "train, val, test or all images of a table. Default all."
BATCH = "Images that the model runs on at once."
BLOCK = "Images of a block, the unit of work that a kill may cost."
WORKERS = "Threads that read images; 0: one for each core, up to 8."
DEVICE = "auto, cpu or cuda."
RAY = "Address of a Ray cluster, or local for one on this machine."
RETRY = "Do blocks again in which images could not be scored."


def score(
    run: Path,
    table: Path,
    out: Path,
    *,
    settings: dict[str, Any],
    effort: dict[str, Any],
    **more: Any,
) -> int:
    """Score a table and say what came of it.

    Args:
        run: Run folder or model file.
        table: The table.
        out: Where to write.
        settings: Arguments of `ScoreSettings`.
        effort: Arguments of `Effort`.
        **more: Further arguments of `score_table`.

    Returns:
        The exit code.
    """
    from softcam.workflows.scores.score import score_table
    from softcam.workflows.scores.settings import Effort, ScoreSettings

    try:
        done = score_table(
            run,
            table,
            out,
            settings=ScoreSettings(**settings),
            effort=Effort(**effort),
            show_progress=True,
            **more,
        )
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "What was scored is kept; go on with the same command."
        ) from error
    again = f", {done.before} of them before" if done.before else ""
    lines = [f"Scored: {done.images - done.problems} of {done.images} images{again}, in {out}"]
    if settings.get("regions"):
        lines.append(f"Evidence regions: {done.regions}")
    _say(lines)
    if not done.problems:
        return 0
    _say([f"skipped: {problem}" for problem in done.listed])
    if done.problems > len(done.listed):
        rest = done.problems - len(done.listed)
        _say([f"and {rest} more; the column status of {out / 'images'} marks them all"])
    typer.echo(
        f"softcam: {done.problems} of {done.images} images could not be scored: {done.listed[0]} "
        "Mend them and run the command again with --retry.",
        err=True,
    )
    return BAD_INPUT


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)
