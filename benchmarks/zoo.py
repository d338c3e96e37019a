"""Does every pooled classifier convert? All of timm and torchvision, each at random weights.

The claim: every model of `timm.list_models()` and every classifier of torchvision up to 120
million parameters whose head averages positions converts exactly, and every other one is refused
with a reason from the closed list. Nothing fails in another way, and the refusals are those in
`expected_refusals.csv`.

How it is checked: each model is built with random weights, its norms get random statistics, and
it goes through `softcam.convert` at the smallest image that it takes. Then, for an image that the
conversion has not seen: the logits are the black box's, the mean of the evidence in float64 is
the logit, the map has the size that `map_size` foretold, and where tokens were put on a grid a
change in one corner of the image counts more in that corner of the map than one in the opposite.

Every result is written at once; a run that was interrupted goes on where it stopped. Workers are
replaced after some models and may use no more than `--memory` GiB each.

    python benchmarks/zoo.py                    # everything, about an hour on two cores
    python benchmarks/zoo.py --only 'resnet*'   # some names
    python benchmarks/zoo.py --table docs/zoo.md
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import json
import resource
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import timm
import torch
import torchvision
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

import softcam

HERE = Path(__file__).parent
EXPECTED = HERE / "expected_refusals.csv"
LIMIT = 120_000_000
CLASSES = 5
LOGITS, COMPLETE = 1e-4, 1e-5
"""Allowed differences, as fractions of the largest |logit| and the largest |evidence|."""


@dataclass(frozen=True)
class Result:
    """What became of one model.

    `status` is exact, refused, failed or large; `in_place` tells whether a changed corner of the
    image counts most in that corner of the map (None where nothing was rearranged to a map, or
    every cell answers alike).
    """

    source: str
    name: str
    module: str
    parameters: int
    status: str
    kind: str = ""
    reason: str = ""
    detail: str = ""
    image: tuple[int, ...] = ()
    map: tuple[int, ...] = ()
    logit_error: float = 0.0
    completeness: float = 0.0
    in_place: bool | None = None
    seconds: float = 0.0


def every_name() -> list[tuple[str, str]]:
    """List the classifiers of both libraries as (library, name)."""
    own = torchvision.models.list_models(module=torchvision.models)
    return [("timm", n) for n in timm.list_models()] + [("torchvision", n) for n in own]


def build(source: str, name: str) -> nn.Module:
    """Build a black box with random weights."""
    if source == "timm":
        model: nn.Module = timm.create_model(name, num_classes=CLASSES)
        return model
    built: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
    return built


def module_of(source: str, name: str) -> str:
    """Name the file of the library that a model comes from."""
    if source == "timm":
        return str(timm.model_entrypoint(name).__module__).rpartition(".")[2]
    return torchvision.models.get_model_builder(name).__module__.rpartition(".")[2]


def parameters_of(source: str, name: str) -> int:
    """Count parameters without memory for them, where the constructor allows it."""
    try:
        with torch.device("meta"):
            return sum(p.numel() for p in build(source, name).parameters())
    except (RuntimeError, NotImplementedError):
        return 0


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms random statistics, and values to what starts at zero."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(value.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for module in model.modules():
            named = dict(module.named_buffers(recurse=False))
            if "running_var" in named and named["running_var"] is not None:
                named["running_var"].copy_(uniform(named["running_var"], 0.5, 1.5))
                named["running_mean"].copy_(uniform(named["running_mean"], -0.2, 0.2))
            weight = getattr(module, "weight", None)
            if "norm" in type(module).__name__.lower() and isinstance(weight, nn.Parameter):
                weight.copy_(uniform(weight, 0.5, 1.2))
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(uniform(parameter, -0.05, 0.05))
    return model.eval()


def examine(source: str, name: str, limit: int = LIMIT) -> Result:
    """Convert one model and check what was promised."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    start, module = time.monotonic(), module_of(source, name)
    count = parameters_of(source, name)
    if count > limit:
        return Result(source, name, module, count, "large")
    try:
        torch.manual_seed(0)
        model = randomise(build(source, name))
        count = sum(p.numel() for p in model.parameters())
        if count > limit:
            return Result(source, name, module, count, "large")
        found = _checked(source, name, module, count, model)
    except softcam.ConversionError as refusal:
        found = Result(
            source, name, module, count, "refused", reason=str(refusal.reason), detail=str(refusal)
        )
    except Exception as error:  # whatever it is, it is the finding
        detail = f"{type(error).__name__}: {error}"[:300]
        found = Result(source, name, module, count, "failed", detail=detail)
    return Result(**{**asdict(found), "seconds": round(time.monotonic() - start, 2)})


