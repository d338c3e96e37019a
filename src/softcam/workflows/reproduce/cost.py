"""What a reproduction will cost, estimated from timed steps before it starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.explanation.attributions.methods import methods
from softcam.report.reproduction.content import BLACK_BOX
from softcam.training.config import TrainConfig
from softcam.training.precision import choose_device, choose_precision
from softcam.training.run import Run
from softcam.workflows.reproduce.counts import Counts
from softcam.workflows.reproduce.explain import benchmark_settings
from softcam.workflows.reproduce.plan import PartPlan, training_of
from softcam.workflows.reproduce.settings import ReproduceConfig
from softcam.workflows.reproduce.timing import Timing, machine, reading_processes, time_models
from softcam.workflows.sweep.plan import DENSE, run_folder

COST = "cost.json"

_BACKWARD = 3  # forward passes that one with its backward pass costs
_CHANNELS = {"resnet50": 2048, "vgg16": 512}
_PASSES = {
    "evidence": 1,
    "cam": 1,
    "eigen-cam": 1,
    "ablation-cam": 2,  # its passes are through the head alone
    "random": 0,
    "uniform": 0,
    "edges": 0,
    "smoothgrad": 32 * _BACKWARD,
    "smoothgrad-saliency": 32 * _BACKWARD,
    "integrated-gradients": 50 * _BACKWARD,
    "occlusion": 1000,
    "rise": 2000,
}
"""Forward passes of one map; others take a forward and a backward pass."""
_PROBE_PASSES = 200  # of one image and kind of map: ROAD, agreement, 2 x 2 game, stability
_JUDGED_POINTS = 16  # of a deletion curve on validation and test images
_LOOKS = 3  # at validation and test images when a run has ended

_HOW = (
    "Estimated from a few timed steps of each backbone, as a black box and as a SoftCAM with its "
    "penalty, on drawn images of the real size: seconds per image times images times epochs that "
    "are left, or the time to read them where that is longer; the benchmark as forward passes per "
    "map. The import and the writing of reports are not in it."
)


@dataclass(frozen=True)
class PartCost:
    """The cost of one task with one backbone, in hours.

    Attributes:
        label: What it is.
        runs: Runs that are not finished.
        epochs: Epochs of each run.
        images: Training images of an epoch.
        step: Seconds per training image of a SoftCAM.
        training: Hours of training, validation and judging.
        explaining: Hours of the explanation benchmark.
    """

    label: str
    runs: int
    epochs: int
    images: int
    step: float
    training: float
    explaining: float


@dataclass(frozen=True)
class Cost:
    """The cost of a reproduction.

    Attributes:
        parts: Of each task with each backbone.
        device: "cpu" or "cuda".
        machine: What it was timed on.
        timings: (model and kind) to seconds per image.
        key: What the timings depend on.
    """

    parts: tuple[PartCost, ...]
    device: str
    machine: str
    timings: Mapping[str, Timing]
    key: str

    @property
    def hours(self) -> float:
        """All of it."""
        return sum(part.training + part.explaining for part in self.parts)

    def sentence(self) -> str:
        """Say it in a sentence."""
        runs = sum(part.runs for part in self.parts)
        unit = "GPU hours" if self.device == "cuda" else "hours"
        training = sum(part.training for part in self.parts)
        explaining = sum(part.explaining for part in self.parts)
        text = (
            f"Estimated cost: {hours_text(self.hours)} {unit} on {self.machine}: "
            f"{hours_text(training)} for training {runs} runs and {hours_text(explaining)} for the "
            "explanation benchmark."
        )
        if self.device == "cpu":
            text += " This is the processor; a GPU takes a small part of that."
        return text

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it."""
        return {
            "hours": self.hours,
            "gpu": self.device == "cuda",
            "sentence": self.sentence(),
            "how": _HOW,
            **asdict(self),
        }


def hours_text(hours: float) -> str:
    """Write hours with two digits that count."""
    if hours < 0.01:
        return "under 0.01"
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"


def estimate(
    settings: ReproduceConfig, parts: Sequence[PartPlan], counts: Mapping[str, Counts]
) -> Cost:
    """Time a few steps, and count what is left to be done.

    Args:
        settings: The reproduction.
        parts: What it does.
        counts: Images by task and split.

    Returns:
        The cost.

    Raises:
        InputError: If a model cannot be built or does not fit into memory.
        ConversionError: If a backbone cannot become a SoftCAM so.
    """
    configs: dict[str, TrainConfig] = {}
    for part in parts:  # tasks share a backbone's timing: classes hardly change it
        strongest = list(part.names)[-1]
        configs.setdefault(f"{part.model} black box", training_of(part, BLACK_BOX))
        configs.setdefault(f"{part.model} SoftCAM", training_of(part, strongest))
    first = next(iter(configs.values()))
    device = choose_device(first)
    where = machine(device)
    key = f"{where} {choose_precision(first, device)} " + " ".join(
        f"{name} {config.model} {config.size} {config.batch_size} {config.stages}"
        for name, config in configs.items()
    )
    timings = _known(settings.out / COST, key)
    if timings is None:
        timings = time_models(settings.data_set, settings.about.phantom, configs)
    found = [_part(settings, part, counts[part.task.name], timings, device) for part in parts]
    return Cost(tuple(found), device, where, timings, key)


