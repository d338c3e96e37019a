"""Train many recipes over seeds, choose one by validation images, then measure the test images."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from softcam.data.records import Table
from softcam.errors import InputError
from softcam.files import locked, write_atomically
from softcam.report.sweep.content import Row, SweepResult
from softcam.report.sweep.write import write_sweep
from softcam.training.config import TrainConfig
from softcam.training.precision import choose_device
from softcam.training.run import Run
from softcam.workflows.settings import changes_no_number
from softcam.workflows.sweep.check import RESULT, check_out, check_sweep
from softcam.workflows.sweep.choose import SCORES, Candidate, Choice, choose
from softcam.workflows.sweep.figures import Runs, auc_with_error, aucs, figures_of
from softcam.workflows.sweep.jobs import do_all, threads_each
from softcam.workflows.sweep.judge import (
    Judged,
    Judging,
    Split,
    digest_of_judging,
    judged_path,
    read_judged,
    split_of,
)
from softcam.workflows.sweep.plan import DENSE, TWIN, Recipe, recipes, run_folder
from softcam.workflows.sweep.progress import sweep_progress
from softcam.workflows.sweep.settings import SWEEP_FILE, SweepConfig, make_sweep
from softcam.workflows.sweep.work import Failure, Work, check_started

_LOG = logging.getLogger("softcam")

CHOSEN = "chosen"


def sweep(
    config: SweepConfig | Mapping[str, Any], *, resume: bool = False, show_progress: bool = True
) -> SweepResult:
    """Train the black-box twin, the dense SoftCAM and every penalty and variant, and choose one.

    Each run is an ordinary run folder under OUT/runs/NAME/seedN. The choice rests on validation
    images alone; test images are looked at when it has been made. What a failed run leaves is
    kept, and `resume=True` tries it again.

    Args:
        config: The settings, or a mapping of them.
        resume: Go on with the sweep in `config.out`, or widen it.
        show_progress: Whether to show progress.

    Returns:
        What was found, also written to the folder; its `failures` say what is missing.

    Raises:
        InputError: If a setting, the table, an image or the folder cannot be used.
        KeyboardInterrupt: After an interruption; `resume=True` goes on.
    """
    settings = config if isinstance(config, SweepConfig) else make_sweep(config)
    planned = recipes(settings)
    check_out(settings.out, resume=resume)
    table = check_sweep(settings, planned)
    state = _Sweep(settings, planned, table, show_progress)
    for work in state.works("val"):
        check_started(work)
    with locked(settings.out):
        return state.run()


@dataclass(frozen=True)
class _Sweep:
    settings: SweepConfig
    recipes: tuple[Recipe, ...]
    table: Table
    show_progress: bool

    def run(self) -> SweepResult:
        out = self.settings.out
        write_atomically(out / SWEEP_FILE, self.settings.to_yaml())
        works = self.works("val")
        if not all(Run(work.config.out).finished for work in works):
            (out / RESULT).unlink(missing_ok=True)
        failures = self._do(works)
        val = self._judged("val", failures)
        choice, why_not = self._choose(val)
        if choice is not None:
            self._keep(choice)
        # The choice is on the disk before a test image is looked at.
        test: Runs = {}
        if "test" in self.table.splits() and val:
            tested = [
                work for work in self.works("test") if work.config.seed in val.get(work.name, {})
            ]
            failures += self._do(tested, "measured on test images")
            test = self._judged("test", failures)
        result = self._result(val, test, choice, why_not, failures)
        write_sweep(result, out)
        return result

    def works(self, split: Split) -> list[Work]:
        """List the work, seed by seed, so that what is done first can be compared first."""
        how = Judging(
            maps=self.settings.maps,
            limit=self.settings.limit,
            # Test images decide nothing, so that their annotations may be measured against.
            annotated=split == "test" or self.settings.select_by == "localisation",
        )
        out = self.settings.out
        return [
            Work(
                recipe.name,
                self._shared_out(recipe.run(out, seed)),
                split,
                how,
                judged_path(out, recipe.name, seed, split),
            )
            for seed in self.settings.seeds
            for recipe in self.recipes
        ]

    def _shared_out(self, config: TrainConfig) -> TrainConfig:
        """Give a run its share of the machine."""
        jobs = self.settings.jobs
        if jobs == 1:
            return config
        workers = config.workers
        if workers is None:
            workers = min(8, threads_each(jobs)) if choose_device(config) == "cuda" else 0
        return config.model_copy(update={"workers": workers, "cache_gb": config.cache_gb / jobs})

    def _do(self, works: Sequence[Work], how: str = "done") -> list[Failure]:
        waiting = [work for work in works if not self._done(work)]
        if not waiting:
            return []
        with sweep_progress(waiting, shown=self.show_progress, verb=how) as told:
            return do_all(
                waiting,
                jobs=self.settings.jobs,
                folder=self.settings.out / "logs",
                told=told,
                any_done=len(waiting) < len(works),
            )

    def _done(self, work: Work) -> bool:
        """Whether a run is trained, and judged on the images and by the settings of today."""
        run = Run(work.config.out)
        if not (run.finished and run.model.is_file() and work.judged.is_file()):
            return False
        part = split_of(self.table, work.split, annotated=work.how.annotated)
        return read_judged(work.judged, digest_of_judging(run, part, work.how)) is not None

    def _judged(self, split: Split, failures: Sequence[Failure]) -> dict[str, dict[int, Judged]]:
        """Collect what was judged, by recipe and seed, without what failed."""
        failed = {(failure.work.name, failure.work.config.seed) for failure in failures}
        found: dict[str, dict[int, Judged]] = {}
        for recipe in self.recipes:
            for seed in self.settings.seeds:
                path = judged_path(self.settings.out, recipe.name, seed, split)
                if (recipe.name, seed) in failed:
                    continue
                if (judged := read_judged(path)) is not None:
                    found.setdefault(recipe.name, {})[seed] = judged
        return found

    def _choose(self, val: Runs) -> tuple[Choice | None, str]:
        """Choose by validation images; None, and why, where that cannot be done."""
        if TWIN not in val:
            return None, "Nothing was chosen: the black-box twin was not trained."
        complete = [
            (recipe.name, val[recipe.name])
            for recipe in self.recipes
            if recipe.name != TWIN and set(val.get(recipe.name, {})) == set(self.settings.seeds)
        ]
        if not complete:
            return None, "Nothing was chosen: no recipe was trained for every seed."
        measure = SCORES[self.settings.select_by]
        candidates = [
            Candidate(
                name,
                tuple(seeds),
                tuple(aucs(list(seeds.values()))),
                tuple(judged.mean(measure) for judged in seeds.values()),
            )
            for name, seeds in complete
        ]
        auc, error = auc_with_error(list(val[TWIN].values()), resamples=self.settings.resamples)
        choice = choose(
            auc,
            error,
            candidates,
            select_by=self.settings.select_by,
            margin=self.settings.margin,
        )
        return choice, ""

    def _keep(self, choice: Choice) -> None:
        """Put the chosen model, and why it was chosen, where it is found."""
        folder = self.settings.out / CHOSEN
        run = Run(run_folder(self.settings.out, choice.name, choice.seed))
        try:
            folder.mkdir(exist_ok=True)
            part = folder / ".model.safetensors.part"
            shutil.copyfile(run.model, part)
            part.replace(folder / "model.safetensors")
        except OSError as error:
            raise InputError(
                f"{folder}: cannot write here ({error.strerror}); make room and go on with "
                f"`softcam sweep --resume --out {self.settings.out}`."
            ) from error
        where = run.path.relative_to(self.settings.out).as_posix()
        text = f"# {choice.name}, seed {choice.seed}\n\n{choice.rule}\n\n{choice.why}\n\n"
        text += f"The model is a copy of that in `{where}`, the run with all its settings.\n"
        write_atomically(folder / "why.md", text)

    def _result(
        self,
        val: Runs,
        test: Runs,
        choice: Choice | None,
        why_not: str,
        failures: Sequence[Failure],
    ) -> SweepResult:
        resamples = self.settings.resamples
        on_val = figures_of(val, TWIN, resamples=resamples) if val else {}
        on_test = figures_of(test, TWIN, resamples=resamples) if test else {}
        dense = next(recipe for recipe in self.recipes if recipe.name == DENSE)
        rows = tuple(
            Row(
                name=recipe.name,
                kind=recipe.kind,
                family=recipe.family,
                l1=recipe.config.l1,
                l2=recipe.config.l2,
                seeds=tuple(val[recipe.name]),
                changes=_changes(dense.config, recipe.config),
                val=on_val[recipe.name],
                test=on_test.get(recipe.name, {}),
                within=choice is not None and recipe.name in choice.within,
                chosen=choice is not None and recipe.name == choice.name,
            )
            for recipe in self.recipes
            if recipe.name in val
        )
        return SweepResult(
            rows=rows,
            rule="" if choice is None else choice.rule,
            why=why_not if choice is None else choice.why,
            qualified=choice is not None and choice.qualified,
            floor=float("nan") if choice is None else choice.floor,
            seed=None if choice is None else choice.seed,
            select_by=self.settings.select_by,
            maps=self.settings.maps,
            failures=tuple(f"{failure.work}: {failure.reason}" for failure in failures),
            notes=tuple(self._notes(val)),
            counts=self._counts(),
            settings=self.settings.model_dump(mode="json"),
            seconds={
                name: float(sum(j.info.training.get("seconds") or 0.0 for j in seeds.values()))
                for name, seeds in val.items()
            },
        )

    def _notes(self, val: Runs) -> list[str]:
        wanted = len(self.settings.seeds)
        notes = [
            f"{name}: {len(seeds)} of {wanted} seeds were trained to the end."
            for name, seeds in val.items()
            if len(seeds) < wanted
        ]
        if "test" not in self.table.splits():
            notes.append("The table has no test split: there are no test figures.")
        return notes

    def _counts(self) -> dict[str, int]:
        counts = {"runs": len(self.recipes) * len(self.settings.seeds)}
        for split in self.table.splits():
            part = self.table.subset(split)
            counts[f"{split} images"] = len(part)
            counts[f"{split} patients"] = len(set(part.patients()))
        return counts


def _changes(dense: TrainConfig, config: TrainConfig) -> dict[str, Any]:
    """Give the settings in which a recipe differs from the dense model."""
    values = config.model_dump(mode="json")
    return {
        name: values[name]
        for name, before in dense.model_dump(mode="json").items()
        if name != "out" and not changes_no_number(name) and values[name] != before
    }
