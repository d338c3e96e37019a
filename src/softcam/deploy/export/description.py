"""What travels with an exported graph: all that a model file holds, and how the graph was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from softcam.errors import ModelFileError
from softcam.evidence.info import ModelInfo

FORMAT = 1
"""Version of the description; a reader refuses a higher one."""

KEY = "softcam"
"""Under which the description stands in the file's metadata."""

DIGEST_KEY = "softcam_digest"
"""Under which the digest stands there."""

INPUT, LOGITS, EVIDENCE = "images", "logits", "evidence"
"""Names of the graph's input and outputs."""

LARGEST = 4096
"""Longest side of an input, in pixels."""

LARGEST_BATCH = 4096

Format = Literal["onnx", "openvino", "torch"]
Precision = Literal["fp32", "fp16", "int8"]
_Side = Annotated[int, Field(ge=1, le=LARGEST)]


class Sizes(BaseModel):
    """Which input sizes a graph takes.

    Attributes:
        trained: Height and width that the model was trained at, or exported with.
        fixed: Whether it takes that size alone.
        smallest: Shortest side of an input.
        multiple: Of what number each side must be a multiple.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trained: tuple[_Side, _Side]
    fixed: bool = True
    smallest: _Side = 1
    multiple: _Side = 1

    def refusal(self, height: int, width: int) -> str | None:
        """Say why an input of a size is not taken; None if it is."""
        if (height, width) == self.trained:
            return None
        if self.fixed:
            return "takes images of {}x{} pixels only".format(*self.trained)
        sides = (height, width)
        if min(sides) < self.smallest or max(sides) > LARGEST:
            return f"takes images with sides of {self.smallest} to {LARGEST} pixels"
        if any(side % self.multiple for side in sides):
            return f"takes images whose sides are multiples of {self.multiple} pixels"
        return None

    def __str__(self) -> str:
        """Say it in words."""
        trained = "{}x{}".format(*self.trained)
        if self.fixed:
            return f"{trained} pixels only"
        steps = "" if self.multiple == 1 else f" in multiples of {self.multiple}"
        return f"any from {self.smallest} pixels{steps} (trained at {trained})"


class Verified(BaseModel):
    """How a graph was compared with its model when it was exported.

    Errors are largest differences as a share of the largest magnitude in the batch.

    Attributes:
        images: What was compared: where the images came from.
        count: How many.
        logits: Error of the logits against the torch model's.
        evidence: Error of the evidence against the torch model's.
        completeness: Error of the logits against the mean of the graph's own evidence.
        tolerances: What was allowed of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: str
    count: int = Field(ge=0)
    logits: float
    evidence: float
    completeness: float
    tolerances: dict[str, float]


class Description(BaseModel):
    """What an exported file says of itself.

    Attributes:
        info: What the model file held: task, classes, thresholds, preprocessing, provenance.
        in_chans: Channels of the input.
        outputs: K, the number of logits and maps.
        sizes: Which input sizes it takes.
        precision: In which numbers it was stored and computes in front of the evidence head.
        source: Name and SHA-256 of the model file that it was made from; empty for a model from
            memory.
        verified: How it was compared with its model.
        loss: What precision cost on a table; empty where none was given.
        exporter: Versions of the libraries that made it.
        format: Version of this description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    info: ModelInfo
    in_chans: int = Field(ge=1, le=64)
    outputs: int = Field(ge=1, le=100_000)
    sizes: Sizes
    precision: Precision = "fp32"
    source: dict[str, str] = Field(default_factory=dict)
    verified: Verified | None = None
    loss: dict[str, Any] = Field(default_factory=dict)
    exporter: dict[str, str] = Field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Write it as one JSON text."""
        return self.model_dump_json()


def read_description(path: Path, text: str) -> Description:
    """Read a description, trusting nothing in it.

    Args:
        path: The file that it stands in, for the messages.
        text: The JSON text.

    Returns:
        The description, validated.

    Raises:
        ModelFileError: If it is damaged, not valid, or of a newer softcam.
    """
    try:
        data = pydantic.TypeAdapter(dict[str, Any]).validate_json(text)
        version = data.get("format")
        if not isinstance(version, int) or version > FORMAT:
            raise ModelFileError(
                f"{path}: has format {version}, this softcam reads up to {FORMAT}; upgrade softcam."
            )
        found = Description.model_validate_json(text)
    except pydantic.ValidationError as error:
        lines = str(error).splitlines()
        detail = " ".join(lines[1:3]).strip() or lines[0]
        raise ModelFileError(f"{path}: its description is not valid: {detail}.") from error
    if found.info.kind != "softcam":
        raise ModelFileError(f"{path}: describes a black box, which has no evidence.")
    return found
