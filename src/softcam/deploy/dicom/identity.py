"""Which model said it, and which program wrote it down: what every object carries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import highdicom as hd

from softcam.deploy.dicom.codes import ARTIFICIAL_INTELLIGENCE, CODING_SCHEME
from softcam.deploy.dicom.source import MANUFACTURER
from softcam.deploy.dicom.text import shortened
from softcam.deploy.dicom.uids import Uids
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo

CREATOR = "softcam^Algorithm"
"""Content Creator's Name, which has the form of a person's."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model it was.

    Attributes:
        name: What it is called.
        version: Its version; by default the beginning of its file's digest.
        sha256: SHA-256 of its file, as hexadecimal digits.
    """

    name: str
    version: str
    sha256: str

    @classmethod
    def of(
        cls,
        path: Path | str,
        info: ModelInfo,
        *,
        name: str | None = None,
        version: str | None = None,
    ) -> ModelIdentity:
        """Identify a model by its file.

        Args:
            path: The model file, or an exported graph. An OpenVINO graph is two files: its digest
                is taken over the `.xml` and the `.bin` beside it.
            info: What the file knows about its model.
            name: What to call it; after its architecture if None.
            version: Its version; by its digest if None.

        Raises:
            InputError: The file cannot be read.
        """
        digest = file_digest(path)
        backbone = info.architecture.name if info.architecture is not None else "classifier"
        return cls(
            name=name or f"softcam {backbone}",
            version=version or f"sha256:{digest[:12]}",
            sha256=digest,
        )

    def parameters(self) -> dict[str, str]:
        """Give what identifies the model beyond name and version."""
        return {"model_file_sha256": self.sha256}


def file_digest(path: Path | str) -> str:
    """Give the SHA-256 of a model file as hexadecimal digits; see `ModelIdentity.of`.

    Raises:
        InputError: The file cannot be read.
    """
    first = Path(path)
    weights = first.with_suffix(".bin")
    parts = [first, weights] if first.suffix == ".xml" and weights.is_file() else [first]
    digest = hashlib.sha256()
    for part in parts:
        try:
            with part.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise InputError(
                f"{part}: cannot be read ({error.strerror}); DICOM objects name the file of the "
                "model that they come from, so give a model file."
            ) from error
    return digest.hexdigest()


def software_versions() -> list[str]:
    """Name the programs that wrote an object, with their versions."""
    return [f"{name} {metadata.version(name)}" for name in ("softcam", "highdicom")]


def equipment(
    model: ModelIdentity, uids: Uids, kind: str, number: int, title: str
) -> dict[str, Any]:
    """Give the series, instance and equipment of an object, as highdicom's constructors take them.

    Args:
        model: The model.
        uids: Where its identifiers come from.
        kind: What kind of object it is; objects of one kind share a series.
        number: Series number.
        title: What the series shows; that it is no diagnosis is added.
    """
    return {
        "series_instance_uid": uids(f"{kind} series"),
        "series_number": number,
        "series_description": shortened(f"{title}, not a diagnosis"),
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": shortened(model.name),
        "software_versions": [*software_versions(), shortened(f"model {model.version}")],
        "device_serial_number": model.sha256,
        "coding_schemes": [CODING_SCHEME],
    }


def algorithm_sequence(
    model: ModelIdentity, parameters: Mapping[str, str]
) -> hd.AlgorithmIdentificationSequence:
    """Give the algorithm as images name it.

    Args:
        model: The model.
        parameters: How it was used, by name.
    """
    return hd.AlgorithmIdentificationSequence(
        name=shortened(model.name),
        family=ARTIFICIAL_INTELLIGENCE,
        version=shortened(model.version),
        source=MANUFACTURER,
        parameters={**model.parameters(), **parameters},
    )


def algorithm_items(
    model: ModelIdentity, parameters: Mapping[str, str]
) -> hd.sr.AlgorithmIdentification:
    """Give the algorithm as reports name it (PS3.16 TID 4019).

    Args:
        model: The model.
        parameters: How it was used, by name.
    """
    return hd.sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"{k}={v}" for k, v in {**model.parameters(), **parameters}.items()],
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )
