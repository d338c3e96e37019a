"""`softcam sweep`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from softcam.cli.errors import InterruptedRunError
from softcam.cli.printing import console, print_rows
from softcam.cli.settings import assignment, given

_SEVERAL = ("--l1", "--l2", "--mix", "--seeds")


class SeveralValues(TyperCommand):
    """Takes `--l1 0 0.01 0.1` for `--l1 0 --l1 0.01 --l1 0.1`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the name of an option before each of its numbers."""
        return list(super().parse_args(ctx, _spelled_out(args)))


def _spelled_out(args: list[str]) -> list[str]:
    found: list[str] = []
    option: str | None = None
    taken = False
    for arg in args:
        values = _numbers(arg) if option is not None else []
        if option is not None and values:
            for value in values:
                found += [option, value]
            taken = True
            continue
        if option is not None and not taken:
            found.append(option)  # without a number: the parser says what is wrong
        option, taken = (arg if arg in _SEVERAL else None), False
        if option is None:
            found.append(arg)
    if option is not None and not taken:
        found.append(option)
    return found


def _numbers(text: str) -> list[str]:
    """Read "0.1", "0,0.1", "0 0.1" or pairs such as "0.1:1"; nothing of anything else."""
    values = text.replace(",", " ").split()
    try:
        for value in values:
            for part in value.split(":"):
                float(part)
    except ValueError:
        return []
    return values


def sweep(
    table: Annotated[
        Path | None, typer.Argument(help="table.csv, its folder, or class folders.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the sweep.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML of a sweep, or of softcam train to take as base; flags win."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in --out, or widen it.")
    ] = False,
    l1: Annotated[
        list[float] | None, typer.Option(help="Weights of mean |A|, as in --l1 0 0.01 0.1.")
    ] = None,
    l2: Annotated[list[float] | None, typer.Option(help="Weights of mean A^2.")] = None,
    mix: Annotated[
        list[str] | None, typer.Option(help="ElasticNet mixes L1:L2, as in --mix 0.01:0.1.")
    ] = None,
    full_grid: Annotated[
        bool | None, typer.Option("--full-grid", help="Every --l1 with every --l2 too.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help='A variant, as in --variant "stage3 stages=3 epochs=20"; repeat.'),
    ] = None,
    cross: Annotated[
        bool | None, typer.Option("--cross", help="The penalties on each variant too.")
    ] = None,
    plain_twins: Annotated[
        bool | None,
        typer.Option("--plain-twins", help="Each variant's architecture trained plainly too."),
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option(help="As in --seeds 0 1 2, which is the default.")
    ] = None,
    select_by: Annotated[
        str | None, typer.Option(help="deletion (default) or localisation, on validation images.")
    ] = None,
    maps: Annotated[str | None, typer.Option(help="own (default) or contrast.")] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="AUC below the twin's that is allowed; default one standard error."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most images whose maps are judged; 0 for all. Default 200.")
    ] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Runs at the same time, each a process. Default 1.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of softcam train, as in --set lr=0.001; repeat."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Backbone, as for softcam train.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size: 224, or HxW.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each run.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare images.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of prepared images that all runs share.")
    ] = None,
) -> None:
    """Train the black box, the dense model and a grid of penalties over seeds, and choose one.

    The choice is made on validation images alone: the best explanation among the recipes that are
    about as accurate as the black box. Test images are measured afterwards.

    Example: softcam sweep data/table.csv --out runs/sweep --l1 0.01 0.1 --l2 0.01 0.1 --jobs 2
    """
    from softcam.workflows.sweep.settings import sweep_for
    from softcam.workflows.sweep.sweep import sweep as run_sweep

    own = {
        "out": out,
        "l1": l1,
        "l2": l2,
        "mixes": mix,
        "full_grid": full_grid,
        "variants": dict(_variant(text) for text in variant or ()),
        "cross": cross,
        "plain_twins": plain_twins,
        "seeds": seeds,
        "select_by": select_by,
        "maps": maps,
        "margin": margin,
        "limit": limit,
        "resamples": resamples,
        "jobs": jobs,
    }
    training = dict(assignment(text, "--set") for text in settings or ())
    training |= given(
        {
            "table": table,
            "model": model,
            "size": size,
            "epochs": epochs,
            "batch_size": batch_size,
            "device": device,
            "workers": workers,
            "cache": cache,
        }
    )
    wanted = sweep_for(given(own), training, config=config, resume=resume)
    again = f"softcam sweep --resume --out {shlex.quote(str(wanted.out))}"
    try:
        result = run_sweep(wanted, resume=resume)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(f"Go on with: {again}") from error
    _report(result, wanted.out, again)


def _report(result: Any, out: Path, again: str) -> None:
    from softcam.errors import WorkError
    from softcam.report.sweep.tables import terminal_rows

    heads, rows = terminal_rows(result)
    if rows:
        print_rows("Mean over seeds; validation chose, test was measured afterwards", heads, rows)
    for text in (result.rule, result.why, *result.notes):
        if text:
            console().print(text, markup=False)
    console().print(f"Report: {out / 'sweep.html'}", markup=False)
    if result.chosen is not None:
        console().print(f"Chosen: {out / 'chosen'}", markup=False)
    if result.failures:
        raise WorkError(
            f"{len(result.failures)} of {result.counts['runs']} runs failed: "
            f"{'; '.join(result.failures)}. Try them again with: {again}"
        )


def _variant(text: str) -> tuple[str, dict[str, Any]]:
    from softcam.errors import InputError

    try:
        name, *changes = shlex.split(text)
    except ValueError as error:
        raise InputError(
            f'--variant: {text!r} is no "NAME name=value ...", such as "stage3 stages=3".'
        ) from error
    return name, dict(assignment(change, f"--variant {name}") for change in changes)
