"""What does HTTP cost? `softcam serve` under load against the predictor that it serves.

The claims, with 16 clients for 60 seconds on loopback: no request fails; the 99th percentile of the
latency stays under 20 times the time of a single request; memory stays as it is after the first
round; the throughput is at least 0.9 of the batched predictor's own.

The batched predictor reads, decodes, prepares and runs the same files in batches of the server's
size, in one process, and does nothing with the answers: what a script would do. Beside it, the bare
predictor runs batches of tensors that were prepared before, which is all that a server could reach
if decoding, JSON, HTTP and the clients, which run on the same machine, cost nothing.

How it is measured: a round times, in a shuffled order, single requests of one client, the 16
clients, the batched predictor and the bare one. Ratios are taken within a round; the figure is
their median with its interquartile range. Before anything is timed, the server's logits must be the
predictor's. Memory is the resident set of the server and its decoding processes together.

Run it on a quiet machine: `python benchmarks/serving.py` (`--help` lists the settings).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

import softcam
from softcam.data.phantom import draw
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image
from softcam.workflows.predictors import open_predictor

LATENCY, SHARE, GROWTH = 20.0, 0.9, 1.05
TOLERANCE = 1e-4  # of the largest |logit|
SINGLE_SECONDS = 2.0


@dataclass
class Load:
    """What clients saw: seconds of each answer, what failed, and seconds in all."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wall: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.wall


def write_model(path: Path, name: str, size: int) -> None:
    """Save a model with random weights, of which speed does not depend."""
    torch.manual_seed(0)
    model = softcam.create_model(name, num_classes=2, stages=3)
    model.info.task = softcam.Task.BINARY
    model.info.classes = ("healthy", "diseased")
    model.info.positive = "diseased"
    model.info.preprocessing = Preprocessing(size=(size, size)).to_dict()
    model.save(path)


def write_images(folder: Path, count: int, size: int) -> list[Path]:
    """Draw fundus photographs as JPEG files."""
    paths = []
    for number, pixels in enumerate(draw("fundus", count, size=size, seed=0).images):
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=92)
    return paths


@contextmanager
def serving(run: Path, batch: int) -> Iterator[tuple[int, int]]:
    """Serve in a process of its own; give its id and the port."""
    limits = ["--batch", str(batch), "--rate", "1e6"]
    command = [sys.executable, "-m", "softcam", "serve", str(run), "--port", "0", *limits]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " at http" not in line:
            raise SystemExit("The server did not start.")
        yield process.pid, int(line.split(":")[-1].split()[0])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def request_of(path: Path) -> tuple[bytes, dict[str, str]]:
    """A form with the file, and its headers."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head + path.read_bytes() + b"\r\n--b--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=b"}


def ask(connection: http.client.HTTPConnection, request: tuple[bytes, dict[str, str]]) -> bytes:
    """Send a request and read the answer, which must be 200."""
    connection.request("POST", "/v1/predict", request[0], request[1])
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"status {answer.status}")
    return content


def load(port: int, files: list[Path], clients: int, seconds: float) -> Load:
    """Let clients ask one after the other, each on a connection of its own."""
    requests = [request_of(path) for path in files]
    seen = Load()
    start = threading.Barrier(clients + 1)

    def work(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        own = cycle(requests[number % len(requests) :] + requests[: number % len(requests)])
        start.wait()
        while time.perf_counter() < end:
            begun = time.perf_counter()
            try:
                ask(connection, next(own))
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                seen.failed.append(f"{type(error).__name__}: {error}")
                connection.close()
            else:
                seen.seconds.append(time.perf_counter() - begun)
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    end = time.perf_counter() + 1e9
    for thread in threads:
        thread.start()
    begun = time.perf_counter()
    end = begun + seconds
    start.wait()
    for thread in threads:
        thread.join()
    seen.wall = time.perf_counter() - begun
    return seen


def rate_of(call: Callable[[], int], seconds: float) -> float:
    """Call for some seconds; give images a second."""
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        done += call()
    return done / (time.perf_counter() - begun)


def resident(pid: int) -> int:
    """Bytes of a process and its children together."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = " ".join((task / "children").read_text() for task in tasks).split()
    total = 0
    for one in (str(pid), *children):
        text = Path(f"/proc/{one}/status").read_text()
        total += int(text.partition("VmRSS:")[2].split()[0]) << 10
    return total


def check(port: int, files: list[Path], logits: np.ndarray) -> float:
    """Compare the server's logits with the predictor's, relative to the largest."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    told = [json.loads(ask(connection, request_of(path))) for path in files]
    connection.close()
    found = np.array([[item["own"]["logit"] for item in one["classes"]] for one in told])
    return float(np.abs(found - logits).max() / np.abs(logits).max())


def quartiles(values: list[float], digits: int = 2) -> str:
    """A median with its interquartile range."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.{digits}f} \\[{low:.{digits}f}, {high:.{digits}f}]"