def refuse_above(cost: Cost, max_hours: float | None) -> None:
    """Refuse a cost above a limit.

    Raises:
        InputError: If it is above.
    """
    if max_hours is not None and cost.hours > max_hours:
        raise InputError(
            f"reproduce: about {hours_text(cost.hours)} hours are estimated, more than --max-hours "
            f"{max_hours:g}; allow more, or ask for less with --tasks, --models, --seeds, --epochs "
            "or --size."
        )


def kept_cost(path: Path, cost: Cost) -> dict[str, Any]:
    """Give what is kept of the cost: the estimate before the first start, and what is left now.

    Args:
        path: Where it was kept before, if it was.
        cost: Today's estimate.

    Returns:
        Plain values; "left" is there where a reproduction goes on.
    """
    now = cost.to_dict()
    try:
        before = json.loads(path.read_text("utf-8"))
        first = {name: before[name] for name in ("hours", "gpu", "sentence", "machine", "parts")}
    except (OSError, ValueError, KeyError, TypeError):
        return now
    return {**now, **first, "left": {"hours": now["hours"], "sentence": now["sentence"]}}


def _known(path: Path, key: str) -> dict[str, Timing] | None:
    """Read timings of the same models on the same machine."""
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["key"] != key:
            return None
        return {name: Timing(**timing) for name, timing in values["timings"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _part(
    settings: ReproduceConfig,
    part: PartPlan,
    counts: Counts,
    timings: Mapping[str, Timing],
    device: str,
) -> PartCost:
    runs, training = 0, 0.0
    explained = 0
    own = timings[f"{part.model} SoftCAM"]
    dense = training_of(part, DENSE)
    for seed in settings.seeds:
        for role, name in part.names.items():
            run = Run(run_folder(part.sweep.out, name, seed))
            if run.finished:
                continue
            runs += 1
            timing = timings[f"{part.model} black box"] if role == BLACK_BOX else own
            left = max(0, dense.epochs - len(run.history()))
            training += _run_seconds(dense, counts, timing, device, left, settings.limit)
        done = settings.out / "explanations" / part.key / f"seed{seed}.json"
        explained += not done.is_file()
    explaining = explained * _passes(settings, part, counts) * own.forward
    return PartCost(
        f"{part.task.label}, {part.label}",
        runs,
        dense.epochs,
        counts["train"],
        own.step,
        training / 3600,
        explaining / 3600,
    )


def _run_seconds(
    config: TrainConfig, counts: Counts, timing: Timing, device: str, epochs: int, limit: int
) -> float:
    readers = reading_processes(config, device)

    def paced(seconds: float) -> float:
        """Seconds of an image where reading it goes on beside, or waits."""
        return max(seconds, timing.read / readers) if readers else seconds + timing.read

    val, test = counts["val"], counts["test"]
    epoch = counts["train"] * paced(timing.step) + val * paced(timing.forward)
    looks = _LOOKS * (val + test) * paced(timing.forward)
    judged = sum(min(limit or images, images) for images in (val, test))
    return epochs * epoch + looks + judged * 2 * _JUDGED_POINTS * timing.forward


def _passes(settings: ReproduceConfig, part: PartPlan, counts: Counts) -> float:
    """Forward passes of the benchmark of one seed."""
    how = benchmark_settings(settings)
    # Only images of the class are followed and probed; at most as many as there are.
    images = min(how.limit or counts["test"], counts["test"])
    followed = min(how.followed or images, images)
    probes = min(how.probes or images, images)
    names = [found.name for found in methods(how.methods) if found.name != "evidence"]
    columns = ["evidence"] * (len(part.names) - 1) + names
    total = 0.0
    for name in columns:
        channels = _CHANNELS[part.model] if name == "score-cam" else _BACKWARD
        kinds = 1 if name in ("random", "uniform", "edges", "eigen-cam") else len(how.maps)
        maps = images * _PASSES.get(name, channels)
        curves = followed * 2 * (len(how.counts()) + 1) * len(how.baselines)
        total += kinds * (maps + curves + probes * (_PROBE_PASSES + _PASSES.get(name, channels)))
    return total