def _checked(source: str, name: str, module: str, count: int, model: nn.Module) -> Result:
    converted = softcam.convert(model)
    size = converted.info.input_size
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, converted.info.in_chans, *size, generator=generator)
    with torch.no_grad():
        expected = model(image)
        own, evidence = converted(image)
    logits = evidence.double().mean(dim=(2, 3))
    error = float((own - expected).abs().max() / expected.abs().max())
    complete = float((own - logits).abs().max() / evidence.abs().max())
    problems = []
    if not error <= LOGITS:
        problems.append(f"logits differ by {error:.1e}")
    if not complete <= COMPLETE:
        problems.append(f"the mean of the evidence is off by {complete:.1e}")
    cells = tuple(int(length) for length in evidence.shape[2:])
    foretold = converted.map_size(size)
    if foretold != cells:
        problems.append(f"map_size says {foretold}, the map has {cells}")
    return Result(
        source,
        name,
        module,
        count,
        "failed" if problems else "exact",
        kind=converted.evidence_kind,
        detail="; ".join(problems),
        image=size,
        map=cells,
        logit_error=error,
        completeness=complete,
        in_place=_in_place(converted, image, cells),
    )


def _in_place(
    converted: softcam.SoftCAM, image: torch.Tensor, cells: tuple[int, ...]
) -> bool | None:
    """Change the top right corner, and the bottom left one, and see where each counts more.

    Only of interest where features were rearranged to a map: tokens, and channels last.
    """
    grids = getattr(converted.backbone, "grids", ())
    if min(cells) < 2 or all(grid.permutation is None for grid in grids):
        return None
    rows, columns = cells
    height, width = image.shape[2] // rows, image.shape[3] // columns
    right, left = image.clone(), image.clone()
    right[..., :height, -width:] += 2.0
    left[..., -height:, :width] += 2.0
    with torch.no_grad():
        features = converted.backbone(torch.cat([image, right, left]))
    if not isinstance(features, torch.Tensor) or features.shape[2:] != cells:
        return None
    change = (features[1:] - features[0]).double().norm(dim=1).clamp_min(1e-30).log()
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    towards_right = column / (columns - 1) - row / (rows - 1)
    score = float(((change[0] - change[1]) * towards_right).mean())
    return None if abs(score) < 1e-3 else score > 0  # some mix positions all but evenly


def expected_refusals() -> dict[tuple[str, str], str]:
    """Read which models are to be refused, and why."""
    with EXPECTED.open(newline="") as stream:
        return {(r["source"], r["name"]): r["reason"] for r in csv.DictReader(stream)}


def unexpected(results: Iterable[Result]) -> list[str]:
    """List what is not as it should be, one sentence each."""
    expected = expected_refusals()
    found = []
    for item in results:
        title, wanted = f"{item.source}/{item.name}", expected.get((item.source, item.name))
        if item.status == "failed":
            found.append(f"{title} failed: {item.detail}")
        elif item.status == "refused" and wanted is None:
            found.append(f"{title} was refused ({item.reason}) and should convert")
        elif item.status == "refused" and wanted != item.reason:
            found.append(f"{title} was refused for {item.reason!r}, expected {wanted!r}")
        elif item.status == "exact" and wanted is not None:
            found.append(f"{title} converts and is listed as refused ({wanted})")
    return found


