"""What does a map cost? SoftCAM's forward pass against the black box's, and against Grad-CAM.

The claim: one SoftCAM forward pass, which gives the logits and every class's map, costs at most
1.03 times the plain black box's forward pass, which gives the logits alone, for affine heads, and
at most 1.10 times for the other kinds. For ResNets, Grad-CAM of captum, torchcam and grad-cam is
timed beside it, for one class and for all classes (`--peers` without names leaves them out).

How it is measured: a round times the black box, a copy of it, SoftCAM and the next peer, in a
shuffled order, so that a drift of the machine meets all of them. The copy's ratio, which should
be 1, shows what the machine's noise does to the others. Ratios are taken within a round;
the figure is their median with its interquartile range. Before anything is timed, SoftCAM's
logits must be the black box's and every Grad-CAM map is compared with the evidence map.

Run it on a quiet machine: `python benchmarks/inference.py` (`--help` lists the settings).
"""

from __future__ import annotations

import argparse
import copy
import gc
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from common import name_machine, write_json
from peers import LIBRARIES, Peer, correlations, installed_peers
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import softcam

BOUNDS = {"affine": 1.03, "normalised": 1.10, "gated": 1.10}  # by evidence kind
TOLERANCE = 1e-4  # of the largest |logit|: softcam's promise for a converted model
PEER_TIMINGS = 3  # each peer is timed at least so often, even where the time is used up
BLACK_BOX, CONTROL, SOFTCAM = "black box", "black box, a copy", "SoftCAM"


@dataclass
class Timing:
    """What one contestant took; `rounds` says in which round each of the seconds was measured."""

    rounds: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def black_box(name: str, num_classes: int) -> nn.Module:
    """Build a model whose every block counts: timm starts the last norm of each at zero."""
    library, _, plain = name.rpartition("/")
    model: nn.Module
    if library == "torchvision":
        model = torchvision.models.get_model(plain, weights=None, num_classes=num_classes).eval()
    else:
        model = timm.create_model(plain, num_classes=num_classes).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.6)
    return model


def logit_error(expected: Tensor, given: Tensor) -> float:
    """Measure the largest difference of two logits (B, K), relative to the largest |logit|."""
    return float((expected - given).abs().max() / expected.abs().max())


def measure(
    always: dict[str, Callable[[], object]],
    peers: dict[str, Callable[[], object]],
    *,
    rounds: int,
    seconds: float,
    rng: random.Random,
    progress: str,
) -> dict[str, Timing]:
    """Time some contestants in every round, with the next peer each round, in a shuffled order.

    Goes on until `rounds` rounds are done, `seconds` are used and each peer had its timings;
    once the seconds are used up, peers that had theirs are left out.
    """
    calls = always | peers
    for call in calls.values():
        call()
    timings = {name: Timing() for name in calls}
    names = list(peers)
    rng.shuffle(names)
    owed = min(PEER_TIMINGS, rounds)
    start = shown = time.perf_counter()
    number = 0
    gc.collect()
    gc.disable()
    try:
        while True:
            elapsed = time.perf_counter() - start
            due = [n for n in names if elapsed < seconds or len(timings[n].seconds) < owed]
            if number >= rounds and elapsed >= seconds and not due:
                return timings
            order = [*always, *sorted(due, key=lambda n: len(timings[n].seconds))[:1]]
            rng.shuffle(order)
            for name in order:
                began = time.perf_counter()
                calls[name]()
                timings[name].seconds.append(time.perf_counter() - began)
                timings[name].rounds.append(number)
            number += 1
            if time.perf_counter() - shown > 5:
                shown = time.perf_counter()
                print(f"{progress}: round {number}, {shown - start:.0f} s", file=sys.stderr)
                gc.collect()
    finally:
        gc.enable()


def summary(timings: dict[str, Timing]) -> list[dict[str, Any]]:
    """Reduce timings to medians and to ratios against the black box of the same rounds."""
    base = np.array(timings[BLACK_BOX].seconds)
    rows = []
    for name, timing in timings.items():
        own, same = np.array(timing.seconds), base[timing.rounds]
        low, middle, high = np.percentile(own / same, [25, 50, 75])
        rows.append(
            {
                "contestant": name,
                "median_ms": 1e3 * float(np.median(own)),
                "ratio": float(middle),
                "ratio_quartiles": [float(low), float(high)],
                "ratio_of_medians": float(np.median(own) / np.median(same)),
                "timings": len(own),
                "raw": asdict(timing),
            }
        )
    return rows


