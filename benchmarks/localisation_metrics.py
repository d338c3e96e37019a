"""What does scoring maps cost? Four localisation metrics of softcam against those of quantus.

The claim: scoring 1,000 maps of 512 x 512 pixels by four metrics is in total at least 10 times
faster than with quantus's PointingGame, RelevanceMassAccuracy, AttributionLocalisation and
TopKIntersection, at the same values.

How it is measured: maps come in batches; for each batch every metric of each contestant is called
in a shuffled order, on the same arrays, one thread count for all. The figure is the ratio of the
total times. quantus is timed twice: as one calls it, with its checks and its normalising, and its
`evaluate_batch` alone, which leaves both out (ours keeps its own checks). The maps are not
negative and hold no equal maxima, so that both libraries mean the same; values that differ by more
than 1e-4 stop the run.

Run it on a quiet machine: `python benchmarks/localisation_metrics.py` (`--help` lists the
settings).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import name_machine
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import interpolate

from softcam import metrics

BOUND = 10.0
TOLERANCE = 1e-4
TOP = 1000  # pixels of the intersection, as quantus has it
OURS, CALLED, BARE = "softcam", "quantus", "quantus, unchecked"

Call = Callable[[], object]


def make_batch(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw maps as a network makes them, coarse and brought to the image's size, and masks."""
    coarse = torch.randn(count, 1, 16, 16, generator=generator)
    maps = interpolate(coarse, (size, size), mode="bicubic")[:, 0]
    maps += 1e-3 * torch.rand(maps.shape, generator=generator)  # no equal values
    corner = torch.randint(0, size // 2, (count, 2), generator=generator)
    side = torch.randint(size // 16, size // 2, (count, 2), generator=generator)
    raster = torch.arange(size)
    inside = [
        (raster >= corner[:, axis, None]) & (raster < (corner + side)[:, axis, None])
        for axis in (0, 1)
    ]
    return maps.clamp_min(0), inside[0][:, :, None] & inside[1][:, None, :]


def contestants(maps: Tensor, masks: Tensor) -> dict[str, dict[str, Call]]:
    """Metric to contestant to call."""
    import quantus  # slow to import, and --help can do without

    ours = {
        "PointingGame": lambda: metrics.pointing_game(maps, masks),
        "RelevanceMassAccuracy": lambda: metrics.activation_precision(maps, masks),
        "AttributionLocalisation": lambda: metrics.activation_precision(maps, masks),
        "TopKIntersection": lambda: metrics.topk_intersection(maps, masks, TOP),
    }
    quiet = {"disable_warnings": True}
    theirs = {
        "PointingGame": quantus.PointingGame(**quiet),
        "RelevanceMassAccuracy": quantus.RelevanceMassAccuracy(**quiet),
        "AttributionLocalisation": quantus.AttributionLocalisation(**quiet),
        "TopKIntersection": quantus.TopKIntersection(k=TOP, **quiet),
    }
    attributions, segments = maps.numpy()[:, None], masks.numpy()[:, None]
    arrays = {"x_batch": attributions, "a_batch": attributions, "s_batch": segments}
    labels = np.zeros(len(maps), dtype=np.int64)

    def called(metric: Callable[..., object]) -> Call:
        return lambda: metric(model=None, y_batch=labels, **arrays)

    def bare(metric: quantus.Metric) -> Call:
        return lambda: metric.evaluate_batch(**arrays)

    return {
        name: {OURS: ours[name], CALLED: called(metric), BARE: bare(metric)}
        for name, metric in theirs.items()
    }


def run_batch(
    calls: dict[str, dict[str, Call]], seconds: dict[str, dict[str, float]], rng: random.Random
) -> float:
    """Time every call once, in a shuffled order; give the largest difference of the values."""
    order = [(name, who) for name, sides in calls.items() for who in sides]
    rng.shuffle(order)
    values: dict[tuple[str, str], np.ndarray] = {}
    for name, who in order:
        began = time.perf_counter()
        result = calls[name][who]()
        seconds[name][who] += time.perf_counter() - began
        values[name, who] = np.asarray(result, dtype=np.float64)
    return max(
        float(np.abs(values[name, OURS] - values[name, who]).max())
        for name in calls
        for who in (CALLED, BARE)
    )


def show(console: Console, seconds: dict[str, dict[str, float]], maps: int) -> dict[str, float]:
    """Print times and ratios; give the ratios of the totals."""
    table = Table("metric", title=f"{maps} maps", title_justify="left")
    for heading in ("softcam ms/map", "quantus ms/map", "unchecked ms/map", "ratio", "unchecked"):
        table.add_column(heading, justify="right", no_wrap=True)
    total = {who: sum(row[who] for row in seconds.values()) for who in (OURS, CALLED, BARE)}
    for name, row in [*seconds.items(), ("total", total)]:
        times = [f"{1e3 * row[who] / maps:.3f}" for who in (OURS, CALLED, BARE)]
        ratios = [f"{row[who] / row[OURS]:.1f}" for who in (CALLED, BARE)]
        table.add_row(name, *times, *ratios)
    console.print(table)
    return {who: total[who] / total[OURS] for who in (CALLED, BARE)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512, help="side of a map in pixels")
    parser.add_argument("--batch", type=int, default=50, help="maps in memory at a time")
    parser.add_argument("--threads", type=int, help="torch's threads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the times there")
    args = parser.parse_args()
    if args.maps < 1 or args.batch < 1 or args.size < 64:
        parser.error("--maps and --batch must be at least 1, --size at least 64")
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore")
    try:
        import quantus
    except ImportError:
        raise SystemExit('quantus is not installed: pip install "softcam[bench]"') from None
    console = Console(highlight=False, width=110)
    machine = name_machine(console, numpy=np.__version__, quantus=quantus.__version__)
    generator, rng = torch.Generator().manual_seed(args.seed), random.Random(args.seed)
    for call in contestants(*make_batch(2, args.size, generator)).values():
        for function in call.values():
            function()  # nobody pays for what comes with the first call
    seconds: dict[str, dict[str, float]] = {}
    worst, done = 0.0, 0
    while done < args.maps:
        count = min(args.batch, args.maps - done)
        calls = contestants(*make_batch(count, args.size, generator))
        for name, sides in calls.items():
            seconds.setdefault(name, dict.fromkeys(sides, 0.0))
        worst = max(worst, run_batch(calls, seconds, rng))
        if not worst <= TOLERANCE:
            raise SystemExit(f"The values differ by {worst:.1e}; the times say nothing.")
        done += count
        print(f"{done} of {args.maps} maps", file=sys.stderr)
    ratios = show(console, seconds, args.maps)
    if args.json:
        settings = {key: str(v) if key == "json" else v for key, v in vars(args).items()}
        document = {"machine": machine, "settings": settings, "seconds": seconds, "ratios": ratios}
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    holds = "holds" if ratios[CALLED] >= BOUND else "does NOT hold"
    console.print(
        f"The same values (largest difference {worst:.1e}). At least {BOUND:.0f} times faster "
        f"{holds} ({ratios[CALLED]:.0f}; {ratios[BARE]:.1f} against quantus without its checks)",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
