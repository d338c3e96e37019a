"""`softcam reproduce`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from softcam.cli.errors import InterruptedRunError
from softcam.cli.printing import console, print_rows
from softcam.cli.settings import assignment, given

if TYPE_CHECKING:
    from softcam.report.reproduction.content import Reproduction
    from softcam.workflows.reproduce.reproduce import Planned

_WORDS = {
    "--models": ("resnet50", "vgg16"),
    "--tasks": ("onset1", "levels", "drusen", "four", "opacity"),
}
_NUMBERS = ("--seeds",)


class SeveralWords(TyperCommand):
    """Takes `--models resnet50 vgg16` for `--models resnet50 --models vgg16`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the name of an option before each further word that can be meant for it."""
        return list(super().parse_args(ctx, _spelled_out(args)))


def _spelled_out(args: list[str]) -> list[str]:
    found: list[str] = []
    option, values = "", 0
    for arg in args:
        if option and values == 0:  # whatever it is: the parser says what is wrong with it
            found += [option, *_words(arg)[:1]]
            for word in _words(arg)[1:]:
                found += [option, word]
            values = 1
        elif option and all(_meant(option, word) for word in _words(arg)):
            for word in _words(arg):
                found += [option, word]
        elif arg in _WORDS or arg in _NUMBERS:
            option, values = arg, 0
        else:
            option = ""
            found.append(arg)
    if option and values == 0:
        found.append(option)
    return found


def _words(arg: str) -> list[str]:
    return arg.replace(",", " ").split() or [arg]


def _meant(option: str, word: str) -> bool:
    return word.isdecimal() if option in _NUMBERS else word in _WORDS[option]


def reproduce(
    data_set: Annotated[str, typer.Argument(help="kaggle-dr, oct2017 or rsna-pneumonia.")],
    data: Annotated[
        Path | None, typer.Option(help="The unpacked download, as for softcam import.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the reproduction in --out.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, and write nothing.")
    ] = False,
    max_hours: Annotated[
        float | None, typer.Option(help="Refuse to start if more hours are estimated, exit code 2.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="resnet50, vgg16, or both as in the paper (default).")
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="kaggle-dr: onset1, levels; oct2017: drusen, four; rsna-pneumonia: opacity. "
            "Default all."
        ),
    ] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="As in --seeds 0 1 2; default 0.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each run; the paper's 50.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Input size in pixels; the paper's 512 (OCT 496).")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step; 12.")] = None,
    weights_resnet50: Annotated[
        Path | None, typer.Option(help="ImageNet weights of ResNet-50 (timm), safetensors.")
    ] = None,
    weights_vgg16: Annotated[
        Path | None, typer.Option(help="ImageNet weights of VGG-16 (torchvision), safetensors.")
    ] = None,
    pretrained: Annotated[
        bool | None, typer.Option("--pretrained", help="Fetch both from the libraries' hubs.")
    ] = None,
    penalty_form: Annotated[
        str | None, typer.Option(help="norm, as the published code (default); sum or mean.")
    ] = None,
    penalties: Annotated[
        Path | None, typer.Option(help="YAML of penalty weights, in place of the known ones.")
    ] = None,
    splits: Annotated[
        list[Path] | None,
        typer.Option(help="The authors' split tables, or a folder of them; repeat."),
    ] = None,
    resplit: Annotated[
        bool | None, typer.Option("--resplit", help="Make splits by patient, not the download's.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting of softcam train, as in --set lr=0.001."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            help="Post-hoc method or group; repeat. Default fast, score-cam, integrated-gradients."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most images that are explained; 0 for all. Default 100.")
    ] = None,
    followed: Annotated[
        int | None,
        typer.Option(help="Of these, images for deletion curves; 0 for all. Default 40."),
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="Of these, images for costly measures; 0 for all. Default 8.")
    ] = None,
    gallery: Annotated[int | None, typer.Option(help="Of these, images shown. Default 3.")] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Runs at the same time, each a process. Default 1.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32, bf16 or fp16.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare images.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of prepared images that all runs share.")
    ] = None,
) -> None:
    """Repeat the paper's experiment on one of its data sets, from the download to the tables.

    Imports, trains the black box and the dense, sparse, smooth and ElasticNet SoftCAM of each
    backbone and task, measures their explanations, and puts our figures beside the published
    ones. The cost is estimated first.

    Example: softcam reproduce kaggle-dr --data downloads/dr --out runs/paper-dr --max-hours 200
    """
    from softcam.workflows.reproduce.reproduce import plan
    from softcam.workflows.reproduce.reproduce import reproduce as run
    from softcam.workflows.reproduce.settings import reproduction_for

    own = {
        "data_set": data_set,
        "data": data,
        "out": out,
        "max_hours": max_hours,
        "models": models,
        "tasks": tasks,
        "seeds": seeds,
        "epochs": epochs,
        "size": size,
        "batch_size": batch_size,
        "weights_resnet50": weights_resnet50,
        "weights_vgg16": weights_vgg16,
        "pretrained": pretrained,
        "penalty_form": penalty_form,
        "penalties": penalties,
        "splits": splits,
        "resplit": resplit,
        "training": dict(assignment(text, "--set") for text in settings or ()),
        "methods": methods,
        "limit": limit,
        "followed": followed,
        "probes": probes,
        "gallery": gallery,
        "resamples": resamples,
        "jobs": jobs,
        "precision": precision,
        "device": device,
        "workers": workers,
        "cache": cache,
    }
    wanted = reproduction_for(given(own), resume=resume)
    again = f"softcam reproduce {wanted.data_set} --resume --out {shlex.quote(str(wanted.out))}"
    if dry_run:
        from softcam.workflows.reproduce.cost import refuse_above

        planned = plan(wanted)
        _say(planned)
        refuse_above(planned.cost, wanted.max_hours)
        return
    try:
        result = run(wanted, resume=resume, say=_say)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(_remedy(wanted.out, again)) from error
    _report(result, wanted.out, again)


def _remedy(out: Path, again: str) -> str:
    from softcam.workflows.reproduce.settings import SETTINGS

    if (out / SETTINGS).is_file():
        return f"Go on with: {again}"
    return "Nothing was started yet; give the same command again."


def _say(planned: Planned) -> None:
    """Print what will be done and what it will cost."""
    from softcam.workflows.reproduce.cost import hours_text

    settings = planned.settings
    print_rows(
        f"{settings.about.title}: {len(planned.parts)} parts, seeds "
        f"{' '.join(map(str, settings.seeds))}",
        ["Part", "Runs left", "Epochs", "Images", "s / image", "Training h", "Explaining h"],
        [
            (
                cost.label,
                str(cost.runs),
                str(cost.epochs),
                str(cost.images),
                f"{cost.step:.3g}",
                hours_text(cost.training),
                hours_text(cost.explaining),
            )
            for cost in planned.cost.parts
        ],
    )
    for part in planned.parts:
        weights = [f"{role} l1 {l1:g} l2 {l2:g}" for role, (l1, l2) in part.weights().items()]
        shown = ", ".join(["black box, dense", *weights])
        source = part.penalty.source or "given"
        console().print(f"{part.task.label}, {part.label}: {shown} ({source})", markup=False)
    for note in planned.notes:
        console().print(f"note: {note}", markup=False)
    console().print(planned.cost.sentence(), markup=False)
    console().print(planned.cost.to_dict()["how"], style="dim", markup=False)


def _report(result: Reproduction, out: Path, again: str) -> None:
    from softcam.errors import WorkError
    from softcam.report.reproduction.tables import performance_table

    table = performance_table(result)
    print_rows(
        f"{table.title}: {result.title}",
        [table.subject, table.corner, *(column.label for column in table.columns)],
        [
            # A part stands over its models once.
            (
                "" if above is not None and above.subject == row.subject else row.subject,
                row.name,
                *map(str, row.cells),
            )
            for above, row in zip((None, *table.rows), table.rows, strict=False)
        ],
    )
    for note in table.notes:
        console().print(note, style="dim", markup=False)
    console().print(f"Report: {out / 'reproduction.html'}", markup=False)
    console().print(
        f"Published figures are edited in {out / 'published.yaml'}; then: {again}", markup=False
    )
    if result.failures:
        raise WorkError(
            f"{len(result.failures)} steps failed: {'; '.join(result.failures)} Try them again "
            f"with: {again}"
        )
