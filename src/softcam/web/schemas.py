"""The JSON of the API. `PredictionOut` is what `/v1/predict` answers.

All amounts of evidence are in logit units; places are in pixels of the image as displayed (EXIF
orientation applied), x to the right, y down, pixel edges at integers. The shape of an answer:

    model         name, version, digest, task, classes, positive, thresholds, input size
    image         width, height, bits, pixel_aspect, sha256 of the file, plane in the patient;
                  encoding and png (base64) where the request had image=shown or image=full; with
                  full a grey DICOM also has its scale: a sample s of S (255 or 65535) stands for
                  black + s / S * (white - black) modality units, and the file's window, if it has
                  one, is center and width in the same units
    predicted     names of the called classes
    classes       for each class: name, probability, threshold, called, the map it reads (index and
                  sign) and, for its own evidence and its contrast against the others: logit,
                  lowest, highest, from_padding, region_threshold, regions
    evidence      the raw maps where the request had maps=true: K maps of height x width cells as
                  base64 of little-endian float32 in the order [map][row][column]
    grid          where the cells lie: x (width + 1) and y (height + 1) edges in displayed pixels;
                  columns and rows, the pixels [first, behind the last) that show each column or
                  row of cells, which is exact for the value under a pointer; both numbers are the
                  same for cells that no pixel shows: padding, or cells finer than pixels

A class's own map is `sign * maps[map]`. Its contrast under a softmax over K > 1 maps is
`(K * own - sum of all maps) / (K - 1)`; for one map, or a multi-label task, it is the own map.
The mean over a map's cells is the class's logit.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why a request was turned away."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="For programs; a documented word such as too_large.")
    reason: str = Field(description="For people: what is wrong and what to do, in a sentence.")


class ModelOut(_Out):
    """A model that is served."""

    name: str
    version: str = Field(description="Version of softcam that wrote the model file; may be empty.")
    digest: str = Field(description="SHA-256 of the model file; empty if there is none.")
    task: Literal["binary", "multiclass", "ordinal", "multilabel"]
    classes: list[str]
    positive: str | None = Field(description="The class that a binary task looks for.")
    thresholds: dict[str, float] = Field(description="Probability from which a class is called.")
    input_size: tuple[int, int] = Field(description="Height and width of the model's input.")
    architecture: str | None


class ModelsOut(_Out):
    """The models that are served; the first is taken where a request names none."""

    models: list[ModelOut]


class ScaleOut(_Out):
    """What the samples of a grey DICOM over its full range stand for, and the file's window."""

    black: float = Field(description="Modality units of sample 0.")
    white: float = Field(description="Modality units of the largest sample; may be below black.")
    unit: str = Field(description="HU for CT; may be empty.")
    center: float | None
    width: float | None
    function: str | None = Field(description="LINEAR, LINEAR_EXACT or SIGMOID.")


class ImageOut(_Out):
    """The image as it was sent."""

    width: int
    height: int
    bits: Literal[8, 16]
    pixel_aspect: float = Field(description="Height of a pixel over its width.")
    sha256: str = Field(description="SHA-256 of the file's bytes.")
    frame: int | None = Field(description="The frame that was asked for, counted from 1.")
    plane: dict[str, Any] | None = Field(description="Where it lies in the patient, in mm (LPS).")
    encoding: Literal["grey8", "rgb8", "grey16"] | None = Field(
        description="How to read the PNG: grey16 is red * 256 + green of an RGB PNG."
    )
    scale: ScaleOut | None = Field(
        description="What the PNG's samples stand for; a grey DICOM with image=full only."
    )
    png: str | None = Field(description="The image as displayed, base64 of a PNG.")


class RegionOut(_Out):
    """A connected part of a map, from the threshold on."""

    cells: int
    contribution: float = Field(description="What it adds to the logit.")
    share: float | None = Field(description="Contribution over logit; null where it has no meaning")
    peak: float
    peak_xy: tuple[float, float] | None
    box: tuple[float, float, float, float] | None = Field(description="x, y, width, height.")
    outline: list[list[tuple[float, float]]] = Field(description="Closed polygons, with holes.")
    outside_image: bool


class MapOut(_Out):
    """What is known of a class's map."""

    logit: float
    lowest: float
    highest: float
    from_padding: float = Field(description="The part of the logit that comes from padding.")
    region_threshold: float
    regions: list[RegionOut] | None = Field(description="null where they were not asked for.")


class ClassOut(_Out):
    """What the model says about a class."""

    name: str
    probability: float
    threshold: float | None = Field(
        description="Probability from which it is called; null where the likeliest class is."
    )
    called: bool
    map: int = Field(description="Which of the maps speaks for it.")
    sign: Literal[1, -1] = Field(description="-1: that map with the sign turned.")
    own: MapOut
    contrast: MapOut


class EvidenceOut(_Out):
    """The raw maps."""

    maps: int
    height: int
    width: int
    dtype: Literal["float32"] = "float32"
    byte_order: Literal["little"] = "little"
    data: str = Field(description="base64, in the order [map][row][column].")


class GridOut(_Out):
    """Where the cells of the maps lie on the image."""

    height: int
    width: int
    x: list[float] = Field(description="width + 1 edges of cells, cut off where the image ends.")
    y: list[float] = Field(description="height + 1 edges of cells, likewise.")
    columns: list[tuple[int, int]] = Field(description="Pixels [first, end) of each cell column.")
    rows: list[tuple[int, int]] = Field(description="Pixels [first, end) of each cell row.")


class PredictionOut(_Out):
    """What a model says about an image, and the evidence that it says it from."""

    format: Literal["softcam-prediction/1"] = "softcam-prediction/1"
    model: ModelOut
    image: ImageOut
    predicted: list[str]
    classes: list[ClassOut]
    completeness_error: float = Field(
        description="Largest difference between a logit and the mean of its map."
    )
    grid: GridOut
    evidence: EvidenceOut | None


class ImageEntry(_Out):
    """An image of the folder."""

    id: str
    name: str
    bytes: int


class FolderOut(_Out):
    """The images of the folder, by name."""

    images: list[ImageEntry]
    total: int


class FindingOut(_Out):
    """A finding that is annotated in an image."""

    finding: str
    outline: list[list[tuple[float, float]]] = Field(description="Closed polygons, with holes.")


class MarksOut(_Out):
    """What is annotated in an image."""

    findings: list[FindingOut]


class StatusOut(_Out):
    """Whether the server lives, or is ready."""

    status: Literal["ok"] = "ok"
