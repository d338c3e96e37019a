"""Why a model is refused: a closed list, each with the way out."""

from __future__ import annotations

from enum import StrEnum

from softcam.errors import SoftcamError


class Reason(StrEnum):
    """The reasons for which a conversion is refused."""

    CLASS_TOKEN = "class token"
    ATTENTION_POOL = "attention pool"
    MAX_POOL = "max pool"
    MIXES_POSITIONS = "head mixes positions"
    NO_SPATIAL_MAP = "no spatial map"
    NO_CLASSIFIER = "no classifier"
    UNSUPPORTED_HEAD = "unsupported head"
    UNKNOWN_MODEL = "unknown model"
    UNKNOWN_STAGE = "unknown stage"
    CHANGED_LOGITS = "logits would change"


class ConversionError(SoftcamError, ValueError):
    """The model cannot become a SoftCAM in the way that was asked.

    Attributes:
        reason: One of the closed list.
        remedy: What to do instead.
    """

    def __init__(self, reason: Reason, detail: str, remedy: str) -> None:
        super().__init__(f"cannot convert ({reason}): {detail}; {remedy}.")
        self.reason = reason
        self.remedy = remedy
