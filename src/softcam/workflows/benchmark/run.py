"""From RUN and TABLE to a folder with the benchmark's report."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from softcam.errors import InputError
from softcam.evaluation.explanations.result import ExplanationBenchmark
from softcam.report.explanations.write import write_benchmark
from softcam.training.run import find_model
from softcam.workflows.benchmark.benchmark import benchmark
from softcam.workflows.benchmark.settings import BenchmarkSettings

_OURS = (
    "cache", "figures", "gallery", "benchmark.html", "benchmark.json", "benchmark.md",
    "benchmark.tex", "cases.csv", "curves.csv", "lesions.csv", "methods.csv",
)  # fmt: skip
"""What a benchmark writes; whatever else is in the way is not ours."""


def benchmark_run(
    run: Path | str,
    table: Path | str,
    *,
    twins: tuple[str, ...] = (),
    native_only: tuple[str, ...] = (),
    shuffled: Path | str | None = None,
    maps: str = "both",
    out: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    show_progress: bool = False,
    **settings: Any,
) -> tuple[ExplanationBenchmark, Path]:
    """Benchmark a run's explanations and write the report.

    Args:
        run: Run folder or model file.
        table: The table's path.
        twins: Other models, as RUN or NAME=RUN; without any, RUN/twin where it exists.
        native_only: Names of models that are explained by their own evidence alone.
        shuffled: Run of the same settings, but trained on shuffled labels; its twin is held
            against the run's twin where that is explained and both are there.
        maps: "own", "contrast" or "both".
        out: Where to write; `benchmark-<table>-<split>` beside the model if None.
        cache: Where maps are kept; OUT/cache if None.
        device: "auto", "cpu" or "cuda".
        split: As in `benchmark`.
        images: As in `benchmark`.
        dataset: As in `benchmark`.
        show_progress: Whether to show progress bars.
        settings: The other settings, see `BenchmarkSettings`.

    Returns:
        What was found, and the folder.

    Raises:
        InputError: If an input cannot be used or the folder cannot be written.
    """
    kinds = {"both": ("own", "contrast"), "own": ("own",), "contrast": ("contrast",)}
    if maps not in kinds:
        raise InputError(f"maps is {maps!r}; use own, contrast or both.")
    how = BenchmarkSettings(maps=kinds[maps], **settings)  # type: ignore[arg-type]
    path = find_model(run)
    beside = path.parent / "twin"
    named = dict(_named(text) for text in twins)
    if len(named) < len(twins):
        raise InputError("--twin: two models have the same name; name them as NAME=RUN.")
    if not twins and (beside / "model.safetensors").is_file():
        named = {"Black-box twin": beside}
    shuffled_twins = {}
    if shuffled is not None:
        other = find_model(shuffled).parent / "twin"
        if (other / "model.safetensors").is_file():
            shuffled_twins = {name: other for name, place in named.items() if _same(place, beside)}
    where = _device(device)
    folder = out or path.parent / _folder_name(Path(table), split)
    is_new = not folder.exists()
    _make(folder)
    native = dict.fromkeys(native_only, ("evidence",))
    try:
        found = benchmark(
            path,
            table,
            twins=named,
            settings=how,
            methods_of=native,
            shuffled=shuffled,
            shuffled_twins=shuffled_twins,
            split=split,
            images=images,
            dataset=dataset,
            cache=cache or folder / "cache",
            device=where,
            show_progress=show_progress,
        )
    except InputError:
        if is_new:  # nothing is left of what could not be done, unless maps were kept in it
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    write_benchmark(found, folder)
    return found, folder


def _named(text: str) -> tuple[str, Path]:
    """Read RUN or NAME=RUN; a path that exists is a path even with a sign in it."""
    name, sign, rest = text.partition("=")
    if sign and name and rest and not Path(text).exists():
        return name, Path(rest)
    path = Path(text)
    place = path.resolve()
    name = place.parent.name if place.suffix == ".safetensors" else place.name
    return ("Black-box twin" if name == "twin" else name), path


def _same(place: Path, folder: Path) -> bool:
    """Tell whether a RUN argument means the run in a folder."""
    return place.resolve() in (folder.resolve(), (folder / "model.safetensors").resolve())


def _device(wanted: str) -> str:
    if wanted not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {wanted!r}; use auto, cpu or cuda.")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError("There is no CUDA device here; use --device cpu.")
    return "cuda" if wanted == "cuda" or (wanted == "auto" and there) else "cpu"


def _folder_name(table: Path, split: str | None) -> str:
    place = table.resolve()
    parts = [place.parent.name, place.stem] if place.is_file() else [place.name]
    return "-".join(["benchmark", *parts, split or "test"])


def _make(folder: Path) -> None:
    """Make the folder; one that holds anything but a former benchmark is refused."""
    if folder.is_dir():
        strangers = sorted(path.name for path in folder.iterdir() if path.name not in _OURS)
        if strangers:
            raise InputError(f"{folder}: holds other files ({strangers[0]}); choose another --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write here ({error.strerror}); choose another --out."
        ) from error
