"""What a training run is made from: flags or YAML, both validated here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from softcam.errors import InputError
from softcam.evidence.info import Neck
from softcam.training.augment import Augmentation
from softcam.training.losses import LossName
from softcam.training.recipes import RECIPES, Recipe, laid_over
from softcam.training.sampling import Sampling

_Item = TypeVar("_Item")

PENALTY_CLASSES = ("all", "target", "not_target")
"""What `penalty_classes` takes beside names of classes."""

Size = tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=4096)]]


class TrainConfig(BaseModel):
    """All settings of a training run; `config.yaml` in the run folder is one of these.

    Attributes:
        table: The table of images, or a folder with one, or a class-folder layout.
        out: The run folder to write.
        images: Folder of the images, if not beside the table.
        dataset: The dataset.yaml, if not beside the table.
        model: Backbone: a timm name, or "torchvision/NAME".
        mode: "exact" moves the black box's head in front of the pool, "fresh" starts a new one,
            "sliding" takes VGG's fully connected layers as convolutions.
        recipe: "dense" takes the settings as they are; "focused" first fills in those of
            `softcam.training.recipes`, for maps that point at small findings.
        stages: Evidence from earlier stages (1 has stride 4 ... 4 stride 32); None for the last.
        neck: "hypercolumn" joins the stages' features in front of one evidence layer.
        neck_width: Channels of the joined features.
        concentration: Sharpness with which positions are weighted by their own evidence.
        concentration_warmup: Share of the steps over which it rises from zero.
        plain_loss: Weight of the same loss on the plain means, before evidence is concentrated.
        align: Whether the map is laid where it looks after training, see
            `softcam.training.aligning`.
        sharpen: Validation AUC that may be lost to a higher concentration after training, see
            `softcam.training.sharpening`; None leaves it as it was trained.
        output_stride: 8, 16 or 32 where the backbone can dilate.
        weights: Local safetensors file of pretrained weights.
        pretrained: Fetch pretrained weights from the library's hub.
        drop_rate: Dropout in front of the evidence layer.
        one_logit: One logit and one map for a binary task instead of two.
        size: Height and width of the input in pixels.
        resize: "pad", "stretch" or "crop".
        trim: "none", or "circle" to cut fundus photographs to the retina's circle first.
        pixel_aspect: "apply" gives images with pixels that are not square their true shape;
            "ignore" does not.
        channels: "rgb" or "grey".
        augment: Recipe of random changes: none, light, fundus, oct or chest.
        l1: ElasticNet weight of the mean absolute evidence.
        l2: ElasticNet weight of the mean squared evidence.
        penalty_form: "mean" over elements, the paper's "sum" over an image, or "norm" with the
            Euclidean norm in place of the sum of squares.
        penalty_on: "own" maps, or the "contrast" of each with the mean of the others.
        penalty_classes: Whose maps are penalised: "all", "target" (the image's own classes),
            "not_target" (the others), or names of classes.
        penalty_warmup: Share of the steps over which all shaping of maps rises from zero.
        total_variation: Weight of the mean step between neighbouring cells.
        consistency: Weight of the mean squared difference between the maps of mirrored images and
            the mirrored maps.
        consistency_share: Share of the batches for which that is looked at, a second pass each.
        mosaic: Scales n: batches become mosaics of n x n images, each reduced by n; empty for none.
        mosaic_share: Share of the batches that do.
        loss: "cross-entropy", "focal", or "ordinal" for classes in order, see
            `softcam.training.losses`.
        focal_gamma: Exponent of the focal loss.
        label_smoothing: Share of the target that is spread over all classes.
        epochs: Passes over the training images.
        batch_size: Images per step; of each process and micro-batch, where there are several.
        accumulate: Micro-batches whose gradients are added before the optimizer steps.
        clip: Largest norm of a step's gradient; longer ones are shortened to it, 0 leaves all.
        optimizer: "adamw", or the paper's "sgd" (Nesterov, momentum 0.9).
        lr: Peak learning rate; by optimizer if None (3e-4 for adamw, 1e-3 for sgd).
        head_lr: Factor on the learning rate of the head.
        layer_decay: The backbone's last stage learns at this share of the rate, each stage
            before it at this share of the next one's.
        freeze: The first stages that are not trained (0 for none), or "backbone".
        weight_decay: By optimizer if None (0.01 for adamw, 5e-4 for sgd).
        lr_floor: The cosine schedule never goes below this; by optimizer if None (1e-6, 1e-4).
        warmup: Share of the steps over which the learning rate rises from zero.
        ema: Decay of the moving average of the weights that is validated and saved; 0 for none.
        class_weights: "none", or "balanced" for the inverse of the class frequencies.
        sampling: "natural" shows each image once an epoch, "balanced" every class equally often,
            "progressive" goes from the first to the second over the epochs.
        patience: Stop after so many epochs without a better validation AUC; 0 never stops early.
        precision: "32", "bf16", "fp16" (with scaled gradients, on CUDA) or "auto" (bf16 where the
            processor or GPU computes in it).
        device: "auto", "cpu" or "cuda".
        workers: Processes that prepare images; 0 prepares them in this one, None chooses, see
            `softcam.training.loaders.choose_workers`.
        cache: Folder in which prepared images are kept from run to run; None keeps them in memory.
        cache_gb: Without a cache folder, prepared images are kept in memory up to this size.
        checkpoint_steps: Optimizer steps between checkpoints within an epoch, beside the one at
            its end; 0 for none. It changes no number of the run.
        seed: Seed of everything random.
        split_seed: Seed of the splits of a table that gives none; the run's seed if None.
        shuffle_labels: Let the labels of the training and the validation images change places, by
            the seed; for the check whether an explanation depends on what was learned.
        mlflow: Log to MLflow too.
        mlflow_uri: Its server or store; the run folder's `mlruns` if None.
        with_twin: Also train the stock black box, same data and budget, into OUT/twin.
        black_box: Train the stock black box itself and no SoftCAM.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    table: Path
    out: Path
    images: Path | None = None
    dataset: Path | None = None
    model: str = "resnet18"
    mode: Literal["exact", "fresh", "sliding"] = "exact"
    recipe: Recipe = "dense"
    stages: tuple[int, ...] | None = None
    neck: Neck | None = None
    neck_width: int = Field(default=64, ge=1, le=4096)
    concentration: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    concentration_warmup: float = Field(default=0.0, ge=0, le=1)
    plain_loss: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    align: bool = False
    sharpen: float | None = Field(default=None, ge=0, lt=1, allow_inf_nan=False)
    output_stride: Literal[8, 16, 32] | None = None
    weights: Path | None = None
    pretrained: bool = False
    drop_rate: float = Field(default=0.0, ge=0, lt=1)
    one_logit: bool = False
    size: Size = (224, 224)
    resize: Literal["pad", "stretch", "crop"] = "pad"
    trim: Literal["none", "circle"] = "none"
    pixel_aspect: Literal["apply", "ignore"] = "apply"
    channels: Literal["rgb", "grey"] = "rgb"
    augment: Augmentation = "light"
    l1: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    l2: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    penalty_form: Literal["mean", "sum", "norm"] = "mean"
    penalty_on: Literal["own", "contrast"] = "own"
    penalty_classes: tuple[str, ...] = ("all",)
    penalty_warmup: float = Field(default=0.0, ge=0, le=1)
    total_variation: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    consistency: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    consistency_share: float = Field(default=0.25, gt=0, le=1)
    mosaic: tuple[Annotated[int, Field(ge=2, le=8)], ...] = ()
    mosaic_share: float = Field(default=0.5, gt=0, le=1)
    loss: LossName = "cross-entropy"
    focal_gamma: float = Field(default=2.0, ge=0, le=20, allow_inf_nan=False)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1, le=4096)
    clip: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    head_lr: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    freeze: int | Literal["backbone"] = 0
    weight_decay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    lr_floor: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Sampling = "natural"
    patience: int = Field(default=0, ge=0)
    precision: Literal["auto", "32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = Field(default=None, ge=0, le=64)
    cache: Path | None = None
    cache_gb: float = Field(default=4.0, ge=0)
    checkpoint_steps: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    split_seed: int | None = Field(default=None, ge=0, lt=2**32)
    shuffle_labels: bool = False
    mlflow: bool = False
    mlflow_uri: str | None = None
    with_twin: bool = False
    black_box: bool = False

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        """Fill in the recipe's settings; what is given wins."""
        if not isinstance(values, dict):
            return values
        return {**RECIPES.get(str(values.get("recipe", "dense")), {}), **values}

    @field_validator("size", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        """Take one number for a square, "HxW", or a pair."""
        if isinstance(value, str) and "x" in value.lower():
            value = value.lower().split("x")
        return (value, value) if isinstance(value, int | str) else value

    @field_validator("stages", "mosaic", mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @field_validator("penalty_classes", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("penalty_classes")
    @classmethod
    def _alone(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or (len(value) > 1 and set(value) & set(PENALTY_CLASSES)):
            raise ValueError(f"give one of {', '.join(PENALTY_CLASSES)}, or names of classes")
        return _different(value)

    @field_validator("mosaic")
    @classmethod
    def _scales(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _different(value)

    @field_validator("freeze", mode="before")
    @classmethod
    def _number_or_backbone(cls, value: Any) -> Any:
        """Take a number as text too, and say both forms where neither is meant."""
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if number == "backbone" or (type(number) is int and number >= 0):
            return number
        raise ValueError(f"give a number of stages, or backbone, not {value}")

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.pretrained and self.weights is not None:
            raise ValueError("give either pretrained or weights, not both")
        if self.black_box and self.with_twin:
            raise ValueError("a black box has no twin; give either black_box or with_twin")
        if not self.concentration and not self.black_box:
            for name in ("plain_loss", "concentration_warmup", "sharpen"):
                if getattr(self, name) not in (0, None):
                    raise ValueError(f"{name} is of no use without concentration; give both")
        if self.align and not self.neck and not self.black_box:
            raise ValueError("align is of no use without a neck, which it moves; give both")
        if self.black_box and self.mosaic:
            raise ValueError("a black box has no maps and so no mosaics; leave mosaic out")
        if self.mlflow_uri is not None and not self.mlflow:
            raise ValueError("mlflow_uri is of no use without mlflow; give both, or neither")
        if self.sampling != "natural" and self.class_weights != "none":
            raise ValueError(
                f"sampling {self.sampling} and class_weights {self.class_weights} would correct "
                "the class frequencies twice; give one of them"
            )
        return self

    def for_twin(self) -> TrainConfig:
        """Give the settings of the black-box twin: the same budget, the stock model, OUT/twin."""
        changes: dict[str, Any] = {"with_twin": False, "black_box": True}
        changes |= {"out": self.out / "twin", "l1": 0.0, "l2": 0.0, "stages": None}
        changes |= {"recipe": "dense", "neck": None, "concentration": 0.0}
        changes |= {"concentration_warmup": 0.0, "plain_loss": 0.0, "align": False}
        changes |= {"sharpen": None}
        changes |= {name: type(self).model_fields[name].default for name in SHAPING}
        return self.model_copy(update={**changes, "mode": "exact"})

    def seed_of_splits(self) -> int:
        """Give the seed of the splits of a table that gives none."""
        return self.seed if self.split_seed is None else self.split_seed

    def learning_rate(self) -> float:
        """Give the peak learning rate."""
        return self.lr if self.lr is not None else {"adamw": 3e-4, "sgd": 1e-3}[self.optimizer]

    def decay(self) -> float:
        """Give the weight decay."""
        default = {"adamw": 0.01, "sgd": 5e-4}[self.optimizer]
        return self.weight_decay if self.weight_decay is not None else default

    def floor(self) -> float:
        """Give the lowest learning rate of the schedule."""
        default = {"adamw": 1e-6, "sgd": 1e-4}[self.optimizer]
        return self.lr_floor if self.lr_floor is not None else default

    def to_yaml(self) -> str:
        """Write every setting, so that the file runs again as it stands."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


SHAPING = (
    "penalty_form",
    "penalty_on",
    "penalty_classes",
    "penalty_warmup",
    "total_variation",
    "consistency",
    "consistency_share",
    "mosaic",
    "mosaic_share",
)
"""Settings that shape maps beside l1 and l2; a black box has no maps."""


def _different(values: tuple[_Item, ...]) -> tuple[_Item, ...]:
    if len(set(values)) != len(values):
        raise ValueError("give each only once")
    return values


def make_config(values: dict[str, Any], *, source: str = "train") -> TrainConfig:
    """Validate settings.

    Args:
        values: Settings by name.
        source: Where they came from, for the message.

    Returns:
        The configuration.

    Raises:
        InputError: Naming the first setting that is wrong, and why.
    """
    try:
        return TrainConfig.model_validate(values)
    except pydantic.ValidationError as error:
        unknown = f"no such setting; there are {', '.join(TrainConfig.model_fields)}"
        raise wrong_setting(error, source, unknown) from error


def wrong_setting(error: pydantic.ValidationError, source: str, unknown: str) -> InputError:
    """Say in a sentence which setting is wrong, and why.

    Args:
        error: What pydantic found.
        source: Where the settings came from.
        unknown: What to say of a setting that there is not.

    Returns:
        The refusal: of the first wrong setting, and how many more there are.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = unknown
    elif first["type"] == "missing":
        problem = "is required"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return InputError(f"{source}: {name}: {problem}{more}.")


def read_config(path: Path | str, overrides: dict[str, Any] | None = None) -> TrainConfig:
    """Read a YAML configuration.

    Args:
        path: The file; relative paths in it are taken from the current folder.
        overrides: Settings that win over the file's, such as flags.

    Returns:
        The configuration.

    Raises:
        InputError: If the file cannot be read or a setting is wrong.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read; give a YAML file.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold settings as `name: value` lines.")
    return make_config(laid_over(values, overrides or {}), source=str(path))
