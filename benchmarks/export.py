"""How fast are exported models, maps included, and what do eight bits cost?

The claims, for ResNet-50 at 224 px on two threads: onnxruntime and OpenVINO give logits and maps
at least 1.5 times as fast as the torch model, and in 8 bits at least 2.5 times, with at most 0.005
of AUC lost on chest X-rays.

How it is measured: a model is trained for a short while on the X-rays (or given by `--run`),
exported in each format and precision, and measured on the test images by
`softcam.workflows.export` (AUC lost and agreement of the maps, 95 % intervals over patients). Then
a round runs the same batch of real images through each contestant in a shuffled order, with a
pause in front of each, since some runtimes' threads go on looking for work for a moment. Ratios are
taken within a round, torch's time over the contestant's; the figure is their median with its
interquartile range. The torch model is called as any torch model, `model(batch)`. A copy of it is
timed beside it: its ratio, which should be 1, shows what the machine's noise does. softcam's own
predictor, which lays the channels of a position side by side, has a row of its own.

Run it on a quiet machine:

    python benchmarks/export.py --data DIR              # DIR has table.csv; half an hour, most of
                                                        # it training; --keep DIR keeps the model
    python benchmarks/export.py --data DIR --short      # some minutes, to see that it runs
    python benchmarks/export.py --data DIR --run RUN    # a model that there is already
"""

from __future__ import annotations

import argparse
import copy
import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import name_machine, write_json
from rich.console import Console
from rich.table import Table as Printed

import softcam
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_record
from softcam.data.records import Table
from softcam.deploy.export.exported import open_exported
from softcam.evidence.model import SoftCAM
from softcam.explanation.predictor import Predictor, TorchPredictor
from softcam.workflows.evaluate import read_for
from softcam.workflows.export.export import Exported, export
from softcam.workflows.models import load_run

TORCH, CONTROL, OURS = "torch", "torch, a copy", "torch, as softcam runs it"
CONTESTANTS = {
    "onnxruntime fp32": ("onnx", "fp32"),
    "onnxruntime int8": ("onnx", "int8"),
    "OpenVINO fp32": ("openvino", "fp32"),
    "OpenVINO int8": ("openvino", "int8"),
}
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
GOALS = {"fp32": 1.5, "int8": 2.5}
AUC_GOAL = 0.005
PAUSE = 0.1  # seconds in front of each timing


