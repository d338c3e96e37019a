"""What does judging an explanation cost? Each section times one part of `softcam.evaluation`.

deletion: the claim is that deletion curves cost at most 1.05 times the bare forward passes that
they need: as many batches of the same sizes, with nothing around them. Beside it is the usual
way, one image and one step at a time, with the image kept in memory and with the image read from
its file at every step.

How it is measured: a round takes the next few images and times the bare forward passes, the same
again (what that ratio is, which should be 1, shows the machine's noise), softcam, and one of the
slow ways on one image, in a shuffled order. Ratios are taken within a round; the figure is their
median with its interquartile range, and `of sums` is the ratio of all rounds together. Rounds go
on until every image had its turn. Before anything is timed, softcam's logits must be those of the
slow way. Last, all images go through one call as a stream, and the growth of the process's peak
memory is compared with what the changed copies would take together.

Run it on a quiet machine: `python benchmarks/evaluation.py` (`--help` lists the settings).
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from common import name_machine, write_json
from inference import Timing, black_box, logit_error, measure
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from softcam.evaluation.faithfulness.baselines import Baseline, Blur, Constant, LocalMean
from softcam.evaluation.faithfulness.curves import deletion
from softcam.evaluation.faithfulness.patches import Raster, patch_order
from softcam.evaluation.localisation import scaled_patch

BOUND = 1.05
TOLERANCE = 1e-5  # of the largest |logit|: one image at a time against batches
BASELINES: dict[str, Baseline] = {"mean": Constant(0.0), "blur": Blur(), "local": LocalMean()}
BARE, CONTROL, SOFTCAM = "bare forward passes", "the same again", "softcam"
SLOW, RELOADING = "one at a time", "one at a time, reloading"
MEAN, SPREAD = 127.5, 64.0  # grey values to normalised units


class Pictures:
    """Random images as PNG files, and as normalised tensors, with random maps."""

    def __init__(self, folder: Path, count: int, size: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.paths = [folder / f"{number}.png" for number in range(count)]
        for path in self.paths:
            coarse = generator.integers(0, 256, (size // 8 + 1, size // 8 + 1, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(path)
        self.images = torch.stack([self.read(number) for number in range(count)])
        maps = generator.normal(size=(count, size // 16 + 1, size // 16 + 1))
        self.maps = torch.nn.functional.interpolate(
            torch.from_numpy(maps).float()[:, None], size=(size, size), mode="nearest"
        )[:, 0]

    def read(self, number: int) -> Tensor:
        """Read one image from its file, (3, H, W)."""
        with Image.open(self.paths[number]) as file:
            pixels = torch.from_numpy(np.array(file.convert("RGB")))
        return (pixels.permute(2, 0, 1).float() - MEAN) / SPREAD


def one_at_a_time(
    model: nn.Module,
    read: Callable[[], Tensor],
    saliency: Tensor,
    patch: int,
    baseline: Baseline,
    steps: int,
) -> Tensor:
    """Delete patches of one image in a loop, a forward pass of one image per step: (S + 1, K)."""
    raster = Raster(tuple(saliency.shape), patch)
    order = patch_order(saliency[None], patch)[0].tolist()
    logits = []
    with torch.inference_mode():
        for count in range(steps + 1):
            image = read()[None].clone()
            filling = baseline(image, patch).expand_as(image).clone()
            for number in order[:count]:
                place = (..., *raster.slices(number))
                image[place] = filling[place]
            logits.append(model(image)[0])
    return torch.stack(logits)


def deletion_curves(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Time deletion curves against the forward passes that they need."""
    torch.manual_seed(args.seed)
    model = black_box(args.model, args.classes)
    baseline, patch = BASELINES[args.baseline], scaled_patch(args.size)
    copies = args.steps + 1
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(Path(folder), args.images, args.size, args.seed)
        error = _equal(model, pictures, patch, baseline, args)
        console.print(f"logits: one image at a time differs by {error:.1e} of the largest")
        batch = torch.randn(args.batch, 3, args.size, args.size)
        starts = range(0, args.images, args.round)
        turns = {
            name: itertools.cycle(starts) for name in (BARE, CONTROL, SOFTCAM, SLOW, RELOADING)
        }

        def bare(name: str) -> Callable[[], object]:
            def call() -> None:
                start = next(turns[name])
                needed = len(pictures.images[start : start + args.round]) * copies
                with torch.inference_mode():
                    for done in range(0, needed, args.batch):
                        model(batch[: needed - done])

            return call

        def curves() -> None:
            part = slice(start := next(turns[SOFTCAM]), start + args.round)
            _curve(model, pictures.images[part], pictures.maps[part], patch, baseline, args)

        def slow(name: str, reload: bool) -> Callable[[], object]:
            def call() -> None:
                number = next(turns[name])
                kept = pictures.images[number]
                read = (lambda: pictures.read(number)) if reload else (lambda: kept)
                one_at_a_time(model, read, pictures.maps[number], patch, baseline, args.steps)

            return call

        timings = measure(
            {BARE: bare(BARE), CONTROL: bare(CONTROL), SOFTCAM: curves},
            {SLOW: slow(SLOW, False), RELOADING: slow(RELOADING, True)},
            rounds=len(starts),
            seconds=0,
            rng=random.Random(args.seed),
            progress=f"deletion of {args.images} images",
        )
    per_call = dict.fromkeys((BARE, CONTROL, SOFTCAM), args.round) | {SLOW: 1, RELOADING: 1}
    rows = _ratios(timings, per_call)
    title = f"{args.model}, {args.images} images of {args.size} px, {args.steps} steps"
    _show(console, f"{title}, batch {args.batch}, {args.baseline}", rows)
    memory = _memory(model, patch, baseline, args)
    if memory:
        console.print(
            f"peak memory beyond the bare passes': {memory['quarter']:.0f} MiB for a quarter of "
            f"the images, {memory['all']:.0f} MiB for all; the copies together would take "
            f"{memory['copies']:.0f} MiB"
        )
    ratio = next(row for row in rows if row["contestant"] == SOFTCAM)["ratio"]
    holds = "holds" if ratio <= BOUND else "does NOT hold"
    console.print(f"deletion curves at most {BOUND:.2f} of the bare passes: {holds} ({ratio:.3f})")
    return {"logit_error": error, "memory_mib": memory, "contestants": rows}


