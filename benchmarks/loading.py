"""Does decoding hold training back? Images a second from disk to tensor, and memory by table size.

The claims: from disk to normalised tensors at 512 px, softcam's data set is at least as fast as
torchvision's plain ImageFolder pipeline (Resize, ToTensor, Normalize) without a cache, and at least
5 times as fast from a cache folder; and the peak memory of a process that reads a table and loads
one epoch is the same within 10 % for 1,000, 10,000 and 100,000 rows.

Speed: all contestants load the same JPEG files through the same DataLoader settings. A round times
one epoch of each, in a shuffled order, so that a drift of the machine meets all of them. The
pipeline's copy, whose ratio should be 1, shows what the machine's noise does to the others. Ratios
are of images a second within a round; the figure is their median with its interquartile range.
Before anything is timed, every tensor must be torchvision's within 1e-5, and from the cache the
same to the last bit. The files are drawn, 1024 to 2048 px wide, unless --folder names class
folders.

Memory: a fresh process for each number of rows and each way to load; what is printed is the peak of
its resident memory, shared and mapped pages included, as the system counts it (VmHWM).

Run it on a quiet machine: `python benchmarks/loading.py` (`--help` lists the settings).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from common import holds, in_fresh_process, name_machine, resident, say_flat, write_json
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from softcam.data.cache import PreparedCache
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.training.dataset import ImageDataset
from softcam.training.loaders import make_loader

PEER, CONTROL = "torchvision ImageFolder", "the same again"
UNCACHED, CACHED = "softcam, uncached", "softcam, cache folder"
BOUNDS = {UNCACHED: 1.0, CACHED: 5.0}
FLAT = 1.10
TOLERANCE = 1e-5
ROWS = (1_000, 10_000, 100_000)
WAYS = ("cache folder", "no cache")


def draw(folder: Path, count: int, seed: int) -> None:
    """Draw photographs in two class folders: soft shapes, fine texture, sensor noise."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        width = int(generator.integers(1024, 2049))
        height = width * 3 // 4
        total = np.zeros((height, width, 3), np.float32)
        for cells, weight in ((6, 0.6), (40, 0.3), (250, 0.1)):
            coarse = generator.integers(0, 256, (cells * 3 // 4, cells, 3)).astype(np.uint8)
            smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            total += weight * np.asarray(smooth, np.float32)
        total += generator.normal(0, 3, (height, width, 1)).astype(np.float32)
        path = folder / f"class{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(path, quality=90)


@dataclass
class Contestant:
    """A way from disk to tensors, and what its epochs took."""

    name: str
    loader: DataLoader[Any]
    seconds: list[float]


def contestants(folder: Path, cache: Path, args: argparse.Namespace) -> list[Contestant]:
    """Build the four ways, and check that their tensors are alike."""
    preprocessing = Preprocessing((args.size, args.size), resize="stretch")
    steps = transforms.Compose(
        [
            transforms.Resize((args.size, args.size)),
            transforms.ToTensor(),
            transforms.Normalize(preprocessing.mean, preprocessing.std),
        ]
    )
    peer = ImageFolder(str(folder), steps)
    table = read_table(folder, make_splits=False)
    uncached = ImageDataset(table, preprocessing, cache_bytes=0)
    cached = ImageDataset(table, preprocessing, cache=PreparedCache(cache, preprocessing))
    if [Path(path) for path, _ in peer.samples] != [record.image for record in table.records]:
        raise SystemExit(f"{folder}: softcam and torchvision list other files; nothing was timed.")
    for index in range(len(peer)):
        expected, plain, mapped = peer[index][0], uncached[index][0], cached[index][0]
        if not torch.equal(plain, mapped) or (plain - expected).abs().max() > TOLERANCE:
            raise SystemExit(f"{peer.samples[index][0]}: the tensors differ; nothing was timed.")
    own = {UNCACHED: uncached, CACHED: cached}
    settings = {"batch_size": args.batch, "seed": 0, "workers": args.workers}
    return [
        *(Contestant(name, plain_loader(peer, args), []) for name in (PEER, CONTROL)),
        *(Contestant(n, make_loader(data, None, **settings), []) for n, data in own.items()),
    ]


def plain_loader(data: Dataset[Any], args: argparse.Namespace) -> DataLoader[Any]:
    """Load with the settings of `make_loader`."""
    return DataLoader(
        data,
        batch_size=args.batch,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        prefetch_factor=4 if args.workers else None,
    )


def epoch(loader: Iterable[tuple[Tensor, Tensor]]) -> int:
    """Load everything once and count the images."""
    return sum(len(images) for images, _ in loader)


def measure_speed(args: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Time epochs of all contestants, round by round."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        folder = args.folder or Path(scratch) / "images"
        if args.folder is None:
            draw(folder, args.images, args.seed)
        ways = contestants(folder, Path(scratch) / "cache", args)
        rng = random.Random(args.seed)
        count = 0
        for way in ways:
            count = epoch(way.loader)  # starts the workers
        for number in range(args.rounds):
            for way in rng.sample(ways, len(ways)):
                began = time.perf_counter()
                epoch(way.loader)
                way.seconds.append(time.perf_counter() - began)
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    rows = []
    base = np.array(ways[0].seconds)
    for way in ways:
        own = np.array(way.seconds)
        low, middle, high = np.percentile(base / own, [25, 50, 75])
        rows.append(
            {
                "contestant": way.name,
                "images_per_second": count / float(np.median(own)),
                "ratio": float(middle),
                "ratio_quartiles": [float(low), float(high)],
                "seconds": way.seconds,
            }
        )
    title = f"{count} images to {args.size} px, batch {args.batch}, {args.workers} workers"
    show(console, title, rows)
    return rows


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print the speeds, and whether the bounds hold."""
    table = Table("contestant", title=title, title_justify="left")
    for heading in ("images/s", "ratio [IQR]", "bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ratio_quartiles"]
        bound = BOUNDS.get(row["contestant"])
        verdict = ""
        if bound is not None:
            verdict = f"{bound:.1f} {holds(row['ratio'] >= bound)}"
        table.add_row(
            row["contestant"],
            f"{row['images_per_second']:.0f}",
            f"{row['ratio']:.2f} \\[{low:.2f}, {high:.2f}]",
            verdict,
        )
    console.print(table)


def write_rows(folder: Path, count: int) -> Path:
    """Write a table of small JPEG files, no two with the same bytes."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (72, 96, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    lines = ["image,label,split,patient"]
    for number in range(count):
        name = f"{number // 1000:03d}/image{number:06d}.jpg"
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.getvalue() + number.to_bytes(8))  # behind the end of the image
        split = "val" if number % 10 == 9 else "train"
        lines.append(f"{name},{number % 2},{split},patient{number // 2:06d}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.csv"


def load_once(table_file: Path, way: str, size: int) -> dict[str, float]:
    """Read a table and load one epoch in this process; give its peak memory in MiB."""
    before = resident("VmRSS")
    table = read_table(table_file)
    read = resident("VmHWM")
    preprocessing = Preprocessing((size, size))
    cache = PreparedCache(table_file.parent / "cache", preprocessing)
    data = ImageDataset(
        table, preprocessing, cache_bytes=0, cache=cache if way == WAYS[0] else None
    )
    began = time.perf_counter()
    count = epoch(make_loader(data, None, batch_size=16, seed=0))
    seconds = time.perf_counter() - began
    peak = resident("VmHWM")
    return {"start": before, "table": read, "peak": peak, "rate": count / seconds}


def measure_memory(args: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Load tables of growing length, each in a fresh process."""
    if not Path("/proc/self/status").is_file():
        console.print("memory: measured on Linux only")
        return []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        for count in args.rows:
            table = write_rows(Path(scratch) / str(count), count)
            # The cache is filled in one process and read in another: each has its own peak.
            for way, note in ((WAYS[0], "being filled"), (WAYS[0], "filled"), (WAYS[1], "")):
                print(f"{count} rows, {way} {note}", file=sys.stderr)
                given = ("--child", str(table), way, "--memory-size", str(args.memory_size))
                label = f"{way}, {note}" if note else way
                rows.append({"rows": count, "way": label, **in_fresh_process(__file__, *given)})
    table = Table(title="peak resident memory of the process, MiB", title_justify="left")
    for heading in ("way", "rows", "at the start", "table read", "peak", "ratio", "images/s"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for row in sorted(rows, key=lambda row: (row["way"], row["rows"])):
        least = next(r for r in rows if r["way"] == row["way"] and r["rows"] == args.rows[0])
        row["ratio"] = row["peak"] / least["peak"]
        cells = [f"{row[name]:.0f}" for name in ("start", "table", "peak")]
        table.add_row(
            row["way"], f"{row['rows']}", *cells, f"{row['ratio']:.3f}", f"{row['rate']:.0f}"
        )
    console.print(table)
    say_flat(console, [row["ratio"] for row in rows], FLAT)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=["speed", "memory"])
    parser.add_argument("--folder", type=Path, help="class folders of images to load")
    parser.add_argument("--images", type=int, default=160, help="number of images to draw")
    parser.add_argument("--size", type=int, default=512, help="side of the input in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--memory-size", type=int, default=64, help="side of the memory's inputs")
    parser.add_argument("--scratch", type=Path, help="folder for what is drawn (2 GB)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--child", nargs=2, metavar=("TABLE", "WAY"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(load_once(Path(args.child[0]), args.child[1], args.memory_size)))
        return
    if set(args.parts) - {"speed", "memory"}:
        parser.error("--parts takes speed and memory")
    console = Console(highlight=False, width=100)
    machine = name_machine(console, torchvision=torchvision.__version__, pillow=PIL.__version__)
    speed = measure_speed(args, console) if "speed" in args.parts else []
    memory = measure_memory(args, console) if "memory" in args.parts else []
    write_json(args.json, args, machine=machine, speed=speed, memory=memory)


if __name__ == "__main__":
    main()
