"""What a reproduction is made from; `reproduce.yaml` in its folder is one of these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from softcam.errors import InputError
from softcam.training.config import wrong_setting
from softcam.workflows.reproduce.papers import DATA_SETS, MODELS, DataSet, DataSetName, ModelName
from softcam.workflows.settings import same_setting
from softcam.workflows.sweep.settings import OWNED, read_settings

SETTINGS = "reproduce.yaml"

HOW_NOT_WHAT = frozenset(
    {"jobs", "device", "workers", "cache", "max_hours", "tasks", "models", "seeds"}
)
"""What may change when a reproduction is resumed: means, and parts, which are done or not."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]

_NAMED = {"table", "images", "dataset", "l1", "l2", "weights", "pretrained", "penalty_form"}
_NAMED |= {"epochs", "size", "batch_size", "precision", "device", "workers", "cache", "split_seed"}
"""Training settings that are options of the command, or its own business."""


class ReproduceConfig(BaseModel):
    """All settings of a reproduction.

    Attributes:
        data_set: "kaggle-dr", "oct2017" or "rsna-pneumonia".
        data: The unpacked download.
        out: The folder to write.
        models: Backbones of the paper.
        tasks: The importer's names of tasks; all of the paper's if empty.
        seeds: One run of each model for each of these.
        epochs: The recipe's if None, as are size, batch_size.
        size: Input size in pixels; images are imported no larger.
        batch_size: Images per step.
        weights_resnet50: Local safetensors file of pretrained weights.
        weights_vgg16: The same.
        pretrained: Fetch pretrained weights from the libraries' hubs.
        penalty_form: "norm" is what the published code computes, see `TrainConfig`.
        penalties: YAML of penalty weights; None for those that come with softcam.
        splits: Published split tables.
        resplit: Make splits by patient though the download has some.
        training: Any other setting of `softcam train`, for every run.
        methods: Post-hoc methods of the benchmark, by name or group.
        limit: Most test images that are explained; 0 for all.
        followed: Of these, images for deletion and insertion curves; 0 for all.
        probes: Of these, images for the costly measures; 0 for all.
        gallery: Of these, images in the benchmark's gallery; the first is a figure here.
        resamples: Bootstrap resamples over patients.
        jobs: Runs at the same time, each a process; also processes of the import.
        precision: "auto", "32", "bf16" or "fp16".
        device: "auto", "cpu" or "cuda".
        workers: Processes that prepare images; chosen by need if None.
        cache: Folder of prepared images that all runs share.
        max_hours: Refuse to start above this estimate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    data_set: DataSetName
    data: Path
    out: Path
    models: tuple[ModelName, ...] = Field(default=tuple(MODELS), min_length=1)
    tasks: tuple[str, ...] = ()
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    epochs: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=16, le=4096)
    batch_size: int | None = Field(default=None, ge=1)
    weights_resnet50: Path | None = None
    weights_vgg16: Path | None = None
    pretrained: bool = False
    penalty_form: Literal["mean", "sum", "norm"] = "norm"
    penalties: Path | None = None
    splits: tuple[Path, ...] = ()
    resplit: bool = False
    training: dict[str, Any] = Field(default_factory=dict)
    methods: tuple[str, ...] = Field(
        default=("fast", "score-cam", "integrated-gradients"), min_length=1
    )
    limit: int = Field(default=100, ge=0)
    followed: int = Field(default=40, ge=0)
    probes: int = Field(default=8, ge=0)
    gallery: int = Field(default=3, ge=0)
    resamples: int = Field(default=1000, ge=10)
    jobs: int = Field(default=1, ge=1, le=64)
    precision: Literal["auto", "32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = Field(default=None, ge=0, le=64)
    cache: Path | None = None
    max_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("models", "tasks", "seeds")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _consistent(self) -> ReproduceConfig:
        known = [task.name for task in DATA_SETS[self.data_set].tasks]
        for task in self.tasks:
            if task not in known:
                raise ValueError(f"{self.data_set} has no task {task!r}; use {', '.join(known)}")
        given = {"resnet50": self.weights_resnet50, "vgg16": self.weights_vgg16}
        for model, weights in given.items():
            if weights is not None and self.pretrained:
                raise ValueError("give either pretrained or files of weights, not both")
            if weights is not None and not weights.is_file():
                raise ValueError(f"weights_{model}: {weights} does not exist")
        if self.splits and self.resplit:
            raise ValueError("give either splits or resplit, not both")
        for name in self.training:
            if name in _NAMED | OWNED:
                raise ValueError(f"set: {name} cannot be set here; see the command's own options")
        if "model" in self.training and len(self.models) > 1:
            raise ValueError("set: model takes the place of one backbone; give one with --models")
        return self

    @property
    def about(self) -> DataSet:
        """The data set."""
        return DATA_SETS[self.data_set]

    def wanted_tasks(self) -> tuple[str, ...]:
        """The tasks, in the paper's order."""
        return tuple(
            task.name for task in self.about.tasks if not self.tasks or task.name in self.tasks
        )

    def wanted_models(self) -> tuple[ModelName, ...]:
        """The backbones, in the paper's order."""
        return tuple(model for model in MODELS if model in self.models)

    def weights(self, model: ModelName) -> Path | None:
        """The file of pretrained weights of a backbone."""
        return self.weights_resnet50 if model == "resnet50" else self.weights_vgg16

    def to_yaml(self) -> str:
        """Write every setting."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def make_reproduction(values: Mapping[str, Any], *, source: str = "reproduce") -> ReproduceConfig:
    """Validate settings.

    Args:
        values: Settings by name.
        source: Where they came from, for the message.

    Returns:
        The settings.

    Raises:
        InputError: Naming the first setting that is wrong, and why.
    """
    for name, how in (
        ("data", "name the download with --data"),
        ("out", "name a folder with --out"),
    ):
        if values.get(name) is None:
            raise InputError(f"{source}: {name} is missing; {how}.")
    try:
        return ReproduceConfig.model_validate(dict(values))
    except pydantic.ValidationError as error:
        known = ", ".join(ReproduceConfig.model_fields)
        unknown = f"no such setting of a reproduction; there are {known}"
        raise wrong_setting(error, source, unknown) from error


def reproduction_for(given: Mapping[str, Any], *, resume: bool = False) -> ReproduceConfig:
    """Join what the command line says with the settings of the reproduction to resume.

    Resuming may change means (jobs, device, workers, cache, max_hours) and parts (models, tasks,
    seeds); what is trained and measured stays as it was.

    Args:
        given: Settings that were given.
        resume: Take the settings of the reproduction in `given["out"]`.

    Returns:
        The settings.

    Raises:
        InputError: If a setting is wrong or differs from before, or there is nothing to resume.
    """
    if not resume:
        return make_reproduction(given)
    if given.get("out") is None:
        raise InputError("reproduce: --resume needs --out, the folder to go on with.")
    path = Path(given["out"]) / SETTINGS
    if not path.is_file():
        raise InputError(f"{given['out']}: holds no reproduction to resume (no {SETTINGS}).")
    values = {**read_settings(path), "out": given["out"]}
    stored = make_reproduction(values, source=str(path))
    wanted = make_reproduction({**values, **given}, source=str(path))
    for name in given:
        before, now = getattr(stored, name), getattr(wanted, name)
        if name not in HOW_NOT_WHAT | {"out"} and not same_setting(before, now):
            raise InputError(
                f"{path}: was started with {name} {before}, not {now}; resume it without, or "
                "choose another --out."
            )
    return wanted
