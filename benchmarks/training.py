"""What does training here cost? softcam's loop against a plain hand-written PyTorch loop.

The claims: softcam's training loop sees at least 0.97 times the images a second of a plain loop
over the same model, images and precision; the ElasticNet penalty costs at most 1 % of a step; the
peak memory is at most 1.02 times the plain loop's.

How it is measured: softcam trains for `--rounds` epochs and one to warm up. After (or before, as a
seeded coin falls) each of its epochs the plain loop and a copy of it train for one epoch too, in
the same process, so that a drift of the machine meets all. Ratios are taken within a round; the
figure is their median with a 95 % bootstrap interval over rounds. The copy's ratio, which should
be 1, shows what the machine's noise does to the other. Validation and checkpoints, which the
plain loop has not, are not in an epoch's time; loading and logging are.

The penalty is timed where it acts, from the evidence to the loss and back, with and without it in
turns: the difference over the time of a whole step of the plain loop. Peak memory is that of fresh
processes, which train an epoch each in turns: resident memory on the processor, allocated memory
on a GPU.

Run it on a quiet machine: `python benchmarks/training.py` (`--help` lists the settings). Where
there is none, `--clock cpu` counts the processor's time of this process, which others disturb less.
"""

from __future__ import annotations

import argparse
import copy
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import timm
import torch
from common import holds, name_machine, write_json
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import softcam
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.training.config import TrainConfig
from softcam.training.dataset import ImageDataset
from softcam.training.loaders import choose_workers
from softcam.training.loop import fit
from softcam.training.precision import choose_device, choose_precision

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LEAST_SPEED, MOST_PENALTY, MOST_MEMORY = 0.97, 0.01, 1.02
SOFTCAM, PLAIN, CONTROL = "softcam", "plain loop", "plain loop, a copy"


