"""Which features give the evidence, and how: validated in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from softcam.errors import InputError
from softcam.evidence.concentration import require_sharpness
from softcam.evidence.info import EvidenceForm, Neck

_NECK_STAGES = (1, 2, 3)
_WIDEST = 4096


def evidence_form(
    stages: int | Sequence[int] | None, neck: Neck | None, neck_width: int, concentration: float
) -> EvidenceForm:
    """Validate which features give the evidence, and how.

    Args:
        stages: Number of an evidence stage, several, or None.
        neck: "hypercolumn" or None.
        neck_width: Channels of the joined map.
        concentration: Sharpness of the weights of the positions.

    Returns:
        The same, the stages in order and each once; a neck without stages has 1, 2 and 3.

    Raises:
        InputError: If one of them cannot be used.
    """
    if neck is not None and neck not in get_args(Neck):
        raise InputError(f'neck must be "hypercolumn" or None, not {neck!r}.')
    if not 1 <= neck_width <= _WIDEST:
        raise InputError(f"neck_width must be from 1 to {_WIDEST}, not {neck_width}.")
    numbers: tuple[int, ...] | None
    if stages is None:
        numbers = None if neck is None else _NECK_STAGES
    else:
        numbers = (stages,) if isinstance(stages, int) else tuple(sorted(set(stages)))
        if not numbers:
            raise InputError("stages must name at least one stage, for example stages=3.")
    return EvidenceForm(
        stages=numbers,
        neck=neck,
        neck_width=neck_width,
        concentration=require_sharpness(concentration),
    )