class Eager:
    """A torch model, called as its users call it."""

    def __init__(self, model: SoftCAM) -> None:
        self.model = model.eval()
        self.info = model.info

    @torch.inference_mode()
    def predict(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give logits and maps of a batch."""
        output = self.model(torch.from_numpy(batch))
        return output.logits.numpy(), output.evidence.numpy()


@dataclass(frozen=True)
class Row:
    """A contestant's timings and, where it was measured, what its precision cost."""

    name: str
    precision: str
    seconds: list[float]
    ratios: list[float]
    cost: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        """Reduce them to medians and quartiles."""
        low, middle, high = np.percentile(self.ratios, [25, 50, 75])
        return {
            "contestant": self.name,
            "median_ms": 1e3 * float(np.median(self.seconds)),
            "ratio": float(middle),
            "ratio_quartiles": [float(low), float(high)],
            "rounds": len(self.ratios),
            "cost": self.cost,
            "raw_seconds": self.seconds,
        }


def subset(data: Path, folder: Path, counts: dict[str, int], seed: int) -> Path:
    """Write a table of a part of the images: so many of train and val, all of test."""
    with (data / "table.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    random.Random(seed).shuffle(rows)
    kept, left = [], dict(counts)
    for row in rows:
        if row["split"] not in left or left[row["split"]] > 0:
            kept.append(row)
            left[row["split"]] = left.get(row["split"], 0) - 1
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    return path


def trained(args: argparse.Namespace, folder: Path) -> Path:
    """Train a model on a part of the images, or take the one that is there."""
    run = folder / "run"
    if (run / "metrics.json").is_file():
        return run
    table = subset(args.data, folder, {"train": args.train_images, "val": 100}, args.seed)
    softcam.train(
        {
            "table": table,
            "images": args.data / "images",
            "out": run,
            "model": args.model,
            "weights": args.weights,
            "size": args.size,
            "epochs": args.epochs,
            "seed": args.seed,
            "device": "cpu",
            "workers": 0,
        },
        resume=(run / "config.yaml").is_file(),
        show_progress=False,
    )
    return run


def measured_table(model: SoftCAM, args: argparse.Namespace) -> Table:
    """Read the images to calibrate and measure on; `--limit` of the test images, evenly."""
    table = read_for(model.info, args.data)
    if not args.limit:
        return table
    test = [record for record in table.records if record.split == "test"]
    places = np.linspace(0, len(test) - 1, min(args.limit, len(test))).round().astype(int)
    chosen = [test[place] for place in dict.fromkeys(places.tolist())]
    others = [record for record in table.records if record.split != "test"]
    return replace(table, records=tuple(others + chosen))


def written(table: Table, folder: Path) -> Path:
    """Write a table that was chosen, for the commands that read one."""
    path = folder / "measured.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "label", "split", "patient"))
        writer.writerows((r.name, r.label, r.split, r.patient) for r in table.records)
    return path


def batch_of(model: SoftCAM, table: Table, count: int) -> np.ndarray:
    """Prepare real images, (count, C, H, W)."""
    prepare = Preprocessing.from_dict(model.info.preprocessing or {})
    records = [record for record in table.records if record.split == "test"][:count]
    return np.stack([prepare(read_record(record)).pixels for record in records])


def timed(
    contestants: dict[str, Predictor], batch: np.ndarray, args: argparse.Namespace
) -> dict[str, list[float]]:
    """Run every contestant in each round, in a shuffled order, with pauses."""
    rng = random.Random(args.seed)
    names = list(contestants)
    calls: dict[str, Callable[[], object]] = {
        name: lambda p=predictor: p.predict(batch)  # type: ignore[misc]
        for name, predictor in contestants.items()
    }
    for call in calls.values():
        for _ in range(2):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(args.rounds):
        rng.shuffle(names)
        for name in names:
            time.sleep(PAUSE)
            began = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - began)
        if number % 10 == 9:
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    return seconds


def compare(args: argparse.Namespace, folder: Path, console: Console) -> list[Row]:
    """Export, measure and time."""
    run = args.run or trained(args, folder)
    model = load_run(run)
    if not isinstance(model, SoftCAM):
        raise SystemExit(f"{run}: is a black box and has no maps.")
    table = measured_table(model, args)
    path = written(table, folder)
    exports: dict[str, Exported] = {}
    for name, (kind, precision) in CONTESTANTS.items():
        console.print(f"exporting for {name} ...", style="dim")
        exports[name] = export(
            run,
            folder / f"{kind}-{precision}{SUFFIXES[kind]}",
            precision=precision,  # type: ignore[arg-type]
            table=path if precision == "int8" else None,
            images=args.data / "images",
            calibrate=args.calibrate,
        )
    contestants: dict[str, Predictor] = {
        TORCH: Eager(model),
        CONTROL: Eager(copy.deepcopy(model)),
        OURS: TorchPredictor(copy.deepcopy(model)),
    }
    contestants |= {
        name: open_exported(done.path, threads=args.threads) for name, done in exports.items()
    }
    seconds = timed(contestants, batch_of(model, table, args.batch), args)
    base = np.array(seconds[TORCH])
    return [
        Row(
            name,
            CONTESTANTS[name][1] if name in CONTESTANTS else "fp32",
            values,
            (base / np.array(values)).tolist(),
            exports[name].description.loss if name in exports else {},
        )
        for name, values in seconds.items()
    ]


def show(rows: Sequence[Row], batch: int, console: Console) -> None:
    """Print speeds, then what 8 bits cost."""
    printed = Printed("contestant", title=f"Logits and maps, batches of {batch}")
    for heading in ("images / s", "times torch [IQR]", "rounds"):
        printed.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        found = row.figures()
        low, high = found["ratio_quartiles"]
        printed.add_row(
            row.name,
            f"{1e3 * batch / found['median_ms']:.1f}",
            f"{found['ratio']:.2f} \\[{low:.2f}, {high:.2f}]",
            str(found["rounds"]),
        )
    console.print(printed)
    for row in rows:
        if row.cost:
            lost, alike, shift = (row.cost[name] for name in ("auc_loss", "pearson", "shift"))
            console.print(
                f"{row.name}, {row.cost['images']} test images: AUC "
                f"{row.cost['auc_model']['value']:.4f} to {row.cost['auc_exported']['value']:.4f}, "
                f"lost {_interval(lost)}; maps' correlation {_interval(alike)}; strongest cell "
                f"moved {_interval(shift, 1)} px",
                soft_wrap=True,
                markup=False,
            )


def _interval(values: dict[str, Any], digits: int = 4) -> str:
    low, high = (
        "n/a" if values[end] is None else f"{values[end]:.{digits}f}" for end in ("low", "high")
    )
    return f"{values['value']:.{digits}f} [{low}, {high}]"


def verdict(rows: Sequence[Row]) -> str:
    """Say whether each claim holds."""
    parts = []
    for row in rows:
        if row.name in (TORCH, CONTROL, OURS):
            continue
        ratio, goal = row.figures()["ratio"], GOALS[row.precision]
        parts.append(f"{row.name}: at least {goal} {_holds(ratio >= goal)} ({ratio:.2f})")
        if row.cost:
            lost = row.cost["auc_loss"]["value"]
            parts.append(f"at most {AUC_GOAL} AUC lost {_holds(lost <= AUC_GOAL)} ({lost:.4f})")
    return "; ".join(parts)


def _holds(yes: bool) -> str:
    return "holds" if yes else "does NOT hold"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with table.csv and images")
    parser.add_argument("--run", type=Path, help="a trained run, instead of training one")
    parser.add_argument("--keep", type=Path, help="folder for model and exports, to be used again")
    parser.add_argument("--model", default="resnet50", help="timm name, or torchvision/NAME")
    parser.add_argument("--weights", type=Path, help="pretrained weights to start training from")
    parser.add_argument("--size", type=int, default=224, help="image side in pixels")
    parser.add_argument("--train-images", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--calibrate", type=int, default=128, help="images to calibrate int8 with")
    parser.add_argument("--limit", type=int, default=0, help="test images to measure on; 0 for all")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="little training and few rounds")
    parser.add_argument("--json", type=Path, help="write all timings there")
    args = parser.parse_args()
    if not (args.data / "table.csv").is_file():
        parser.error(f"--data: there is no {args.data / 'table.csv'}")
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if min(args.batch, args.rounds, args.threads, args.epochs, args.train_images) < 1:
        parser.error("--batch, --rounds, --threads, --epochs and --train-images must be 1 or more")
    if args.short:
        args.train_images, args.epochs = min(args.train_images, 200), 1
        args.rounds, args.limit, args.calibrate = min(args.rounds, 10), 100, 32
    torch.set_num_threads(args.threads)
    console = Console(highlight=False, width=100)
    versions = {name: metadata.version(name) for name in ("onnxruntime", "openvino", "nncf")}
    machine = name_machine(console, load=round(os.getloadavg()[0], 1), **versions)
    with tempfile.TemporaryDirectory(prefix="softcam-export-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = compare(args, folder, console)
    show(rows, args.batch, console)
    console.print(f"load after it: {os.getloadavg()[0]:.1f}")
    console.print(verdict(rows), soft_wrap=True)
    write_json(args.json, args, machine=machine, rows=[row.figures() for row in rows])


if __name__ == "__main__":
    main()