def read_results(path: Path) -> dict[tuple[str, str], Result]:
    """Read the results so far; a line that was cut short is left out and done again."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        values["image"], values["map"] = tuple(values["image"]), tuple(values["map"])
        found[values["source"], values["name"]] = Result(**values)
    return found


def table(results: Sequence[Result], limit: int) -> str:
    """Write the results by family as Markdown."""
    families: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for item in results:
        families[item.source, item.module].append(item)
    counts = Counter(item.status for item in results)
    tested = [item for item in results if item.status != "large"]
    worst = max((item.logit_error for item in results if item.status == "exact"), default=0.0)
    lines = [
        "# Which models convert",
        "",
        f"Written by `python benchmarks/zoo.py --table docs/zoo.md`: timm {timm.__version__}, "
        f"torchvision {torchvision.__version__.partition('+')[0]}, torch "
        f"{torch.__version__.partition('+')[0]}. Random weights, random norm statistics, the "
        "smallest image that each model takes, one CPU thread.",
        "",
        f"{len(results)} names, {counts['large']} of them above {limit // 1_000_000} million "
        f"parameters and not tried. Of the other {len(tested)}, {counts['exact']} convert "
        f"exactly, {counts['refused']} are refused with a reason and {counts['failed']} fail. "
        f"The largest difference of a logit from the black box's is {worst:.1e} of the "
        f"largest |logit|.",
        "",
        "`kind` is the model's `evidence_kind`. A refusal is not an error of the model: its head "
        "does not average positions, so its logits have no exact map. "
        "[Convert a model](how-to/convert-a-model.md) says what each reason means.",
        "",
    ]
    for source in ("timm", "torchvision"):
        lines += [
            f"## {source}",
            "",
            "| module | tried | exact | kind | refused | failed | largest logit difference |",
            "|---|---:|---:|---|---|---:|---:|",
        ]
        for (library, module), items in sorted(families.items()):
            if library != source:
                continue
            exact = [item for item in items if item.status == "exact"]
            reasons = Counter(item.reason for item in items if item.status == "refused")
            failed = sum(item.status == "failed" for item in items)
            tried = sum(item.status != "large" for item in items)
            error = f"{max(item.logit_error for item in exact):.0e}" if exact else ""
            kinds = ", ".join(sorted({item.kind for item in exact}))
            refused = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
            lines.append(
                f"| {module} | {tried} | {len(exact)} | {kinds} | {refused} | {failed} | {error} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("runs/zoo.jsonl"))
    parser.add_argument("--only", default="*", help="names to try, as a pattern")
    parser.add_argument("--limit", type=int, default=LIMIT, help="largest number of parameters")
    parser.add_argument("--jobs", type=int, default=2, help="models at the same time")
    parser.add_argument("--memory", type=float, default=10.0, help="GiB for each of them")
    parser.add_argument("--table", type=Path, help="write the results by family and stop")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    results = read_results(arguments.results)
    if arguments.table is None:
        names = [
            (source, name)
            for source, name in every_name()
            if fnmatch.fnmatch(name, arguments.only) and (source, name) not in results
        ]
        _run(names, arguments.results, arguments.jobs, arguments.memory, arguments.limit)
        results = read_results(arguments.results)
    else:
        arguments.table.write_text(table(list(results.values()), arguments.limit))
    counts = Counter(item.status for item in results.values())
    print(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    misplaced = [item for item in results.values() if item.in_place is False]
    print(f"{len(misplaced)} whose map does not answer to the corner that changed")
    problems = unexpected(results.values())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _run(names: list[tuple[str, str]], path: Path, jobs: int, memory: float, limit: int) -> None:
    """Examine models in workers and write each result at once."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    waiting = list(names)
    with path.open("a") as stream, Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("models", total=len(waiting))
        while waiting:
            done = []
            with ProcessPoolExecutor(
                jobs,
                mp_context=get_context("spawn"),
                initializer=_bound_memory,
                initargs=(memory,),
            ) as pool:
                # New workers every few models: memory does not pile up, and one that dies takes
                # few with it. (The pool's own max_tasks_per_child can stop for good.)
                batch = waiting[: 16 * jobs]
                futures = {pool.submit(examine, *item, limit): item for item in batch}
                for future in as_completed(futures):
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        continue
                    stream.write(json.dumps(asdict(result)) + "\n")
                    stream.flush()
                    done.append(futures[future])
                    progress.update(bar, advance=1, description=result.name)
            if not done:  # a worker died at once: blame the first and go on
                source, name = waiting[0]
                dead = Result(source, name, "", 0, "failed", detail="its worker died")
                stream.write(json.dumps(asdict(dead)) + "\n")
                stream.flush()
                done.append(waiting[0])
                progress.update(bar, advance=1)
            waiting = [item for item in waiting if item not in set(done)]


def _bound_memory(gib: float) -> None:
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
