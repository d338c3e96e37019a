"""Do native maps say where better than post-hoc maps of the stock model? Several seeds, one table.

For every data set and seed `softcam sweep` trains, at the same budget, the stock black box, the
dense SoftCAM, its L1 penalty, the focused recipe, and the focused recipe's architecture trained
plainly. `softcam benchmark` then explains the test images by the SoftCAMs' evidence, and the stock
black box and the plainly trained twin of the focused architecture by every post-hoc method; the
values of each image are averaged over the seeds, and means and differences get 95 % intervals from
a bootstrap over patients.

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

from softcam.data.phantom import write
from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.explanations.paired import Compared, compare
from softcam.evaluation.explanations.result import ExplanationBenchmark, Method
from softcam.evaluation.localisation import activation_precision
from softcam.evidence.model import SoftCAM
from softcam.report.explanations.write import write_benchmark
from softcam.workflows.benchmark.benchmark import benchmark
from softcam.workflows.benchmark.choose import case_batches, choose
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.evaluate import read_for
from softcam.workflows.models import load_run, preprocessing_of
from softcam.workflows.sweep.sweep import sweep

SHOWN = ("activation_precision", "pointing_game", "deletion_auc")
FOCUSED = "focused"
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
        config: Settings of every training.
        l1: Weights of the sparse penalty; the first one's model is explained.
    """

    name: str
    config: dict[str, Any]
    l1: tuple[float, ...]


def plans(args: argparse.Namespace) -> list[Plan]:
    """List the data sets that there is data for."""
    found = []
    if args.data is not None and args.weights is not None:
        fundus = {"model": "resnet18", "weights": args.weights, "size": 224, "epochs": 6}
        found.append(Plan("fundus", {**fundus, "augment": "fundus"}, (0.05,)))
    phantom = {"model": "resnet10t", "size": 128, "epochs": 8, "lr": 2e-3, "augment": "light"}
    kinds = ("fundus", "oct", "chest")
    found += [Plan(f"{kind}-phantom", phantom, (0.05, 0.5)) for kind in kinds]
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


def trained(plan: Plan, args: argparse.Namespace) -> Path:
    """Train the models of all seeds, or find them; give the folder of their runs."""
    table, spec = table_of(plan, args)
    out: Path = args.out / plan.name / "sweep"
    settings = {
        "out": out,
        "base": {**plan.config, "table": table, "dataset": spec},
        "seeds": args.seeds,
        "l1": plan.l1,
        "variants": {FOCUSED: {"recipe": "focused"}},
        "plain_twins": True,
        "limit": 48,
        "jobs": args.jobs,
    }
    if not (out / "sweep.json").is_file():
        sweep(settings, resume=(out / "sweep.yaml").is_file())
    return out / "runs"


def explained(plan: Plan, seed: int, args: argparse.Namespace) -> ExplanationBenchmark:
    """Benchmark the models of a seed."""
    table, spec = table_of(plan, args)
    runs = trained(plan, args)

    def softcam_of(name: str) -> SoftCAM:
        model = load_run(runs / name / f"seed{seed}")
        if not isinstance(model, SoftCAM):
            raise TypeError(f"{name} is no SoftCAM.")
        return model

    native = ("evidence",)
    found = benchmark(
        softcam_of(FOCUSED),
        table,
        twins={
            "Dense": softcam_of("dense"),
            "L1": softcam_of(f"l1-{plan.l1[0]:g}"),
            "Same backbone": softcam_of(f"{FOCUSED}-plain"),
            "Stock twin": runs / "black-box" / f"seed{seed}",
        },
        settings=BenchmarkSettings(
            methods=tuple(args.methods),
            limit=args.limit,
            followed=args.followed,
            probes=args.probes,
            seed=0,
            gallery=3,
        ),
        methods_of={"SoftCAM": native, "Dense": native, "L1": native},
        dataset=spec,
        cache=args.out / "cache",
        show_progress=True,
    )
    folder = args.out / plan.name / f"seed{seed}" / "benchmark"
    folder.mkdir(parents=True, exist_ok=True)
    write_benchmark(found, folder, title=f"{plan.name}, seed {seed}: the focused recipe as SoftCAM")
    return found


def ceilings(plan: Plan, args: argparse.Namespace) -> list[str]:
    """What a map of some cells scores that knows how much lesion each holds."""
    table, spec = table_of(plan, args)
    model = load_run(trained(plan, args) / FOCUSED / f"seed{args.seeds[0]}")
    part = read_for(model.info, table, dataset=spec).subset("test")
    chosen = choose(part, model.info, limit=args.limit, seed=0)
    sides = [56, 7] if plan.name == "fundus" else [32, 4]
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
        f"{len(results)} seed(s). `SoftCAM` is the focused recipe.",
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
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time")
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
