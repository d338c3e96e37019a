"""What a reproduction does: an import for each task, a sweep for each task and backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.report.reproduction.content import BLACK_BOX
from softcam.training.config import TrainConfig
from softcam.workflows.reproduce.papers import MODELS, ModelName, Task, recipe
from softcam.workflows.reproduce.settings import ReproduceConfig
from softcam.workflows.reproduce.tables import PENALTIES, Penalty, packaged, read_penalties
from softcam.workflows.sweep.plan import DENSE, TWIN, Recipe, penalty_name, recipes
from softcam.workflows.sweep.settings import SweepConfig, make_sweep


@dataclass(frozen=True)
class PartPlan:
    """One task with one backbone.

    Attributes:
        task: The task.
        model: The backbone's name.
        label: What tables call the backbone.
        sweep: The runs: black box, dense, sparse, smooth, ElasticNet, over seeds.
        names: Role to the sweep's name of it.
        penalty: The weights.
    """

    task: Task
    model: ModelName
    label: str
    sweep: SweepConfig
    names: Mapping[str, str]
    penalty: Penalty

    @property
    def key(self) -> str:
        """Its folder."""
        return f"{self.task.name}-{self.model}"

    def recipes(self) -> dict[str, Recipe]:
        """Role to how it is trained."""
        by_name = {one.name: one for one in recipes(self.sweep)}
        return {role: by_name[name] for role, name in self.names.items()}

    def weights(self) -> dict[str, tuple[float, float]]:
        """Role to its weights (l1, l2)."""
        return {
            role: (one.config.l1, one.config.l2)
            for role, one in self.recipes().items()
            if role not in (BLACK_BOX, DENSE)
        }


def data_folder(settings: ReproduceConfig, task: str) -> Path:
    """Say where the data set of a task lies."""
    return settings.out / "data" / task


def penalties_of(settings: ReproduceConfig) -> dict[tuple[str, str, str], Penalty]:
    """Read the weights: those in the folder, else the user's file, else those of softcam.

    Raises:
        InputError: If a file cannot be used, or two say different things.
    """
    kept = settings.out / PENALTIES
    if kept.is_file():
        found = read_penalties(kept)
        given = settings.penalties
        if given is not None and given.is_file() and read_penalties(given) != found:
            raise InputError(
                f"{given}: differs from {kept}, which the reproduction was started "
                "with; put the old weights back, or choose another --out."
            )
        return found
    if settings.penalties is not None:
        return read_penalties(settings.penalties)
    with as_file(files("softcam.workflows.reproduce") / PENALTIES) as path:
        return read_penalties(path)


def penalties_text(settings: ReproduceConfig) -> str:
    """Give the file of weights that is kept in the folder."""
    if settings.penalties is None:
        return packaged(PENALTIES)
    return settings.penalties.read_text("utf-8")


def parts(settings: ReproduceConfig) -> tuple[PartPlan, ...]:
    """Plan every task and backbone, the tasks' first backbone first.

    Args:
        settings: The reproduction.

    Returns:
        The parts.

    Raises:
        InputError: If a training setting or a penalty weight cannot be used.
    """
    penalties = penalties_of(settings)
    return tuple(
        _part(settings, settings.about.task(task), model, penalties)
        for task in settings.wanted_tasks()
        for model in settings.wanted_models()
    )


def _part(
    settings: ReproduceConfig,
    task: Task,
    model: ModelName,
    penalties: Mapping[tuple[str, str, str], Penalty],
) -> PartPlan:
    penalty = penalties.get((settings.data_set, task.name, model), Penalty())
    points = penalty.roles()
    base = base_settings(settings, task.name, model)
    sweep = make_sweep(
        {
            "out": settings.out / "sweeps" / f"{task.name}-{model}",
            "base": base,
            "seeds": settings.seeds,
            "l1": [points["sparse"][0]] if "sparse" in points else [],
            "l2": [points["smooth"][1]] if "smooth" in points else [],
            "mixes": [points["elastic"]] if "elastic" in points else [],
            "limit": settings.limit,
            # The sweep's choice is by the way here; by a margin it needs no standard error, which
            # few validation images leave undefined.
            "margin": 0.01,
            "resamples": settings.resamples,
            "jobs": settings.jobs,
        },
        source="reproduce",
    )
    names = {BLACK_BOX: TWIN, DENSE: DENSE}
    names |= {role: penalty_name(*weights) for role, weights in points.items()}
    own = settings.training.get("model")
    return PartPlan(task, model, str(own or MODELS[model]), sweep, names, penalty)


def base_settings(settings: ReproduceConfig, task: str, model: ModelName) -> dict[str, Any]:
    """Give the training settings that all runs of a part share: the recipe, and what was given."""
    given = {
        "epochs": settings.epochs,
        "size": settings.size,
        "batch_size": settings.batch_size,
        "weights": settings.weights(model),
        "pretrained": settings.pretrained or None,
        "workers": settings.workers,
        "cache": settings.cache,
    }
    return {
        **recipe(settings.data_set, model),
        **{name: value for name, value in given.items() if value is not None},
        "precision": settings.precision,
        "device": settings.device,
        "penalty_form": settings.penalty_form,
        **settings.training,
        "table": data_folder(settings, task),
        "split_seed": 0,
    }


def training_of(part: PartPlan, role: str) -> TrainConfig:
    """Give the settings of a role's first run."""
    return part.recipes()[role].run(part.sweep.out, part.sweep.seeds[0])
