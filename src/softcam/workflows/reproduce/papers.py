"""What the paper trains on: three data sets, their tasks, two backbones, five ways to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import yaml

DataSetName = Literal["kaggle-dr", "oct2017", "rsna-pneumonia"]
ModelName = Literal["resnet50", "vgg16"]


@dataclass(frozen=True)
class Task:
    """One question that a data set is asked.

    Attributes:
        name: What the importer calls it.
        label: What tables call it.
        kind: "binary" or "multi-class".
    """

    name: str
    label: str
    kind: Literal["binary", "multi-class"]


@dataclass(frozen=True)
class DataSet:
    """One of the paper's data sets.

    Attributes:
        name: Its name on the command line, which is the importer's.
        title: Its name in headings.
        tasks: What the paper asks of it, binary first.
        phantom: The drawn images that stand for its own where time is measured.
    """

    name: DataSetName
    title: str
    tasks: tuple[Task, ...]
    phantom: str

    def task(self, name: str) -> Task:
        """Find a task by its name."""
        return next(task for task in self.tasks if task.name == name)


DATA_SETS: Mapping[str, DataSet] = {
    one.name: one
    for one in (
        DataSet(
            "kaggle-dr",
            "Kaggle diabetic retinopathy",
            (
                Task("onset1", "DR onset (binary)", "binary"),
                Task("levels", "DR grades 0 to 4", "multi-class"),
            ),
            "fundus",
        ),
        DataSet(
            "oct2017",
            "Retinal OCT 2017",
            (
                Task("drusen", "Drusen or normal (binary)", "binary"),
                Task("four", "Four classes", "multi-class"),
            ),
            "oct",
        ),
        DataSet(
            "rsna-pneumonia",
            "RSNA pneumonia",
            (Task("opacity", "Lung opacity or normal (binary)", "binary"),),
            "chest",
        ),
    )
}
"""The data sets by name."""

MODELS: Mapping[ModelName, str] = {"resnet50": "ResNet-50", "vgg16": "VGG-16"}
"""The backbones and what tables call them."""

PAPER_METHODS = (
    "grad-cam",
    "layer-cam",
    "score-cam",
    "integrated-gradients",
    "guided-backprop",
)
"""The post-hoc methods that the paper compares with."""


def recipe(data_set: str, model: str) -> dict[str, Any]:
    """Read the training settings that come with softcam for a data set and a backbone."""
    place = files("softcam.workflows.reproduce") / "recipes" / f"{data_set}-{model}.yaml"
    values: dict[str, Any] = yaml.safe_load(place.read_text("utf-8"))
    return values
