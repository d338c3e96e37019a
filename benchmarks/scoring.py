"""Does anything but the model hold the scoring of a table back? Images a second, and memory.

The claims: from image files to Parquet and stored maps, softcam scores at least 0.9 times as many
images a second as the bare forward passes over the same images, prepared in memory beforehand; and
the peak memory of a process that scores a table is the same within 10 % for 1,000 and for 20,000
images.

Speed: a round times, in a shuffled order, the bare forward passes (`model(batch)`, batch after
batch), the same again, and `softcam.workflows.scores.score.score_table` as `softcam predict --maps`
and `softcam explain` call it: the table is read, the model digested, and every file is on the disk
when the clock stops. The ratio is of images a second within a round; the figure is the median with
its interquartile range. The copy, whose ratio should be 1, shows the machine's noise. Before
anything is timed, stored logits must be those of the bare passes (1e-5 of the largest |logit|), and
stored maps must add up to them. The photographs are drawn, unless --table names a table.

On a CPU, reading, resizing and writing take their time from the forward pass, which uses every
core: the smaller the model and its input against the files, the lower the ratio must be. On a
machine that is not quiet, `--clock cpu` counts the process's processor time, in which overlapping
gains nothing.

Memory: a fresh process for each number of rows, a small model and small files, maps and regions;
what is printed is the peak of its resident memory as the system counts it (VmHWM).

Run it on a quiet machine: `python benchmarks/scoring.py` (`--help` lists the settings).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import holds, in_fresh_process, name_machine, resident, say_flat, write_json
from loading import draw, write_rows
from rich.console import Console
from rich.table import Table

import softcam
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_record
from softcam.data.records import Record
from softcam.data.table import read_table
from softcam.evidence.info import Task
from softcam.evidence.model import SoftCAM
from softcam.workflows.scores.read import read_scores
from softcam.workflows.scores.score import score_table
from softcam.workflows.scores.settings import Effort, ScoreSettings

BARE, CONTROL = "bare forward passes", "the same again"
WAYS = {
    "predict --maps": ScoreSettings(regions=False),
    "explain": ScoreSettings(),
}
BOUND, FLAT = 0.9, 1.10


def make_model(name: str, size: int, stages: int | None = None) -> SoftCAM:
    """Build a model with random weights, on which speed does not depend."""
    torch.manual_seed(0)
    model = softcam.create_model(name, num_classes=2, stages=stages).eval()
    model.info.task = Task.BINARY
    model.info.classes = ("class0", "class1")
    model.info.preprocessing = Preprocessing((size, size)).to_dict()
    return model


def prepare(records: tuple[Record, ...], size: int, batch: int) -> list[torch.Tensor]:
    """Bring all images into memory as the model takes them, a tensor a batch."""
    preprocessing = Preprocessing((size, size))
    pixels = np.stack([preprocessing(read_record(record)).pixels for record in records])
    return [torch.from_numpy(part) for part in np.split(pixels, range(batch, len(pixels), batch))]


@torch.inference_mode()
def forward(model: SoftCAM, batches: list[torch.Tensor]) -> np.ndarray:
    """Run the bare forward passes; give the logits."""
    return np.concatenate([model(images).logits.numpy() for images in batches])


def check(model: SoftCAM, table: Path, out: Path, bare: np.ndarray, effort: Effort) -> None:
    """Stop if what is stored is not what the model says."""
    score_table(model, table, out, effort=effort)
    scores = read_scores(out)
    rows = scores.rows(["logit_class0", "logit_class1"])
    stored = np.array([list(row.values()) for row in rows])
    means = np.asarray(scores.evidence[:]).mean(axis=(2, 3), dtype=np.float64)
    limit = 1e-5 * np.abs(bare).max()
    if np.abs(stored - bare).max() > limit or np.abs(stored - means).max() > limit:
        raise SystemExit("the stored logits are not those of the model; nothing was timed.")
    shutil.rmtree(out)


def measure_speed(args: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Time bare passes and scoring, round by round."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        table = args.table or Path(scratch) / "images"
        if args.table is None:
            draw(table, args.images, args.seed)
        records = read_table(table, require_labels=False).records
        model = make_model(args.model, args.size)
        effort = Effort(batch_size=args.batch, workers=args.workers, device="cpu")
        batches = prepare(records, args.size, args.batch)
        out = Path(scratch) / "out"
        check(model, table, out, forward(model, batches), effort)
        names = [BARE, CONTROL, *WAYS]
        seconds: dict[str, list[float]] = {name: [] for name in names}
        shuffle = random.Random(args.seed)
        clock = time.process_time if args.clock == "cpu" else time.perf_counter
        for number in range(args.rounds):
            for name in shuffle.sample(names, len(names)):
                began = clock()
                if name in WAYS:
                    score_table(model, table, out, settings=WAYS[name], effort=effort)
                else:
                    forward(model, batches)
                seconds[name].append(clock() - began)
                shutil.rmtree(out, ignore_errors=True)
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    title = f"{args.model} at {args.size} px, {len(records)} images, batch {args.batch}"
    title += ", processor time" if args.clock == "cpu" else ""
    return show_speed(console, title, len(records), seconds)


def show_speed(
    console: Console, title: str, count: int, seconds: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """Print the speeds, and whether the bound holds."""
    table = Table("way", title=title, title_justify="left")
    for heading in ("images/s", "ratio [IQR]", "bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = []
    for name, own in seconds.items():
        low, middle, high = np.percentile(np.array(seconds[BARE]) / own, [25, 50, 75])
        rate = count / float(np.median(own))
        verdict = f"{BOUND} {holds(middle >= BOUND)}" if name in WAYS else ""
        table.add_row(name, f"{rate:.1f}", f"{middle:.3f} \\[{low:.3f}, {high:.3f}]", verdict)
        rows.append(
            {
                "way": name,
                "images_per_second": rate,
                "ratio": float(middle),
                "ratio_quartiles": [float(low), float(high)],
                "seconds": own,
            }
        )
    console.print(table)
    return rows


def score_once(table: Path, size: int) -> dict[str, float]:
    """Score a table in this process; give its peak memory in MiB."""
    torch.set_num_threads(1)  # more only wait for each other on images so small
    model = make_model("resnet10t", size, stages=1)
    before = resident("VmRSS")
    with tempfile.TemporaryDirectory(dir=table.parent) as out:
        began = time.perf_counter()
        effort = Effort(batch_size=64, device="cpu")
        done = score_table(model, table, Path(out) / "scores", effort=effort)
        seconds = time.perf_counter() - began
    return {"start": before, "peak": resident("VmHWM"), "rate": done.images / seconds}


def measure_memory(args: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Score tables of growing length, each in a fresh process."""
    if not Path("/proc/self/status").is_file():
        console.print("memory: measured on Linux only")
        return []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        for count in args.rows:
            table = write_rows(Path(scratch) / str(count), count)
            print(f"{count} rows", file=sys.stderr)
            given = ("--child", str(table), "--memory-size", str(args.memory_size))
            rows.append({"rows": count, **in_fresh_process(__file__, *given)})
    table_ = Table(title="peak resident memory of the process, MiB", title_justify="left")
    for heading in ("rows", "model made", "peak", "ratio", "images/s"):
        table_.add_column(heading, justify="right")
    for row in rows:
        row["ratio"] = row["peak"] / rows[0]["peak"]
        cells = [f"{row['start']:.0f}", f"{row['peak']:.0f}", f"{row['ratio']:.3f}"]
        table_.add_row(f"{row['rows']}", *cells, f"{row['rate']:.0f}")
    console.print(table_)
    say_flat(console, [row["ratio"] for row in rows], FLAT)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=["speed", "memory"])
    parser.add_argument("--table", type=Path, help="a table or folder of images to score")
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--size", type=int, default=512, help="side of the input in pixels")
    parser.add_argument("--images", type=int, default=128, help="number of images to draw")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0, help="threads that read; 0: as softcam")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 20_000])
    parser.add_argument("--memory-size", type=int, default=64, help="side of the memory's inputs")
    parser.add_argument("--scratch", type=Path, help="folder for what is drawn (1 GB)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--child", metavar="TABLE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(score_once(Path(args.child), args.memory_size)))
        return
    if set(args.parts) - {"speed", "memory"}:
        parser.error("--parts takes speed and memory")
    console = Console(highlight=False, width=100)
    machine = name_machine(console)
    speed = measure_speed(args, console) if "speed" in args.parts else []
    memory = measure_memory(args, console) if "memory" in args.parts else []
    write_json(args.json, args, machine=machine, speed=speed, memory=memory)


if __name__ == "__main__":
    main()
