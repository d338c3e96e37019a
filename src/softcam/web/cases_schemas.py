"""The JSON of the case log: what a reader said about an image and a model's answer to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Verdict = Literal["accepted", "corrected", "undecided"]

_Name = Annotated[str, StringConstraints(max_length=200)]
_Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reading(_Strict):
    """What a reader says."""

    verdict: Verdict = Field(description="undecided for a comment alone.")
    correct: list[_Name] = Field(
        default_factory=list,
        max_length=1000,
        description="The classes that the reader calls; for a corrected case.",
    )
    comment: str = Field(default="", max_length=10_000)
    reader: str = Field(default="", max_length=100, description="Initials, or another sign.")
    label: str = Field(
        default="",
        max_length=200,
        description="What the reader calls the case; nothing that names a patient belongs here.",
    )


class NewCase(Reading):
    """A reading, and which answer about which image it is about."""

    sha256: _Digest = Field(description="SHA-256 of the image's file, as /v1/predict gives it.")
    frame: int | None = Field(default=None, ge=1, le=999_999_999)
    width: int = Field(ge=1, le=10_000_000)
    height: int = Field(ge=1, le=10_000_000)
    folder_id: str = Field(default="", max_length=64, description="Its id in /v1/folder.")
    model: _Name
    model_digest: str = Field(default="", max_length=100)
    model_version: str = Field(default="", max_length=100)
    called: list[_Name] = Field(max_length=1000, description="The classes that the model called.")
    probabilities: dict[_Name, _Probability] = Field(max_length=1000)


class ChangedCase(Reading):
    """A reading that takes the place of one that is saved."""

    revision: int = Field(
        ge=1, le=2_000_000_000, description="The revision that was read; a later one is kept."
    )


class CaseOut(NewCase):
    """A saved case."""

    id: str
    revision: int = Field(description="1, and one more with every change.")
    created: str = Field(description="UTC, as 2026-01-31T12:00:00Z.")
    updated: str
    has_image: bool = Field(description="Whether the image is kept with it.")


class CasesOut(_Strict):
    """Saved cases, the latest first."""

    cases: list[CaseOut]
    total: int
