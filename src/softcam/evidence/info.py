"""What a model file knows about its model besides the weights; importable without torch."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Primitive = bool | int | float | str | None
"""What an architecture argument may be: nothing that could carry code."""

Neck = Literal["hypercolumn"]
"""How the features of several stages become one map."""

Mode = Literal["exact", "fresh", "sliding"]
"""How a head is converted."""


class Task(StrEnum):
    """What the labels mean, which decides the loss, the probabilities and the metrics."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    ORDINAL = "ordinal"
    MULTILABEL = "multilabel"


_Placed = tuple[Annotated[float, Field(gt=0, le=4096)], Annotated[float, Field(ge=-4096, le=4096)]]


class EvidenceForm(BaseModel):
    """Which features give the evidence, and how.

    Attributes:
        stages: The backbone stages that give evidence; None for the last feature map.
        neck: How the stages' features are joined in front of the evidence layer; None where each
            stage has its own layer.
        neck_width: Channels of the joined features.
        concentration: Sharpness of the weights of the positions, see
            `softcam.evidence.concentration`.
        placed: Stride and offset of each stage's cells along each axis, in pixels, where the neck
            joins them; see `softcam.evidence.placement`. None until they are measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[int, ...] | None = None
    neck: Neck | None = None
    neck_width: int = Field(default=64, ge=1, le=4096)
    concentration: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    placed: tuple[tuple[_Placed, ...], ...] | None = None

    @property
    def form(self) -> EvidenceForm:
        """The form alone."""
        return EvidenceForm(**{name: getattr(self, name) for name in EvidenceForm.model_fields})


class Architecture(EvidenceForm):
    """How to rebuild a model: a library, a name there, and plain arguments.

    Attributes:
        source: The library that the backbone comes from.
        name: The backbone's name in that library.
        num_outputs: K, the number of logits and of evidence maps.
        in_chans: Number of input channels.
        mode: How the head was converted ("exact" keeps it, "fresh" is a new one, "sliding" takes
            VGG's fully connected layers as convolutions).
        kwargs: Further arguments of the library's constructor.
    """

    source: Literal["timm", "torchvision"]
    name: str
    num_outputs: int = Field(ge=1)
    in_chans: int = Field(default=3, ge=1)
    mode: Mode = "exact"
    kwargs: dict[str, Primitive | tuple[int, ...]] = Field(default_factory=dict)


class Conversion(EvidenceForm):
    """How a model was converted from an instance that no name can rebuild.

    Attributes:
        mode: As in `Architecture`.
        features: Name of the module that gives the feature map, if it was named.
        head: Name of the module that ends in the logits, if it was named.
    """

    mode: Mode = "exact"
    features: str | None = None
    head: str | None = None


class ModelInfo(BaseModel):
    """What travels with the weights.

    Attributes:
        kind: A SoftCAM, or the black-box twin that it is measured against.
        architecture: How to rebuild the model; None when only `backbone=` can.
        conversion: How it was made from that backbone; None where it was not converted.
        in_chans: Number of input channels; 0 when it is not known.
        input_size: Spatial size of an image that it takes; empty when none is known.
        task: What the labels mean; None for a model that was never trained here.
        classes: Class names in the order of the labels (two for a binary task).
        positive: The class that a binary task looks for.
        thresholds: Class name to the probability at or above which that class is called.
        findings: Annotated finding to the class it speaks for, or "distractor" or "organ".
        labels: Label in the training table to class name, so that labels mean the same later.
        dropout: Dropout probability in front of the evidence layer.
        preprocessing: Size, mean, std, channels and resize rule of the input.
        training: Provenance: configuration, data, epochs, library versions at training time.
        versions: Library versions that wrote the file.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    kind: Literal["softcam", "black_box"] = "softcam"
    architecture: Architecture | None = None
    conversion: Conversion | None = None
    in_chans: int = Field(default=0, ge=0, le=64)
    input_size: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = ()
    task: Task | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    thresholds: dict[str, float] = Field(default_factory=dict)
    findings: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    preprocessing: dict[str, Any] | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    def task_of(self, outputs: int) -> Task:
        """What the labels of a model with K logits mean.

        Args:
            outputs: K.

        Returns:
            The task; a model that does not say has a softmax over its classes.
        """
        if self.task is not None:
            return self.task
        return Task.BINARY if outputs == 1 else Task.MULTICLASS

    def classes_of(self, outputs: int) -> tuple[str, ...]:
        """Name the C classes of a model with K logits.

        Args:
            outputs: K.

        Returns:
            Class names, "class 0" and so on for a model that has none; two for one logit, but one
            of a multi-label model.
        """
        if self.classes:
            return self.classes
        one_logit = outputs == 1 and self.task_of(outputs) is not Task.MULTILABEL
        return tuple(f"class {i}" for i in range(2 if one_logit else outputs))
