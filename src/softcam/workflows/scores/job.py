"""What results belong to: a model, a table and settings; `scores.json` says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pydantic

from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.workflows.scores.identity import canonical
from softcam.workflows.scores.names import Names
from softcam.workflows.scores.settings import ScoreSettings

FORMAT = "softcam-scores/1"

JOB_FILE = "scores.json"
"""Written first: a folder without it holds no results."""


@dataclass(frozen=True)
class Source:
    """A model or a table.

    Attributes:
        name: Its file's name; no folder, which may name people or places.
        sha256: Its digest, see `softcam.workflows.scores.identity`.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Job:
    """What the results of a folder belong to.

    Attributes:
        model: The model.
        table: The table.
        images: N, the number of its images.
        settings: What is made of every image.
        info: What the model file knows, without the provenance of its training.
        shape: (K, h, w) of an image's evidence.
        labels: The classes that the table's labels count from 0.
    """

    model: Source
    table: Source
    images: int
    settings: ScoreSettings
    info: ModelInfo
    shape: tuple[int, int, int]
    labels: tuple[str, ...] = ()

    @property
    def names(self) -> Names:
        """The model's classes."""
        return Names(self.info, self.shape[0])

    @cached_property
    def digest(self) -> str:
        """A SHA-256 over model, table and settings."""
        parts = [self.model.sha256, self.table.sha256, self.labels, self.settings.to_dict()]
        return hashlib.sha256(canonical(parts).encode()).hexdigest()

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.images // self.settings.block)

    def rows_of(self, block: int) -> range:
        """Positions in the table of a block's images."""
        start = block * self.settings.block
        return range(start, min(start + self.settings.block, self.images))

    def to_json(self) -> str:
        """Give the content of `scores.json`."""
        left_out = {"training", "findings", "labels"}
        values = {
            "format": FORMAT,
            "model": {
                "name": self.model.name,
                "sha256": self.model.sha256,
                "info": self.info.model_dump(mode="json", exclude=left_out),
            },
            "table": {
                "name": self.table.name,
                "sha256": self.table.sha256,
                "images": self.images,
                "labels": list(self.labels),
            },
            "settings": self.settings.to_dict(),
            "evidence": {"unit": "logit", "shape": list(self.shape)},
        }
        return json.dumps(values, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read what the results of a folder belong to.

        Raises:
            InputError: The folder holds no results, or newer or damaged ones.
        """
        path = folder / JOB_FILE
        try:
            values = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise InputError(
                f"{folder}: holds no scores ({JOB_FILE} is missing); give the --out of softcam "
                "predict or softcam explain on a table."
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(_damaged(path)) from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise InputError(
                f"{path}: is not of the format {FORMAT}; upgrade softcam, or remove it."
            )
        try:
            return cls._from(values)
        except (KeyError, TypeError, ValueError, pydantic.ValidationError) as error:
            raise InputError(_damaged(path)) from error

    @classmethod
    def _from(cls, values: Mapping[str, Any]) -> Job:
        model, table = values["model"], values["table"]
        outputs, height, width = (int(n) for n in values["evidence"]["shape"])
        return cls(
            model=Source(str(model["name"]), str(model["sha256"])),
            table=Source(str(table["name"]), str(table["sha256"])),
            images=int(table["images"]),
            settings=ScoreSettings(**values["settings"]),
            info=ModelInfo.model_validate(model["info"]),
            shape=(outputs, height, width),
            labels=tuple(str(name) for name in table["labels"]),
        )

    def refuse_other(self, folder: Path, wanted: Job) -> None:
        """Refuse to go on with the results of another model, table or settings.

        Args:
            folder: Where the results of this job are.
            wanted: The job that shall be done there.

        Raises:
            InputError: Naming what differs.
        """
        remedy = "choose another --out, or remove the folder"
        for what, own, other in (
            ("model", self.model, wanted.model),
            ("table", self.table, wanted.table),
        ):
            if own.sha256 != other.sha256:
                raise InputError(
                    f"{folder}: holds the scores of another {what} ({own.name}, SHA-256 "
                    f"{own.sha256[:12]}), not of this {other.name} ({other.sha256[:12]}); {remedy}."
                )
        if self.labels != wanted.labels:
            raise InputError(
                f"{folder}: its scores were made with the labels {', '.join(self.labels)}, not "
                f"{', '.join(wanted.labels)}; {remedy}."
            )
        stored, given = self.settings.to_dict(), wanted.settings.to_dict()
        differing = [name for name in given if given[name] != stored[name]]
        if differing:
            said = ", ".join(f"{name} {stored[name]}, not {given[name]}" for name in differing)
            raise InputError(f"{folder}: its scores were made with {said}; {remedy}.")


def _damaged(path: Path) -> str:
    return f"{path}: is damaged; remove the folder and score the table again."
