"""Read the scores of a table: rows and maps, each when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.resample import Interpolation
from softcam.errors import InputError
from softcam.workflows.scores import extra
from softcam.workflows.scores.job import Job
from softcam.workflows.scores.maps import open_maps
from softcam.workflows.scores.names import Names
from softcam.workflows.scores.scorer import part_name
from softcam.workflows.scores.store import ScoreStore


@dataclass(frozen=True)
class ScoredImage:
    """An image of a scored table.

    Attributes:
        values: Its row, by column.
        evidence: Shape (K, h, w), in logit units; NaN if it could not be scored, None if no maps
            were kept.
        names: The model's classes.
    """

    values: dict[str, Any]
    evidence: npt.NDArray[np.float32] | None
    names: Names

    @property
    def geometry(self) -> Geometry:
        """From file pixels to the model's input and back.

        Raises:
            InputError: The image could not be read.
        """
        if self.values["geometry"] is None:
            raise InputError(f"{self.values['image']}: was not scored ({self.values['problem']})")
        return Geometry.from_dict(json.loads(self.values["geometry"]))

    def class_evidence(self, class_: str, *, contrast: bool = False) -> npt.NDArray[np.float32]:
        """Give a class's map at the evidence's own resolution, shape (h, w), in logit units.

        Args:
            class_: The class.
            contrast: The class against the others instead of its own evidence.

        Raises:
            InputError: No maps were kept, or the model has no such class.
        """
        if self.evidence is None:
            raise InputError("these scores hold no maps; make them with --maps.")
        if class_ not in self.names.classes:
            raise InputError(
                f"The model has no class {class_!r}; its classes are "
                f"{', '.join(self.names.classes)}."
            )
        maps = self.names.maps(self.evidence, contrast=contrast)
        return np.asarray(maps[self.names.classes.index(class_)], dtype=np.float32)

    def map(
        self,
        class_: str,
        *,
        contrast: bool = False,
        interpolation: Interpolation = "nearest",
        outside: float = 0.0,
    ) -> npt.NDArray[np.float32]:
        """Lay a class's evidence on the image, as `Explanation.map`.

        Returns:
            Evidence at every file pixel, shape (H, W), in logit units.

        Raises:
            InputError: As `class_evidence`, or the image could not be read.
        """
        values = self.class_evidence(class_, contrast=contrast)
        return self.geometry.map_to_file(values, interpolation=interpolation, outside=outside)


@dataclass(frozen=True)
class Scores:
    """The scores of a table; nothing but what they belong to is in memory.

    Attributes:
        folder: Where they are.
        job: Model, table and settings that they belong to.
    """

    folder: Path
    job: Job

    def __len__(self) -> int:
        """Number of images of the table."""
        return self.job.images

    @property
    def classes(self) -> tuple[str, ...]:
        """C class names."""
        return self.job.names.classes

    @property
    def finished(self) -> bool:
        """Whether every image was scored, or could not be."""
        return self._store.finished

    @cached_property
    def _store(self) -> ScoreStore:
        return ScoreStore(self.folder, self.job)

    @cached_property
    def evidence(self) -> Any:
        """A zarr array (N, K, h, w), float32 in logit units, read as it is indexed.

        An image that could not be scored, or not yet, is NaN. None if no maps were kept.
        """
        return open_maps(self.folder) if self.job.settings.maps else None

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Go through the images of the blocks that are there, in the table's order.

        Args:
            columns: The columns to read; all if None.

        Yields:
            The values of an image by column.
        """
        yield from self._rows("images", columns)

    def regions(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Go through the evidence regions, in the table's order; none if none were asked for."""
        if self.job.settings.regions:
            yield from self._rows("regions", columns)

    def problems(self) -> Iterator[dict[str, Any]]:
        """Go through the images that could not be scored: index, row, image, status, problem."""
        for row in self.rows(("index", "row", "image", "status", "problem")):
            if row["problem"] is not None:
                yield row

    def __getitem__(self, index: int) -> ScoredImage:
        """Read one image with its maps.

        Args:
            index: Its position in the table.

        Raises:
            IndexError: The table has no such image.
            InputError: It has not been scored yet.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the table has {len(self)} images, and no {index}")
        block, place = divmod(index, self.job.settings.block)
        if self._store.facts(block) is None:
            raise InputError(f"{self.folder}: image {index} is not scored yet; finish the work.")
        with self._open("images", block) as part:
            values = part.read().slice(place, 1).to_pylist()[0]
        maps = None if self.evidence is None else np.asarray(self.evidence[index])
        return ScoredImage(values, maps, self.job.names)

    def __iter__(self) -> Iterator[ScoredImage]:
        """Go through the images with their maps, a block at a time."""
        for block in range(self.job.blocks):
            if self._store.facts(block) is None:
                continue
            with self._open("images", block) as part:
                rows = part.read().to_pylist()
            span = self.job.rows_of(block)
            maps = None if self.evidence is None else self.evidence[span.start : span.stop]
            for place, values in enumerate(rows):
                yield ScoredImage(values, None if maps is None else maps[place], self.job.names)

    def _rows(self, kind: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        wanted = None if columns is None else list(columns)
        for block in range(self.job.blocks):
            if self._store.facts(block) is not None:
                with self._open(kind, block) as part:
                    yield from part.read(columns=wanted).to_pylist()

    def _open(self, kind: str, block: int) -> Any:
        pa = extra.pyarrow()
        import pyarrow.parquet as pq

        path = self.folder / part_name(kind, block)
        try:
            return pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"{path}: is missing or damaged; run the command that made it again."
            ) from error


def read_scores(folder: Path | str) -> Scores:
    """Open what `softcam predict`, or `softcam explain` on a table, has written.

    Args:
        folder: Its --out; the work need not be finished.

    Returns:
        The scores.

    Raises:
        InputError: The folder holds none, or damaged ones.
        MissingExtraError: The extra `scores` is not installed.

    Example:
        >>> scores = read_scores("scores")                            # doctest: +SKIP
        >>> for row in scores.rows(["image", "prob_DME"]): ...        # doctest: +SKIP
        >>> scores[12].map("DME")                                     # doctest: +SKIP
    """
    path = Path(folder)
    job = Job.read(path)
    extra.pyarrow()
    if job.settings.maps:
        extra.zarr()
    return Scores(path, job)
