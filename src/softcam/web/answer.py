"""From a model's output for an image to what the API answers."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.evidence.info import Task
from softcam.explanation.explanation import Explanation
from softcam.explanation.regions import cell_edges, threshold_of
from softcam.web.models import ServedModel
from softcam.web.schemas import (
    ClassOut,
    EvidenceOut,
    GridOut,
    ImageOut,
    MapOut,
    ModelOut,
    PredictionOut,
    RegionOut,
    ScaleOut,
)

Regions = Literal["none", "own", "contrast", "both"]
Picture = Literal["none", "shown", "full"]


@dataclass(frozen=True)
class Wanted:
    """What of an answer a request asked for.

    Attributes:
        frame: The frame of the file, counted from 1; None where it has one.
        regions: Of which maps the regions are listed.
        threshold: Evidence, in logit units, from which a cell belongs to a region; None for half
            of the strongest cell of each map.
        maps: Whether the raw maps are sent.
        image: Whether the image is sent as a PNG: "shown" as the model saw it, "full" for a grey
            DICOM over all that its stored bits hold, for a window of one's own.
    """

    frame: int | None = None
    regions: Regions = "own"
    threshold: float | None = None
    maps: bool = False
    image: Picture = "none"


def describe_model(model: ServedModel) -> ModelOut:
    """Tell what is known of a model."""
    info = model.info
    return ModelOut(
        name=model.name,
        version=info.versions.get("softcam", ""),
        digest=model.digest,
        task=model.task.value,
        classes=list(model.classes),
        positive=info.positive,
        thresholds=dict(info.thresholds),
        input_size=model.preprocessing.size,
        architecture=None if info.architecture is None else info.architecture.name,
    )


def explanation_of(
    model: ServedModel,
    read: dict[str, Any],
    logits: npt.NDArray[np.float32],
    evidence: npt.NDArray[np.float32],
    threshold: float | None,
) -> Explanation:
    """Put together what an explanation needs; its pixels stay with the process that decoded them.

    Args:
        model: The model.
        read: What `softcam.web.decoder.prepare` told of the image.
        logits: Shape (K,).
        evidence: Shape (K, h, w), in logit units.
        threshold: As in `Wanted`.

    Raises:
        InputError: The logits are not the mean of the maps, or are not finite.
    """
    black = np.broadcast_to(np.uint8(0), (read["height"], read["width"]))
    return Explanation(
        name="image",
        image=black,
        logits=logits,
        evidence=evidence,
        geometry=Geometry.from_dict(read["geometry"]),
        info=model.info,
        threshold=threshold,
    )


def predicted(
    model: ModelOut,
    explanation: Explanation,
    read: dict[str, Any],
    wanted: Wanted,
    png: bytes | None = None,
) -> PredictionOut:
    """Build the answer of `/v1/predict`.

    Args:
        model: What is known of the model.
        explanation: What it says.
        read: What was told of the image.
        wanted: What the request asked for.
        png: The image as displayed.
    """
    return PredictionOut(
        model=model,
        image=ImageOut(
            **{name: read[name] for name in ("width", "height", "bits", "pixel_aspect")},
            sha256=read["sha256"],
            frame=wanted.frame,
            plane=read["plane"],
            encoding=read["encoding"],
            scale=None if read["scale"] is None else ScaleOut(**read["scale"]),
            png=None if png is None else base64.b64encode(png).decode("ascii"),
        ),
        predicted=list(explanation.predicted),
        classes=[_class(explanation, index, wanted) for index in range(explanation.num_classes)],
        completeness_error=explanation.completeness_error,
        grid=_grid(explanation.geometry, explanation.evidence.shape),
        evidence=_evidence(explanation.evidence) if wanted.maps else None,
    )


def _class(explanation: Explanation, index: int, wanted: Wanted) -> ClassOut:
    name = explanation.classes[index]
    one_map = len(explanation.logits) < explanation.num_classes
    return ClassOut(
        name=name,
        probability=float(explanation.probabilities[index]),
        threshold=_threshold(explanation, index),
        called=name in explanation.predicted,
        map=0 if one_map else index,
        sign=-1 if one_map and index == 0 else 1,
        own=_map(explanation, index, contrast=False, listed=wanted.regions in ("own", "both")),
        contrast=_map(
            explanation, index, contrast=True, listed=wanted.regions in ("contrast", "both")
        ),
    )


def _threshold(explanation: Explanation, index: int) -> float | None:
    """The probability from which a class is called, as `softcam.evidence.decision.decide` has it.

    None for classes that are called by being likelier than others.
    """
    name, limits = explanation.classes[index], explanation.info.thresholds
    if explanation.task is Task.MULTILABEL:
        return limits.get(name, 0.5)
    if explanation.task is not Task.BINARY:
        return None
    positive = explanation.info.positive
    looked_for = positive if positive in explanation.classes else explanation.classes[1]
    return limits.get(name, 0.5) if name == looked_for else None


def _map(explanation: Explanation, index: int, *, contrast: bool, listed: bool) -> MapOut:
    values = explanation.class_evidence(index, contrast=contrast)
    regions = explanation.regions(index, contrast=contrast) if listed else None
    return MapOut(
        logit=explanation.logit(index, contrast=contrast),
        lowest=float(values.min()),
        highest=float(values.max()),
        from_padding=explanation.padding_evidence(index, contrast=contrast),
        region_threshold=threshold_of(values, threshold=explanation.threshold),
        regions=None if regions is None else [RegionOut(**item.to_dict()) for item in regions],
    )


def _grid(geometry: Geometry, shape: tuple[int, ...]) -> GridOut:
    height, width = shape[1:]
    edges = cell_edges(geometry, (height, width))
    columns, rows = geometry.cells_of_pixels((height, width))
    return GridOut(
        height=height,
        width=width,
        x=edges.x.tolist(),
        y=edges.y.tolist(),
        columns=_spans(columns, width),
        rows=_spans(rows, height),
    )


def _spans(cells: npt.NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """From each pixel's cell to each cell's pixels [first, end)."""
    spans = []
    for cell in range(count):
        pixels = np.flatnonzero(cells == cell)
        spans.append((int(pixels[0]), int(pixels[-1]) + 1) if len(pixels) else (0, 0))
    return spans


def _evidence(evidence: npt.NDArray[np.float32]) -> EvidenceOut:
    count, height, width = evidence.shape
    data = base64.b64encode(np.ascontiguousarray(evidence, dtype="<f4").tobytes())
    return EvidenceOut(maps=count, height=height, width=width, data=data.decode("ascii"))