def run_one(name: str, batch: int, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Verify, time and print one model at one batch size."""
    torch.manual_seed(args.seed)
    original = black_box(name, args.classes)
    model = softcam.convert(original)
    x = torch.randn(batch, 3, args.size, args.size)
    with torch.inference_mode():
        logits, (given, evidence) = original(x), model(x)
    error = logit_error(logits, given)
    if error > TOLERANCE:
        raise SystemExit(f"{name}: SoftCAM's logits are off by {error:.1e}; nothing was timed.")
    peers, missing = installed_peers(original, args.peers)
    agreement = {
        peer.name: correlations(peer, x, evidence, model.get_submodule("head.conv").bias.detach())
        for peer in peers
    }

    def plain(module: nn.Module) -> Callable[[], object]:
        def call() -> object:
            with torch.inference_mode():
                return module(x)

        return call

    def attributed(peer: Peer, classes: Sequence[int]) -> Callable[[], object]:
        return lambda: peer.attribute(x, classes)

    every = range(args.classes)
    calls = {f"{p.name}, one class": attributed(p, [0]) for p in peers if p.one_class}
    calls |= {f"{p.name}, all {args.classes}": attributed(p, every) for p in peers}
    title = f"{name}, batch {batch}"
    rows = summary(
        measure(
            {
                BLACK_BOX: plain(original),
                CONTROL: plain(copy.deepcopy(original)),
                SOFTCAM: plain(model),
            },
            calls,
            rounds=args.rounds,
            seconds=args.seconds,
            rng=random.Random(args.seed),
            progress=title,
        )
    )
    show(console, title, rows)
    console.print(f"logits: SoftCAM differs from the black box by {error:.1e} of the largest")
    for peer_name, values in agreement.items():
        defined = values[~np.isnan(values)]
        lowest = f"{defined.min():.6f}" if len(defined) else "undefined"
        console.print(
            f"correlation with the evidence, {peer_name}: lowest {lowest} of {len(defined)} maps"
            f" ({len(values) - len(defined)} empty)"
        )
    for library in missing:
        console.print(f'{library} is not installed: pip install "softcam\\[bench]"')
    console.print()
    return {
        "model": name,
        "kind": model.evidence_kind,
        "batch": batch,
        "logit_error": error,
        "correlation": {key: _listed(v) for key, v in agreement.items()},
        "missing": missing,
        "contestants": rows,
    }


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table of contestants."""
    table = Table("contestant", title=title, title_justify="left")
    for heading in ("median ms", "ratio [IQR]", "of medians", "timings"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ratio_quartiles"]
        ratio = f"{row['ratio']:.3f} \\[{low:.3f}, {high:.3f}]"
        table.add_row(
            row["contestant"],
            f"{row['median_ms']:.1f}",
            ratio,
            f"{row['ratio_of_medians']:.3f}",
            str(row["timings"]),
        )
    console.print(table)


def verdict(results: list[dict[str, Any]]) -> str:
    """Say for each model and batch whether the bound holds."""
    parts = []
    for result in results:
        row = next(row for row in result["contestants"] if row["contestant"] == SOFTCAM)
        bound = BOUNDS[result["kind"]]
        holds = "holds" if row["ratio"] <= bound else "does NOT hold"
        parts.append(
            f"{result['model']} ({result['kind']}) batch {result['batch']}: at most {bound:.2f} "
            f"{holds} ({row['ratio']:.3f})"
        )
    return "SoftCAM against the black box: " + "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=["resnet18", "resnet50"],
        help="timm names, or torchvision/NAME; other models than ResNets with --peers alone",
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--size", type=int, default=224, help="image side in pixels")
    parser.add_argument("--peers", nargs="*", default=list(LIBRARIES), choices=list(LIBRARIES))
    parser.add_argument("--rounds", type=int, default=30, help="least number of rounds")
    parser.add_argument("--seconds", type=float, default=25, help="least time per model and batch")
    parser.add_argument("--threads", type=int, help="torch's threads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write all timings there")
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if args.rounds < 1 or args.classes < 1:
        parser.error("--rounds and --classes must be at least 1")
    if args.threads:
        torch.set_num_threads(args.threads)
    console = Console(highlight=False, width=100)
    machine = name_machine(console, timm=timm.__version__)
    results = [run_one(n, batch, args, console) for n in args.models for batch in args.batches]
    write_json(args.json, args, machine=machine, results=results)
    console.print(verdict(results), soft_wrap=True)


if __name__ == "__main__":
    main()
