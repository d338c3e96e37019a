"""The explanation benchmark on the models of one seed, kept so that it is done once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from softcam.data.table import read_table
from softcam.errors import InputError, MissingExtraError
from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.result import ExplanationBenchmark, Method
from softcam.evaluation.result import to_json
from softcam.explanation.attributions.methods import METHODS, methods
from softcam.files import write_atomically
from softcam.report.explanations.write import write_benchmark
from softcam.report.reproduction.content import BLACK_BOX, ROLES, Explained, Line, Lines
from softcam.training.precision import choose_device
from softcam.training.run import Run
from softcam.workflows.benchmark.benchmark import benchmark
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.reproduce.imports import digest_of_file
from softcam.workflows.reproduce.plan import PartPlan, training_of
from softcam.workflows.reproduce.settings import ReproduceConfig
from softcam.workflows.sweep.plan import DENSE, run_folder

_VERSION = 1  # of what is kept
_ENDS = ("mean", "low", "high")
_OF_GRAD_CAM = ("grad-cam++", "hirescam", "layer-cam", "eigen-cam")


def benchmark_settings(settings: ReproduceConfig) -> BenchmarkSettings:
    """Say how explanations are measured.

    Raises:
        InputError: If a method is unknown or a number out of its range.
    """
    found = BenchmarkSettings(
        methods=settings.methods,
        limit=settings.limit,
        followed=settings.followed,
        probes=settings.probes,
        resamples=settings.resamples,
        gallery=settings.gallery,
    )
    methods(found.methods)  # or refuse now, and not after days of training
    return found


def require_methods(how: BenchmarkSettings) -> None:
    """Refuse now what a library is missing for, and not after days of training.

    Raises:
        MissingExtraError: If a method needs a library that is not installed.
    """
    wanted = [found.label for found in methods(how.methods) if found.name in _OF_GRAD_CAM]
    if wanted and find_spec("pytorch_grad_cam") is None:
        raise MissingExtraError(
            f"{', '.join(wanted)} need grad-cam, which is not installed; run: pip install "
            '"softcam[benchmark]", or name others with --methods.'
        )


def explain(
    settings: ReproduceConfig, part: PartPlan, seed: int, *, show_progress: bool
) -> Explained | None:
    """Measure the maps of a seed's models, or find what was measured before.

    The SoftCAM models are explained by their own evidence, the black box by every method.

    Args:
        settings: The reproduction.
        part: The task and backbone.
        seed: Whose models.
        show_progress: Whether to show progress bars.

    Returns:
        What was found; None if the dense SoftCAM was not trained.

    Raises:
        InputError: If a model or an image cannot be used.
    """
    runs = {role: Run(run_folder(part.sweep.out, name, seed)) for role, name in part.names.items()}
    runs = {role: run for role, run in runs.items() if run.finished and run.model.is_file()}
    if DENSE not in runs:
        return None
    how = benchmark_settings(settings)
    place = settings.out / "explanations" / part.key
    kept, folder = place / f"seed{seed}.json", place / f"seed{seed}"
    training = training_of(part, DENSE)
    digest = _digest(how, runs, training.table)
    page = (folder / "benchmark.html").relative_to(settings.out).as_posix()
    known = read_explained(kept, digest)
    if known is not None and (folder / "benchmark.json").is_file():
        return known
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place}: cannot be made ({error.strerror}).") from error
    penalised = [role for role in runs if role not in (DENSE, BLACK_BOX)]
    box = [BLACK_BOX] if BLACK_BOX in runs else []
    native = ("SoftCAM", *(ROLES[role] for role in penalised))
    found = benchmark(
        runs[DENSE],
        read_table(training.table, seed=training.seed_of_splits()),
        twins={ROLES[role]: runs[role] for role in (*penalised, *box)},
        settings=how,
        methods_of=dict.fromkeys(native, ("evidence",)),
        cache=settings.out / "explanations" / "cache",
        device=choose_device(training),
        show_progress=show_progress,
    )
    title = f"{settings.about.title}: {part.task.label}, {part.label}, seed {seed}"
    write_benchmark(found, folder, title=title)
    values = _kept(found, seed, page)
    write_atomically(kept, to_json({"digest": digest, **values}) + "\n")
    return _explained(json.loads(to_json(values)))


def read_explained(path: Path, digest: str) -> Explained | None:
    """Read what was measured; None if it is not there, damaged or of something else."""
    try:
        values = json.loads(path.read_text("utf-8"))
        return _explained(values) if values["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _digest(how: BenchmarkSettings, runs: Mapping[str, Run], table: Path) -> str:
    whole = hashlib.sha256(f"{_VERSION} {how.to_dict()}".encode())
    for role, run in sorted(runs.items()):
        whole.update(f"{role} {digest_of_file(run.model)}".encode())
    whole.update(digest_of_file(table / "checksums.sha256").encode())
    return whole.hexdigest()


def _kept(found: ExplanationBenchmark, seed: int, page: str) -> dict[str, Any]:
    """Take what the paper's tables and figures need, as plain values."""
    own = [row.method for row in found.rows]
    return {
        "seed": seed,
        "page": page,
        "counts": dict(found.counts),
        "skipped": [f"{one.subject}: {one.label}: {one.why}." for one in found.skipped],
        "rows": [
            {
                "method": _names(row.method),
                "floor": row.floor,
                "means": {key: interval.to_dict() for key, interval in row.means.items()},
            }
            for row in found.rows
        ],
        "curves": [
            {
                "key": curves.key,
                "title": curves.title,
                "x_label": curves.x_label,
                "y_label": curves.y_label,
                "x": curves.x.tolist(),
                "lines": [
                    {
                        "row": own.index(curve.method),
                        "mean": curve.mean.tolist(),
                        "low": curve.low.tolist(),
                        "high": curve.high.tolist(),
                    }
                    for curve in curves.curves
                ],
            }
            for curves in found.curves
        ],
    }


def _names(method: Method) -> list[str]:
    subject = ROLES[DENSE] if method.subject == "SoftCAM" else method.subject
    return [subject, method.name, METHODS[method.name].label, method.map]


def _explained(values: Mapping[str, Any]) -> Explained:
    names: list[Method] = [Method(*row["method"]) for row in values["rows"]]
    return Explained(
        seed=values["seed"],
        means={
            method: {key: _interval(one) for key, one in row["means"].items()}
            for method, row in zip(names, values["rows"], strict=True)
        },
        floors=frozenset(
            method for method, row in zip(names, values["rows"], strict=True) if row["floor"]
        ),
        curves=tuple(
            Lines(
                curves["key"],
                curves["title"],
                curves["x_label"],
                curves["y_label"],
                tuple(curves["x"]),
                tuple(
                    Line(names[one["row"]], *(_numbers(one[end]) for end in _ENDS))
                    for one in curves["lines"]
                ),
            )
            for curves in values["curves"]
        ),
        counts=values["counts"],
        page=values["page"],
        skipped=tuple(values["skipped"]),
    )


def _interval(values: Mapping[str, Any]) -> Interval:
    value, low, high = _numbers([values[end] for end in ("value", "low", "high")])
    return Interval(value, low, high, values["n"], values["undefined"])


def _numbers(values: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else float(value) for value in values)
