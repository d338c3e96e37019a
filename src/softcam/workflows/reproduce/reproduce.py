"""The paper's experiment from a download to its tables and figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.errors import InputError, WorkError
from softcam.files import locked, write_atomically
from softcam.report.reproduction.content import Explained, Part, Reproduction
from softcam.report.reproduction.write import RESULT, write_reproduction
from softcam.report.sweep.content import SweepResult
from softcam.training.provenance import code_version
from softcam.workflows.reproduce.cost import COST, Cost, estimate, kept_cost, refuse_above
from softcam.workflows.reproduce.counts import Counts, counted
from softcam.workflows.reproduce.explain import benchmark_settings, explain, require_methods
from softcam.workflows.reproduce.imports import digest_of_file, import_task
from softcam.workflows.reproduce.plan import PartPlan, parts, penalties_text
from softcam.workflows.reproduce.settings import SETTINGS, ReproduceConfig
from softcam.workflows.reproduce.tables import (
    PENALTIES,
    PUBLISHED,
    PublishedFigures,
    packaged,
    read_published,
    write_once,
)
from softcam.workflows.sweep.check import check_sweep
from softcam.workflows.sweep.plan import recipes, run_folder
from softcam.workflows.sweep.settings import SWEEP_FILE
from softcam.workflows.sweep.sweep import sweep

_LOG = logging.getLogger("softcam")

Say = Callable[["Planned"], None]
"""Told the plan and its cost before anything is done."""


@dataclass(frozen=True)
class Planned:
    """What would be done.

    Attributes:
        settings: The settings.
        parts: One for each task and backbone.
        counts: Images by task and split.
        cost: The estimate.
        notes: What differs from the paper, a sentence each.
    """

    settings: ReproduceConfig
    parts: tuple[PartPlan, ...]
    counts: Mapping[str, Counts]
    cost: Cost
    notes: tuple[str, ...]


def plan(settings: ReproduceConfig) -> Planned:
    """Plan a reproduction and estimate its cost; nothing is written.

    Args:
        settings: The settings.

    Returns:
        The plan.

    Raises:
        InputError: If a setting, the download or a file of weights cannot be used.
        ConversionError: If a backbone cannot become a SoftCAM so.
        MissingExtraError: If a method or the download needs a library that is missing.
    """
    planned = parts(settings)
    require_methods(benchmark_settings(settings))
    if (settings.out / PUBLISHED).is_file():
        read_published(settings.out / PUBLISHED)  # or refuse before days of training
    counts = counted(settings)
    cost = estimate(settings, planned, counts)
    return Planned(settings, planned, counts, cost, tuple(_notes(settings, planned)))


def reproduce(
    settings: ReproduceConfig,
    *,
    resume: bool = False,
    say: Say | None = None,
    show_progress: bool = True,
) -> Reproduction:
    """Import, train, explain, and write the paper's tables and figures with our figures.

    Every step is kept: an interrupted reproduction goes on with `resume=True` where it was.

    Args:
        settings: The settings, see `reproduction_for`.
        resume: Go on with the reproduction in `settings.out`.
        say: Told the plan and its cost before anything is done.
        show_progress: Whether to show progress.

    Returns:
        What was found, also written to the folder; its `failures` say what is missing.

    Raises:
        InputError: If a setting, the download, an image or the folder cannot be used, or the cost
            is above `settings.max_hours`.
        ConversionError: If a backbone cannot become a SoftCAM so.
        MissingExtraError: If a library is missing.
        KeyboardInterrupt: After an interruption; `resume=True` goes on.
    """
    check_out(settings.out, settings.data_set, resume=resume)
    planned = plan(settings)
    if say is not None:
        say(planned)
    refuse_above(planned.cost, settings.max_hours)
    with locked(settings.out, "reproduce"):
        return _Reproduction(planned, show_progress).run()


def check_out(out: Path, data_set: str, *, resume: bool) -> None:
    """Check that a reproduction may be written to a folder, and leave nothing there.

    Raises:
        InputError: If it holds a reproduction while `resume` is false, or other files.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder; choose another --out.")
    if (out / SETTINGS).is_file():
        if resume:
            return
        state = "a finished" if (out / RESULT).is_file() else "an unfinished"
        raise InputError(
            f"{out}: holds {state} reproduction; go on with `softcam reproduce {data_set} "
            f"--resume --out {out}`, or choose another --out."
        )
    ours = {PENALTIES, PUBLISHED, "reproduce.lock"}  # the first two may be put there before
    if out.is_dir() and any(
        path.name not in ours and not path.name.startswith(f".{SETTINGS}.")
        for path in out.iterdir()
    ):
        raise InputError(f"{out}: is not empty and no reproduction; choose another --out.")