def main() -> int:
    """Measure and say which claims hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run to serve, instead of random weights")
    parser.add_argument("--images", type=Path, help="a folder of images, instead of drawn ones")
    parser.add_argument("--model", default="resnet18", help="a timm name, without --run")
    parser.add_argument("--size", type=int, default=512, help="input side in pixels")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60, help="seconds under load, in all")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--files", type=int, default=32, help="different images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write all timings there")
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    if min(args.rounds, args.clients, args.batch, args.files) < 1:
        parser.error("--rounds, --clients, --batch and --files must be at least 1")
    console = Console(highlight=False, width=100)
    console.print(
        f"cpus {os.cpu_count()}, threads {torch.get_num_threads()}, torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        run = args.run or Path(scratch, "model.safetensors")
        if args.run is None:
            write_model(run, args.model, args.size)
        if args.images is None:
            files = write_images(Path(scratch), args.files, 1024)
        else:
            files = sorted(path for path in args.images.iterdir() if path.is_file())[: args.files]
        predictor = open_predictor(run)
        prepare = Preprocessing.from_dict(dict(predictor.info.preprocessing or {}))
        prepared = np.stack([prepare(read_image(path)).pixels for path in files])
        logits = np.concatenate(
            [predictor.predict(prepared[i : i + 1])[0] for i in range(len(files))]
        )
        given = cycle(files)
        place = cycle(range(0, max(1, len(files) - args.batch + 1), args.batch))

        def from_files() -> int:
            samples = [prepare(read_image(path)).pixels for path in islice(given, args.batch)]
            predictor.predict(np.stack(samples))
            return len(samples)

        def from_tensors() -> int:
            first = next(place)
            return len(predictor.predict(prepared[first : first + args.batch])[0])

        from_files()
        from_tensors()
        with serving(run, args.batch) as (pid, port):
            error = check(port, files, logits)
            if error > TOLERANCE:
                raise SystemExit(f"The server's logits are off by {error:.1e}; nothing was timed.")
            result = measure(args, port, pid, files, from_files, from_tensors)
    show(console, result)
    if args.json:
        settings = {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()}
        text = json.dumps({"settings": settings, "logit_error": error, **result}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")
    return 0


def measure(
    args: argparse.Namespace,
    port: int,
    pid: int,
    files: list[Path],
    from_files: Callable[[], int],
    from_tensors: Callable[[], int],
) -> dict[str, list]:
    """Time all contestants in every round, in a shuffled order."""
    load(port, files, args.clients, 3.0)  # warm
    rng = random.Random(args.seed)
    result: dict[str, list] = {
        name: []
        for name in ("single", "served", "files", "tensors", "latencies", "failed", "memory")
    }
    each = args.seconds / args.rounds
    for number in range(args.rounds):
        order = ["single", "served", "files", "tensors"]
        rng.shuffle(order)
        for name in order:
            if name == "single":
                seen = load(port, files, 1, SINGLE_SECONDS)
                result["single"].append(float(np.median(seen.seconds)))
                result["failed"] += seen.failed
            elif name == "served":
                seen = load(port, files, args.clients, each)
                result["served"].append(seen.rate)
                result["latencies"].append(sorted(seen.seconds))
                result["failed"] += seen.failed
            else:
                call = from_files if name == "files" else from_tensors
                result[name].append(rate_of(call, each / 2))
        result["memory"].append(resident(pid))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    return result


def show(console: Console, result: dict[str, list]) -> None:
    """Print the figures and which claims hold."""
    served = result["served"]
    latencies = np.concatenate(result["latencies"])
    p99 = [float(np.percentile(seen, 99)) for seen in result["latencies"]]
    ratios = [slow / single for slow, single in zip(p99, result["single"], strict=True)]
    shares = {
        name: [own / other for own, other in zip(served, result[name], strict=True)]
        for name in ("files", "tensors")
    }
    growth = max(result["memory"]) / result["memory"][0]
    table = Table("", "images a second \\[IQR]", "served / this \\[IQR]", title_justify="left")
    table.add_row("served", quartiles(served, 1), "1")
    for name, title in (("files", "batched predictor, from files"), ("tensors", "bare predictor")):
        table.add_row(title, quartiles(result[name], 1), quartiles(shares[name]))
    console.print(table)
    single = float(np.median(result["single"]))
    console.print(
        f"single request {1e3 * single:.1f} ms; under load median "
        f"{1e3 * np.median(latencies):.0f} ms, p99 {1e3 * np.percentile(latencies, 99):.0f} ms, "
        f"of {len(latencies)} requests; memory "
        f"{result['memory'][0] >> 20} MiB after the first round, at most "
        f"{max(result['memory']) >> 20} MiB later"
    )
    claims = [
        ("no error", not result["failed"], str(len(result["failed"]))),
        (f"p99 under {LATENCY:.0f} x single", np.median(ratios) < LATENCY, quartiles(ratios, 1)),
        (f"memory at most {GROWTH} x", growth <= GROWTH, f"{growth:.3f}"),
        (
            f"at least {SHARE} of the batched predictor",
            np.median(shares["files"]) >= SHARE,
            quartiles(shares["files"]),
        ),
    ]
    for text, holds, value in claims:
        console.print(f"{text}: {'holds' if holds else 'does NOT hold'} ({value})", soft_wrap=True)
    for line in sorted(set(result["failed"]))[:5]:
        console.print(line, markup=False)


if __name__ == "__main__":
    raise SystemExit(main())