def _curve(
    model: nn.Module,
    images: Tensor | Iterator[Tensor],
    maps: Tensor,
    patch: int,
    baseline: Baseline,
    args: argparse.Namespace,
) -> Tensor:
    steps = range(1, args.steps + 1)
    return deletion(
        model, images, maps, patch=patch, baseline=baseline, steps=steps, batch_size=args.batch
    ).logits


def _equal(
    model: nn.Module,
    pictures: Pictures,
    patch: int,
    baseline: Baseline,
    args: argparse.Namespace,
) -> float:
    """Compare softcam with the slow way on a few images; stop if they differ."""
    few = min(3, args.images)
    found = _curve(model, pictures.images[:few], pictures.maps[:few], patch, baseline, args)
    expected = torch.stack(
        [
            one_at_a_time(
                model, lambda n=n: pictures.read(n), pictures.maps[n], patch, baseline, args.steps
            )
            for n in range(few)
        ]
    )
    error = logit_error(expected, found)
    changed = logit_error(expected[:, :1], expected[:, 1:])
    if error > TOLERANCE or changed < 100 * TOLERANCE:
        raise SystemExit(
            f"softcam's logits are off by {error:.1e} where the patches change them by "
            f"{changed:.1e}; nothing was timed."
        )
    return error


def _memory(
    model: nn.Module, patch: int, baseline: Baseline, args: argparse.Namespace
) -> dict[str, float]:
    """Give the growth of the peak, in MiB, while images come as a stream; empty on Windows."""
    try:
        import resource
    except ImportError:
        return {}
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

    shape = (3, args.size, args.size)
    maps = torch.randn(args.images, args.size, args.size)
    with torch.inference_mode():
        model(torch.randn(args.batch, *shape))

    def growth(count: int) -> float:
        batches = (torch.randn(min(8, count - done), *shape) for done in range(0, count, 8))
        _curve(model, batches, maps[:count], patch, baseline, args)
        return peak() - before

    before = peak()
    copies = args.images * (args.steps + 1) * math.prod(shape) * 4 / 2**20
    return {
        "quarter": growth(max(1, args.images // 4)),
        "all": growth(args.images),
        "copies": copies,
    }


def _ratios(timings: dict[str, Timing], per_call: dict[str, int]) -> list[dict[str, Any]]:
    """Reduce timings to seconds per image, and ratios against the bare passes of the rounds."""
    base = np.array(timings[BARE].seconds) / per_call[BARE]
    rows = []
    for name, timing in timings.items():
        own, same = np.array(timing.seconds) / per_call[name], base[timing.rounds]
        low, middle, high = np.percentile(own / same, [25, 50, 75])
        rows.append(
            {
                "contestant": name,
                "ms_per_image": 1e3 * float(np.median(own)),
                "ratio": float(middle),
                "ratio_quartiles": [float(low), float(high)],
                "ratio_of_sums": float(own.sum() / same.sum()),
                "timings": len(own),
                "raw": asdict(timing),
            }
        )
    return rows


def _show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    table = Table("contestant", title=title, title_justify="left")
    for heading in ("ms per image", "ratio [IQR]", "of sums", "timings"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ratio_quartiles"]
        table.add_row(
            row["contestant"],
            f"{row['ms_per_image']:.1f}",
            f"{row['ratio']:.3f} \\[{low:.3f}, {high:.3f}]",
            f"{row['ratio_of_sums']:.3f}",
            str(row["timings"]),
        )
    console.print(table)


SECTIONS: dict[str, Callable[[argparse.Namespace, Console], dict[str, Any]]] = {
    "deletion": deletion_curves,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--steps", type=int, default=15, help="patches taken away, one by one")
    parser.add_argument("--size", type=int, default=224, help="image side in pixels")
    parser.add_argument("--batch", type=int, default=32, help="images per forward pass")
    parser.add_argument("--model", default="resnet18", help="timm name, or torchvision/NAME")
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--baseline", default="mean", choices=list(BASELINES))
    parser.add_argument("--round", type=int, default=8, help="images per round")
    parser.add_argument("--threads", type=int, help="torch's threads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write all timings there")
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if min(args.images, args.steps, args.batch, args.classes, args.round) < 1:
        parser.error("--images, --steps, --batch, --classes and --round must be at least 1")
    if args.images % args.round:
        parser.error(f"--images must be a multiple of --round, {args.round}")
    if args.threads:
        torch.set_num_threads(args.threads)
    console = Console(highlight=False, width=100)
    machine = name_machine(console, timm=timm.__version__)
    results = {name: SECTIONS[name](args, console) for name in args.sections}
    write_json(args.json, args, machine=machine, results=results)


if __name__ == "__main__":
    main()