def write_images(folder: Path, count: int, size: int, seed: int) -> Path:
    """Write noise as PNG files and their table: `count` to train on and 4 to validate on."""
    generator = np.random.default_rng(seed)
    lines = ["image,label,split"]
    for number in range(count + 4):
        pixels = generator.integers(0, 256, (size, size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
        lines.append(f"{number}.png,{number % 2},{'train' if number < count else 'val'}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


class Setting:
    """The model, images and settings that all contestants share."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.clock = CLOCKS[args.clock]
        table = read_table(folder / "table.csv")
        preprocessing = Preprocessing((args.size, args.size))
        self.task = table.spec.task
        self.train = ImageDataset(table.subset("train"), preprocessing)
        self.val = ImageDataset(table.subset("val"), preprocessing)
        self.config = TrainConfig(
            table=folder,
            out=folder / "run",
            epochs=args.rounds + 1,
            batch_size=args.batch,
            size=args.size,
            augment="none",
            precision=args.precision,
            device=args.device,
            seed=args.seed,
        )
        self.device = choose_device(self.config)
        self.precision = choose_precision(self.config, self.device)
        self.workers = choose_workers(self.device, self.train.decoded_each_epoch)
        torch.manual_seed(args.seed)
        self.model = softcam.convert(timm.create_model(args.model, num_classes=2))

    def fit(self, *callbacks: lightning.Callback) -> None:
        """Train with softcam."""
        fit(
            copy.deepcopy(self.model),
            self.config,
            self.task,
            self.train,
            self.val,
            self.config.out,
            show_progress=False,
            callbacks=callbacks,
        )

    def wait(self) -> None:
        """Wait until the device has done what it was told."""
        if self.device == "cuda":
            torch.cuda.synchronize()


class PlainLoop:
    """What one writes by hand: a loader, a model, an optimizer and a `for`."""

    def __init__(self, setting: Setting) -> None:
        config = setting.config
        self.setting = setting
        self.model = copy.deepcopy(setting.model).to(setting.device)
        self.model = self.model.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate(), weight_decay=config.decay()
        )
        steps = config.epochs * (len(setting.train) // config.batch_size)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.loader = DataLoader(
            setting.train,
            batch_size=config.batch_size,
            shuffle=True,
            num_workers=setting.workers,
            persistent_workers=setting.workers > 0,
            pin_memory=setting.device == "cuda",
        )

    def epoch(self) -> float:
        """Train for one epoch and give its seconds."""
        setting, total = self.setting, 0.0
        setting.wait()
        began = setting.clock()
        for images, labels in self.loader:
            images = images.to(setting.device, non_blocking=True)
            labels = labels.to(setting.device, non_blocking=True)
            self.optimizer.zero_grad()
            with torch.autocast(
                setting.device, torch.bfloat16, enabled=setting.precision == "bf16-mixed"
            ):
                loss = F.cross_entropy(self.model(images).logits, labels)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total = total + loss.detach() * len(images)
        float(total)  # the epoch's loss, as anyone would print it
        setting.wait()
        return setting.clock() - began


class Rounds(lightning.Callback):
    """Times softcam's epochs, and the other contestants' between them."""

    def __init__(self, setting: Setting, others: dict[str, Callable[[], float]], seed: int) -> None:
        self.setting = setting
        self.others = others
        self.coin = random.Random(seed)
        self.seconds: list[dict[str, float]] = []
        self.first = False

    def _others(self) -> None:
        names = list(self.others)
        self.coin.shuffle(names)
        for name in names:
            self.seconds[-1][name] = self.others[name]()

    def on_train_epoch_start(self, trainer: Any, module: nn.Module) -> None:
        """Start a round; with some luck the others go first."""
        self.seconds.append({})
        self.first = self.coin.random() < 0.5
        if self.first:
            self._others()
        self.setting.wait()
        self.began = self.setting.clock()

    def on_train_batch_end(self, trainer: Any, module: Any, out: Any, batch: Any, i: int) -> None:
        """Take softcam's time after its last step."""
        if i + 1 == trainer.num_training_batches:
            self.setting.wait()
            self.seconds[-1][SOFTCAM] = self.setting.clock() - self.began
            print(f"round {len(self.seconds) - 1} of {trainer.max_epochs - 1}", file=sys.stderr)

    def on_train_epoch_end(self, trainer: Any, module: nn.Module) -> None:
        """Let the others train, after validation."""
        if not self.first:
            self._others()


def interval(values: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Give the median with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(seed).choice(values, (2000, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


def speed(setting: Setting, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare images a second."""
    loops = {PLAIN: PlainLoop(setting).epoch, CONTROL: PlainLoop(setting).epoch}
    rounds = Rounds(setting, loops, args.seed)
    setting.fit(rounds)
    timed = rounds.seconds[1:]
    rows = []
    for name in (PLAIN, CONTROL, SOFTCAM):
        own = np.array([seconds[name] for seconds in timed])
        plain = np.array([seconds[PLAIN] for seconds in timed])
        rows.append(
            {
                "contestant": name,
                "images_a_second": len(setting.train) / float(np.median(own)),
                "ratio": interval(plain / own, args.seed),
                "seconds": own.tolist(),
            }
        )
    return rows


def penalty_cost(setting: Setting, step: float, args: argparse.Namespace) -> dict[str, Any]:
    """Time the penalty between the evidence and the loss, as a share of a step."""
    images = torch.zeros(args.batch, 3, args.size, args.size, device=setting.device)
    model = copy.deepcopy(setting.model).to(setting.device)
    with torch.no_grad():
        evidence = model(images).evidence
    evidence = torch.randn_like(evidence).requires_grad_()
    labels = torch.zeros(args.batch, dtype=torch.long, device=setting.device)
    elastic = softcam.ElasticNet(0.1, 0.1)

    def head(penalty: softcam.ElasticNet | None) -> float:
        setting.wait()
        began = setting.clock()
        for _ in range(10):
            evidence.grad = None
            output = softcam.Output(evidence.mean((2, 3)), evidence)
            softcam.loss(output, labels, penalty).backward()
        setting.wait()
        return (setting.clock() - began) / 10

    head(None), head(elastic)
    differences = np.array([head(elastic) - head(None) for _ in range(200)])
    return {"share_of_a_step": interval(differences / step, args.seed)}


def memory(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare the peak memory of fresh processes."""
    peaks: dict[str, list[float]] = {SOFTCAM: [], PLAIN: []}
    for number in range(args.processes):
        for name in (SOFTCAM, PLAIN) if number % 2 else (PLAIN, SOFTCAM):
            flags = [f"--{key}={getattr(args, key)}" for key in ("model", "size", "batch")]
            flags += [f"--{key}={getattr(args, key)}" for key in ("precision", "device", "seed")]
            command = [sys.executable, __file__, *flags, f"--child={name}", f"--folder={folder}"]
            if args.threads:
                command.append(f"--threads={args.threads}")
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[name].append(float(done.stdout.split()[-1]))
    ratio = np.median(peaks[SOFTCAM]) / np.median(peaks[PLAIN])
    return {"ratio": float(ratio), "bytes": peaks}


def child(args: argparse.Namespace) -> None:
    """Train one epoch and print the peak memory."""
    with tempfile.TemporaryDirectory() as out:
        args.rounds = 0
        setting = Setting(args, args.folder)
        setting.config = setting.config.model_copy(update={"out": Path(out)})
        if args.child == SOFTCAM:
            setting.fit()
        else:
            PlainLoop(setting).epoch()
    if setting.device == "cuda":
        print(torch.cuda.max_memory_allocated())
    else:
        print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet18", help="timm name")
    parser.add_argument("--size", type=int, default=224, help="image side in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=160, help="training images in an epoch")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=3, help="for memory, of each kind")
    parser.add_argument("--precision", default="auto", choices=["auto", "32", "bf16"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, help="torch's threads")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="cpu: on a machine that is not quiet"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write all timings there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if args.rounds < 2 or args.images < args.batch:
        parser.error("--rounds must be at least 2 and --images at least --batch")
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.child:
        child(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = write_images(Path(folder), args.images, args.size, args.seed)
        setting = Setting(args, data)
        console = Console(highlight=False, width=100)
        machine = name_machine(
            console, device=setting.device, precision=setting.precision, workers=setting.workers
        )
        rows = speed(setting, args)
        steps = len(setting.train) // args.batch
        cost = penalty_cost(setting, float(np.median(rows[0]["seconds"])) / steps, args)
        peak = memory(args, data)
    show(console, args, rows)
    result = {"machine": machine, "speed": rows, "penalty": cost, "memory": peak}
    write_json(args.json, args, **result)
    ratio, share = rows[-1]["ratio"][0], cost["share_of_a_step"]
    console.print(
        f"images a second at least {LEAST_SPEED} of the plain loop's: "
        f"{holds(ratio >= LEAST_SPEED)} ({ratio:.3f})\n"
        f"penalty at most {MOST_PENALTY:.0%} of a step: {holds(share[0] <= MOST_PENALTY)}"
        f" ({share[0]:.3%} \\[{share[1]:.3%}, {share[2]:.3%}])\n"
        f"peak memory at most {MOST_MEMORY} times: {holds(peak['ratio'] <= MOST_MEMORY)}"
        f" ({peak['ratio']:.3f})",
        soft_wrap=True,
    )


def show(console: Console, args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Print the table of contestants."""
    title = f"{args.model}, {args.size} px, batch {args.batch}, {args.rounds} rounds"
    table = Table("contestant", title=title, title_justify="left")
    for heading in ("images a second", "of the plain loop's [95 %]"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        middle, low, high = row["ratio"]
        ratio = f"{middle:.3f} \\[{low:.3f}, {high:.3f}]"
        table.add_row(row["contestant"], f"{row['images_a_second']:.1f}", ratio)
    console.print(table)


if __name__ == "__main__":
    main()
