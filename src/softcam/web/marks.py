"""What is annotated in the images of the folder, as outlines to draw."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path as FilePath
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path

from softcam.data.records import Table
from softcam.data.shapes import Box, Polygon
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.explanation.outline import trace
from softcam.web.folder import Folder
from softcam.web.problems import problems
from softcam.web.refusals import Refusal
from softcam.web.schemas import FindingOut, MarksOut

_TABLE = "table.csv"


class Marks:
    """The annotations of a table's images.

    Args:
        table: The table, with its annotations.
    """

    def __init__(self, table: Table) -> None:
        self._annotations = table.annotations
        self._names = {os.path.realpath(record.image): record.name for record in table.records}
        self._lock = threading.Lock()

    def findings(self, path: FilePath) -> list[FindingOut]:
        """Outline what is annotated in an image.

        Args:
            path: The image's file.

        Returns:
            One entry for each annotated finding; none for an image that the table has not.

        Raises:
            InputError: A mask cannot be read.
        """
        name = self._names.get(os.path.realpath(path))
        if name is None or self._annotations is None:
            return []
        outlines: dict[str, list[list[tuple[float, float]]]] = {}
        with self._lock:  # masks are large: one image at a time
            for finding, region in self._annotations.regions(name):
                outlines.setdefault(finding, []).extend(_outline(region))
        return [FindingOut(finding=name, outline=loops) for name, loops in outlines.items()]


def find_marks(folder: FilePath | None, table: FilePath | None) -> Marks | None:
    """Read the annotations of the images that are served.

    Args:
        folder: The folder of images; a `table.csv` there, or beside it, is found by itself.
        table: The table, if it lies elsewhere.

    Returns:
        The annotations, or None where there are none.

    Raises:
        InputError: The table that was named, or an annotation beside it, cannot be used.
    """
    if table is not None:
        return Marks(read_table(table, require_labels=False))
    if folder is None:
        return None
    for home in (folder, folder.resolve().parent):
        if (home / _TABLE).is_file():
            try:
                return Marks(read_table(home / _TABLE, require_labels=False))
            except InputError:
                return None  # it was not asked for, and may be about something else
    return None


def marks_routes(folder: Folder | None, marks: Marks | None) -> APIRouter:
    """Give the routes."""
    router = APIRouter(tags=["folder"])

    @router.get(
        "/v1/folder/{id}/annotation",
        summary="What is annotated in an image of the folder",
        responses=problems(401, 404),
    )
    async def annotation(
        id_: Annotated[str, Path(alias="id", max_length=64, description="An id of /v1/folder.")],
    ) -> MarksOut:
        if folder is None:
            raise Refusal(404, "no_folder", "The server was started without --folder.")
        entry = await asyncio.to_thread(folder.entry, id_)
        if marks is None:
            return MarksOut(findings=[])
        try:
            return MarksOut(findings=await asyncio.to_thread(marks.findings, entry.path))
        except InputError:
            # The sentence names files of the server.
            raise Refusal(
                422, "bad_annotation", "The annotation cannot be read; check the table."
            ) from None

    return router


def _outline(region: Box | Polygon | np.ndarray) -> list[list[tuple[float, float]]]:
    if isinstance(region, Box):
        return [list(region.corners().points)]
    if isinstance(region, Polygon):
        return [list(region.points)]
    return [[(float(x), float(y)) for x, y in loop.tolist()] for loop in trace(region)]
