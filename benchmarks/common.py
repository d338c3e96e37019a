"""What several benchmarks do alike: name the machine, say whether a bound holds, keep the figures.

No script: the others import it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console


def name_machine(console: Console, **more: Any) -> dict[str, Any]:
    """Print, and give, what a figure depends on: the machine and the versions."""
    machine = {
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **more,
    }
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), markup=False)
    return machine


def holds(true: bool) -> str:
    """Say whether a bound holds."""
    return "holds" if true else "does NOT hold"


def write_json(path: Path | None, args: argparse.Namespace, **figures: Any) -> None:
    """Write all figures, with the settings that they were measured with, if a file is named."""
    if path is None:
        return
    settings = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()
    }
    text = json.dumps({**figures, "settings": settings}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def resident(field: str) -> float:
    """Read a field of this process's status in MiB."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def in_fresh_process(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script that prints JSON in a process of its own, which has its own peak of memory."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def say_flat(console: Console, ratios: list[float], most: float) -> None:
    """Say whether memory stays flat over tables of growing length."""
    worst = max(ratios)
    console.print(f"flat within {most - 1:.0%}: {holds(worst <= most)} (largest ratio {worst:.3f})")
