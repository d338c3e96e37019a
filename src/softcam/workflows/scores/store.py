"""The folder of results: blocks that are whole or absent, and known to be of one job.

scores.json                  model, table and settings; written first
images/part-000012.parquet   one row an image
regions/part-000012.parquet  one row a region
evidence.zarr/               the maps, a chunk a block
blocks/000012.json           checksums of the block's files; written last of the block
summary.json                 counts; written last of all
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.files import lock_name, write_atomically
from softcam.workflows.scores.job import JOB_FILE, Job
from softcam.workflows.scores.maps import METADATA, metadata_bytes
from softcam.workflows.scores.scorer import BlockFiles

SUMMARY = "summary.json"
"""Written last: a folder without it is unfinished."""

COMMAND = "scoring"
"""What the lock calls the work in the folder."""

_LISTED = 20


@dataclass(frozen=True)
class Totals:
    """What all blocks of a job add up to.

    Attributes:
        images: Images in finished blocks.
        problems: How many of them could not be scored.
        listed: The first of the problems, one sentence each.
        regions: Number of regions.
        completeness_error: The largest difference between a logit and the mean of its map.
    """

    images: int
    problems: int
    listed: tuple[str, ...]
    regions: int
    completeness_error: float


@dataclass(frozen=True)
class ScoreStore:
    """The results of a job.

    Attributes:
        folder: Where they are.
        job: What they belong to.
    """

    folder: Path
    job: Job

    @cached_property
    def _job_digest(self) -> str:
        return self.job.digest

    @property
    def finished(self) -> bool:
        """Whether every block was scored."""
        return (self.folder / SUMMARY).is_file()

    def start(self) -> None:
        """Write what the results belong to.

        Raises:
            InputError: The folder cannot be written.
        """
        settings = self.job.settings
        for name in ("images", "blocks", *(["regions"] if settings.regions else [])):
            _make(self.folder / name)
        if settings.maps:
            self._describe_maps(None)
        write_atomically(self.folder / JOB_FILE, self.job.to_json())

    def _describe_maps(self, completeness_error: float | None) -> None:
        job = self.job
        attributes: dict[str, Any] = {
            "classes": list(job.names.mapped),
            "unit": "logit",
            "what": "class evidence; the mean over row and column is the logit",
            "model_sha256": job.model.sha256,
            "table_sha256": job.table.sha256,
        }
        if completeness_error is not None:
            attributes["completeness_error"] = completeness_error
        outputs, height, width = job.shape
        content = metadata_bytes(
            job.images, job.settings.block, outputs, (height, width), attributes
        )
        path = self.folder / METADATA
        _make(path.parent)
        write_atomically(path, content)

    def write(self, block: BlockFiles) -> None:
        """Write a block; it counts from the moment when all of it is on the disk.

        Raises:
            InputError: The folder cannot be written or the disk is full; nothing of the block is
                left.
        """
        sums = {}
        mark = self._mark(block.block)
        try:
            for name, content in block.files.items():
                path = self.folder / name
                _make(path.parent)
                write_atomically(path, content)
                sums[name] = hashlib.sha256(content).hexdigest()
            said = {"job": self._job_digest, **block.facts, "files": sums}
            write_atomically(mark, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
        except BaseException:
            with suppress(OSError):
                mark.unlink(missing_ok=True)
                for name in block.files:
                    (self.folder / name).unlink(missing_ok=True)
            raise

    def facts(self, block: int) -> dict[str, Any] | None:
        """Give what is said of a finished block, whatever its files hold; None if unfinished."""
        try:
            said = json.loads(self._mark(block).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        mine = isinstance(said, dict) and said.get("job") == self._job_digest
        return said if mine else None

    def is_whole(self, block: int) -> bool:
        """Whether a block is finished and every byte of its files is as it was written."""
        said = self.facts(block)
        if said is None or not isinstance(said.get("files"), dict):
            return False
        return all(_sum_of(self.folder / name) == value for name, value in said["files"].items())

    def missing(self, *, retry: bool = False) -> list[int]:
        """Name the blocks that are not whole, and take away what is left of them.

        Args:
            retry: Count blocks with images that could not be scored among them.
        """
        blocks = []
        for block in range(self.job.blocks):
            if not self.is_whole(block) or (retry and (self.facts(block) or {}).get("problems")):
                blocks.append(block)
        if blocks:
            with suppress(OSError):
                (self.folder / SUMMARY).unlink(missing_ok=True)
        self.tidy()
        return blocks

    def tidy(self) -> None:
        """Remove the halves of files that a killed process left."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.startswith("."):
                    with suppress(OSError):
                        (Path(folder) / name).unlink()

    def totals(self, blocks: Iterable[int]) -> Totals:
        """Add up what is said of finished blocks."""
        images = problems = regions = 0
        error = 0.0
        listed: list[str] = []
        for said in self._said(blocks):
            images += int(said["images"])
            problems += int(said["problems"])
            regions += int(said["regions"])
            error = max(error, float(said["completeness_error"]))
            listed += said["listed"][: _LISTED - len(listed)]
        return Totals(images, problems, tuple(listed), regions, error)

    def _said(self, blocks: Iterable[int]) -> Iterator[dict[str, Any]]:
        for block in blocks:
            said = self.facts(block)
            if said is not None:
                yield said

    def finish(self) -> Totals:
        """Write the counts, once every block is there.

        Raises:
            InputError: A block is missing, or the folder cannot be written.
        """
        totals = self.totals(range(self.job.blocks))
        if totals.images != self.job.images:
            raise InputError(
                f"{self.folder}: holds {totals.images} of {self.job.images} images after all were "
                "scored; give an --out that every machine writes to, and run the command again."
            )
        self.tidy()
        if self.job.settings.maps:
            self._describe_maps(totals.completeness_error)
        values = {
            "job": self._job_digest,
            "images": totals.images,
            "scored": totals.images - totals.problems,
            "problems": totals.problems,
            "regions": totals.regions,
            "completeness_error": totals.completeness_error,
        }
        write_atomically(self.folder / SUMMARY, json.dumps(values, indent=1) + "\n")
        return totals

    def _mark(self, block: int) -> Path:
        return self.folder / "blocks" / f"{block:06d}.json"


def check_folder(folder: Path) -> bool:
    """Check that results may be written to a folder.

    Args:
        folder: The folder; it need not exist.

    Returns:
        Whether it holds results already.

    Raises:
        InputError: It is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, not a folder; choose another --out.")
    if not folder.is_dir():
        return False
    if (folder / JOB_FILE).is_file():
        return True
    # A process that was killed before it had written the first file left no more than these.
    begun = {"images", "blocks", "regions", "evidence.zarr", lock_name(COMMAND)}
    others = [
        entry.name
        for entry in folder.iterdir()
        if entry.name not in begun and not entry.name.startswith(f".{JOB_FILE}.")
    ]
    if others:
        raise InputError(
            f"{folder}: holds other files ({sorted(others)[0]}) and no scores; choose another "
            "--out."
        )
    return False


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); choose an --out that is writable and "
            "has room."
        ) from error


def _sum_of(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()