@dataclass(frozen=True)
class _Reproduction:
    planned: Planned
    show_progress: bool

    @property
    def settings(self) -> ReproduceConfig:
        return self.planned.settings

    def run(self) -> Reproduction:
        out = self.settings.out
        write_atomically(out / SETTINGS, self.settings.to_yaml())
        if not (out / PENALTIES).is_file():
            write_atomically(out / PENALTIES, penalties_text(self.settings))
        published = read_published(write_once(out, PUBLISHED, packaged(PUBLISHED)))
        cost = kept_cost(out / COST, self.planned.cost)
        write_atomically(out / COST, json.dumps(cost, indent=1) + "\n")
        (out / RESULT).unlink(missing_ok=True)
        inputs, notes = self._inputs(), list(self.planned.notes)
        for task in self.settings.wanted_tasks():
            self._tell(f"importing {self.settings.data_set} for {task}")
            imported = import_task(self.settings, task, show_progress=self.show_progress)
            inputs |= {f"data/{task}/{n}": digest for n, digest in imported["inputs"].items()}
            inputs |= imported["splits"]
            notes += imported["notes"]
        for part in self.planned.parts:  # or refuse the last one before the first is trained
            check_sweep(part.sweep, recipes(part.sweep))
        found: list[Part] = []
        failures: list[str] = []
        for number, part in enumerate(self.planned.parts, start=1):
            which = f"{number} of {len(self.planned.parts)}, {part.task.label}, {part.label}"
            self._tell(f"training {which}")
            swept = self._sweep(part, failures)
            explained = []
            for seed in self.settings.seeds if swept is not None else ():
                self._tell(f"explaining {which}, seed {seed}")
                if (one := self._explain(part, seed, failures)) is not None:
                    explained.append(one)
            found.append(_part(part, swept, explained, published, self.settings))
            inputs |= self._models(part)
        result = Reproduction(
            data_set=self.settings.data_set,
            title=self.settings.about.title,
            parts=tuple(found),
            sources=published.sources,
            cost=cost,
            notes=tuple(dict.fromkeys(notes)),
            failures=tuple(failures),
            counts=self.planned.counts,
            settings={**self.settings.model_dump(mode="json"), "code": code_version()},
            inputs=inputs,
            seconds=self._seconds(),
        )
        write_reproduction(result, out)
        return result

    def _sweep(self, part: PartPlan, failures: list[str]) -> SweepResult | None:
        started = (part.sweep.out / SWEEP_FILE).is_file()
        if not started:  # killed while it wrote its first file, it left a part of that
            for path in part.sweep.out.glob(f".{SWEEP_FILE}.*"):
                path.unlink()
        try:
            swept = sweep(part.sweep, resume=started, show_progress=self.show_progress)
        except WorkError as error:
            failures.append(f"{part.task.label}, {part.label}: {error}")
            return None
        failures += [f"{part.task.label}, {part.label}: {failure}" for failure in swept.failures]
        return swept

    def _explain(self, part: PartPlan, seed: int, failures: list[str]) -> Explained | None:
        where = f"{part.task.label}, {part.label}, seed {seed}"
        try:
            found = explain(self.settings, part, seed, show_progress=self.show_progress)
        except WorkError as error:
            failures.append(f"{where}: {error}")
            return None
        if found is None:
            failures.append(f"{where}: no explanations, as its dense SoftCAM was not trained.")
        return found

    def _tell(self, what: str) -> None:
        if self.show_progress:
            _LOG.info("%s", what)

    def _inputs(self) -> dict[str, str]:
        """Take the checksums of files that were given; those of images follow the import."""
        out = self.settings.out
        given = [out / PENALTIES, out / PUBLISHED]
        given += [
            weights
            for model in self.settings.wanted_models()
            if (weights := self.settings.weights(model)) is not None
        ]
        return {
            path.name if path.parent == out else str(path): digest_of_file(path) for path in given
        }

    def _models(self, part: PartPlan) -> dict[str, str]:
        """Take the checksums of the trained models."""
        found = {}
        for seed in self.settings.seeds:
            for name in part.names.values():
                path = run_folder(part.sweep.out, name, seed) / "model.safetensors"
                if path.is_file():
                    found[path.relative_to(self.settings.out).as_posix()] = digest_of_file(path)
        return found

    def _seconds(self) -> float:
        """Add up the training that runs say they took."""
        total = 0.0
        for part in self.planned.parts:
            path = part.sweep.out / "sweep.json"
            if path.is_file():
                values: dict[str, Any] = json.loads(path.read_text("utf-8"))
                total += sum(values["seconds"].values())
        return total


def _part(
    part: PartPlan,
    swept: SweepResult | None,
    explained: list[Explained],
    published: PublishedFigures,
    settings: ReproduceConfig,
) -> Part:
    rows = {} if swept is None else {row.name: row for row in swept.rows}
    tested = any(row.test for row in rows.values())
    return Part(
        key=part.key,
        task=part.task.name,
        task_label=part.task.label,
        model=part.model,
        model_label=part.label,
        measured={
            role: rows[name].test if tested else rows[name].val
            for role, name in part.names.items()
            if name in rows
        },
        split="test" if tested else "validation",
        penalties=part.weights(),
        penalty_source=part.penalty.source,
        explained=tuple(explained),
        # Figures of the paper's backbone say nothing of another one in its place.
        published={}
        if "model" in settings.training
        else published.of(settings.data_set, part.task.name, part.model),
    )


def _notes(settings: ReproduceConfig, planned: tuple[PartPlan, ...]) -> list[str]:
    """Say in what this is not the paper's experiment."""
    notes = []
    bare = [
        part.label
        for part in planned
        if not (settings.pretrained or settings.weights(part.model) is not None)
    ]
    if bare:
        notes.append(
            f"{', '.join(dict.fromkeys(bare))}: trained from random weights; the paper starts from "
            "ImageNet's (--weights-resnet50, --weights-vgg16 or --pretrained)."
        )
    changed = [
        f"{name} {getattr(settings, name)}"
        for name in ("epochs", "size", "batch_size")
        if getattr(settings, name) is not None
    ]
    changed += [f"{name} {value}" for name, value in settings.training.items()]
    if changed:
        notes.append(f"Not the paper's settings: {', '.join(changed)}.")
    if settings.size is not None and settings.penalty_form != "mean":
        notes.append(
            "Penalty weights belong to the published size: at another one the same weights weigh "
            "otherwise, as they are factors on sums over the map."
        )
    if settings.penalty_form != "norm":
        notes.append(
            f"Penalty form {settings.penalty_form}: the published code, to which the weights "
            "belong, computes norm."
        )
    if not settings.splits:
        notes.append("Splits are not the authors' published ones (--splits).")
    return notes
