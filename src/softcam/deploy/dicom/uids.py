"""New unique identifiers: random ones, or the same again for tests."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Uids:
    """Gives one identifier for each purpose within a case.

    Identifiers are UUIDs under the root 2.25 (PS3.5 B.2), for which nobody need be asked.

    Attributes:
        seed: Makes the identifiers repeat, for tests only: two objects with one identifier must
            never meet in an archive. None for new ones.
        case: What is identified: the image, its frame, the model.
    """

    seed: int | None = None
    case: tuple[str, ...] = ()
    _given: dict[str, str] = field(default_factory=dict, repr=False)

    def __call__(self, purpose: str) -> str:
        """Give the identifier for a purpose, the same each time it is asked for."""
        if purpose not in self._given:
            if self.seed is None:
                number = uuid.uuid4().int
            else:
                text = "\n".join((str(self.seed), *self.case, purpose))
                digest = hashlib.sha256(text.encode()).digest()[:16]
                number = uuid.UUID(bytes=digest, version=4).int
            self._given[purpose] = f"2.25.{number}"
        return self._given[purpose]


def device_uid(sha256: str) -> str:
    """Give the identifier of a model as an observer, the same wherever its file is used.

    Args:
        sha256: SHA-256 of the model file, as hexadecimal digits.
    """
    return f"2.25.{uuid.UUID(hex=sha256[:32], version=4).int}"
