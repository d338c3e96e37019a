"""Do native maps say where better than post-hoc maps of the stock model? Several seeds, one table.

For every data set and seed three models are trained at the same budget by `softcam.train`: a
SoftCAM with evidence from an earlier stage, its stock black-box twin, and a SoftCAM with the
paper's L1 penalty on the last stage. The plain dense map is the twin's own, converted exactly.
`softcam benchmark` then explains the test images by each SoftCAM's evidence and the twin by every
post-hoc method; the values of each image are averaged over the seeds, and means and differences get
95 % intervals from a bootstrap over patients.

    python benchmarks/explanations.py --out runs/explanations --data DIR --weights FILE
    python benchmarks/explanations.py --out runs/explanations --sets fundus-phantom --seeds 0

`--data` is a folder with fundus/table.csv (IDRiD with boxes), `--weights` a file of a ResNet-18
trunk; without them the fundus photographs are left out. What is trained, and every map, is kept, so
that a second run is quick and an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console

from softcam.conversion.black_box import BlackBox
from softcam.conversion.convert import convert
from softcam.data.phantom import write
from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.explanations.paired import Compared, compare
from softcam.evaluation.explanations.result import ExplanationBenchmark, Method
from softcam.evaluation.localisation import activation_precision
from softcam.evidence.model import SoftCAM
from softcam.report.explanations.write import write_benchmark
from softcam.training.config import make_config
from softcam.training.run import Run
from softcam.workflows.benchmark.benchmark import benchmark
from softcam.workflows.benchmark.choose import case_batches, choose
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.evaluate import read_for
from softcam.workflows.models import load_run, preprocessing_of
from softcam.workflows.train import train

SHOWN = ("activation_precision", "pointing_game", "deletion_auc")
MORE = ("activation_sensitivity", "topk_precision", "pixel_ap", "insertion_auc", "positive_share")
FINDINGS = {
    "task": "binary",
    "classes": {0: "healthy", 1: "lesion"},
    "positive": "lesion",
    "findings": {
        "haemorrhage_or_microaneurysm": "lesion",
        "hard_exudate": "lesion",
        "optic_disc": "distractor",
    },
}


@dataclass(frozen=True)
class Plan:
    """One data set and how its models are trained.

    Attributes:
        name: The data set.
        stage: The earlier stage that the best recipe takes its evidence from.
        config: Settings of every training.
        l1: Weight of the penalised model's penalty.
    """

    name: str
    stage: int
    config: dict[str, Any]
    l1: float = 0.02


def plans(args: argparse.Namespace) -> list[Plan]:
    """List the data sets that there is data for."""
    found = []
    if args.data is not None and args.weights is not None:
        fundus = {"model": "resnet18", "weights": args.weights, "size": 224, "epochs": 6}
        found.append(Plan("fundus", 3, {**fundus, "augment": "fundus"}))
    phantom = {"model": "resnet10t", "size": 128, "epochs": 8, "lr": 2e-3, "augment": "light"}
    found += [Plan(f"{kind}-phantom", 2, phantom) for kind in ("fundus", "oct", "chest")]
    return [plan for plan in found if not args.sets or plan.name in args.sets]


def table_of(plan: Plan, args: argparse.Namespace) -> tuple[Path, Path | None]:
    """Give the table of a data set, drawn where it is a phantom, and its dataset.yaml."""
    home = args.out / plan.name
    home.mkdir(parents=True, exist_ok=True)
    if plan.name == "fundus":
        spec = home / "dataset.yaml"
        spec.write_text(yaml.safe_dump(FINDINGS, sort_keys=False))
        return args.data / "fundus" / "table.csv", spec
    data = home / "data"
    if not (data / "table.csv").is_file():
        write(data, plan.name.removesuffix("-phantom"), 600, size=128, difficulty=0.5, seed=0)
    return data / "table.csv", None


def trained(plan: Plan, seed: int, args: argparse.Namespace) -> tuple[Path, Path]:
    """Train the models of a seed, or find them; the first has its twin inside."""
    table, spec = table_of(plan, args)
    home = args.out / plan.name / f"seed{seed}"
    runs = []
    for name, more in (
        (f"stage{plan.stage}", {"stages": plan.stage, "with_twin": True}),
        ("penalised", {"l1": plan.l1}),
    ):
        folder = home / name
        if not Run(folder).finished:
            settings = {**plan.config, **more, "table": table, "dataset": spec, "seed": seed}
            train(make_config({**settings, "out": folder}), resume=folder.exists())
        runs.append(folder)
    return runs[0], runs[1]


def explained(plan: Plan, seed: int, args: argparse.Namespace) -> ExplanationBenchmark:
    """Benchmark the models of a seed."""
    table, spec = table_of(plan, args)
    best, penalised = trained(plan, seed, args)
    twin = load_run(best / "twin")
    if not isinstance(twin, BlackBox):
        raise TypeError(f"{best / 'twin'} is no black box.")
    plain: SoftCAM = convert(twin.model)
    plain.info = twin.info
    main = f"SoftCAM, stage {plan.stage}"
    native = ("evidence",)
    model = load_run(best)
    if not isinstance(model, SoftCAM):
        raise TypeError(f"{best} is no SoftCAM.")
    found = benchmark(
        model,
        table,
        twins={
            "SoftCAM, plain": plain,
            "SoftCAM, L1": penalised,
            "Stock twin": twin,
        },
        settings=BenchmarkSettings(
            methods=tuple(args.methods),
            limit=args.limit,
            followed=args.followed,
            probes=args.probes,
            seed=0,
            gallery=3,
        ),
        methods_of={"SoftCAM": native, "SoftCAM, plain": native, "SoftCAM, L1": native},
        dataset=spec,
        cache=args.out / "cache",
        show_progress=True,
    )
    folder = args.out / plan.name / f"seed{seed}" / "benchmark"
    folder.mkdir(parents=True, exist_ok=True)
    write_benchmark(found, folder, title=f"{plan.name}, seed {seed}: {main} as SoftCAM")
    return found


def ceilings(plan: Plan, args: argparse.Namespace) -> list[str]:
    """What a map of some cells scores that knows how much lesion each holds."""
    table, spec = table_of(plan, args)
    model = load_run(args.out / plan.name / f"seed{args.seeds[0]}" / f"stage{plan.stage}")
    part = read_for(model.info, table, dataset=spec).subset("test")
    chosen = choose(part, model.info, limit=args.limit, seed=0)
    sides = [14, 7] if plan.name == "fundus" else [16, 4]
    found: dict[int, list[torch.Tensor]] = {side: [] for side in sides}
    rules = preprocessing_of(model)
    for batch in case_batches(chosen, rules, batch_size=16, title="", show_progress=False):
        rows = np.flatnonzero(batch.lesions.any(axis=(1, 2)))
        if not rows.size:
            continue
        masks = torch.from_numpy(batch.lesions[rows])
        for side in sides:
            cells = torch.nn.functional.adaptive_avg_pool2d(masks.float()[:, None], side)[:, 0]
            full = batch.geometries[0].map_to_input(cells.numpy(), interpolation="bicubic")
            found[side].append(activation_precision(torch.from_numpy(full), masks))
    return [
        f"{side} x {side} cells that hold the lesions' own coverage: "
        f"{float(torch.cat(values).nanmean()):.2f}"
        for side, values in found.items()
    ]


def pooled(results: list[ExplanationBenchmark], key: str) -> tuple[Compared, list[Method]]:
    """Average each case over the seeds, then compare the methods, the best recipe first."""
    methods = [row.method for row in results[0].rows]
    stacked = np.stack([result.values[key] for result in results])
    known = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):  # undefined for every seed: NaN is meant
        mean = np.where(known, stacked, 0).sum(axis=0) / known.sum(axis=0)
    patients = [case.patient for case in results[0].cases]
    better = MEASURE[key].higher_is_better is not False
    return compare(mean, patients, higher_is_better=better), methods


def report(plan: Plan, results: list[ExplanationBenchmark], args: argparse.Namespace) -> str:
    """Write the section of one data set."""
    keys = [key for key in (*SHOWN, *MORE) if all(key in result.values for result in results)]
    tables = {key: pooled(results, key) for key in keys}
    methods = tables[keys[0]][1]
    counts = results[0].counts
    lines = [
        f"## {plan.name}",
        "",
        f"{counts['images']} test images, {counts['annotated']} with marked lesions; "
        f"{len(results)} seed(s). `SoftCAM` has its evidence from stage {plan.stage}.",
        "",
    ]
    for answer in results[0].answers:
        aucs = [
            other.auc.value
            for result in results
            for other in result.answers
            if other.subject == answer.subject
        ]
        lines.append(f"- AUC of {answer.subject}: {', '.join(f'{auc:.3f}' for auc in aucs)}")
    lines += ["", f"Activation precision that cells allow: {'; '.join(ceilings(plan, args))}."]
    head = ["Map", *(MEASURE[key].label + _arrow(key) for key in keys)]
    lines += ["", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for column, method in enumerate(methods):
        cells = [tables[key][0].means[column].format(2) for key in keys]
        lines.append("| " + " | ".join([str(method), *cells]) + " |")
    shown = [key for key in SHOWN if key in tables]
    head = ["SoftCAM: Evidence, own minus", *(MEASURE[key].label + _arrow(key) for key in shown)]
    lines += ["", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for column, method in enumerate(methods[1:], start=1):
        cells = [tables[key][0].differences[column].format(2) for key in shown]
        lines.append("| " + " | ".join([str(method), *cells]) + " |")
    return "\n".join([*lines, ""])


def _arrow(key: str) -> str:
    return {True: " ↑", False: " ↓", None: ""}[MEASURE[key].higher_is_better]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder with fundus/table.csv")
    parser.add_argument("--weights", type=Path, help="safetensors file of a ResNet-18 trunk")
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="*", default=["fast"])
    parser.add_argument("--limit", type=int, default=80)
    parser.add_argument("--followed", type=int, default=16)
    parser.add_argument("--probes", type=int, default=4)
    args = parser.parse_args()
    console = Console(stderr=True)
    for plan in plans(args):
        results = []
        for seed in args.seeds:
            console.print(f"{plan.name}, seed {seed}")
            results.append(explained(plan, seed, args))
        text = report(plan, results, args)
        (args.out / f"{plan.name}.md").write_text(text)
        conclusions = {f"seed {s}": r.conclusions for s, r in zip(args.seeds, results, strict=True)}
        (args.out / f"{plan.name}.json").write_text(json.dumps(conclusions, indent=2) + "\n")
        print(text)


if __name__ == "__main__":
    main()
