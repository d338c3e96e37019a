"""How many images each task has, counted in the download before anything is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from softcam.data.importers.catalogue import find_importer
from softcam.data.importers.splits import make_splits, take_splits
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.workflows.reproduce.imports import imported_mark
from softcam.workflows.reproduce.plan import data_folder
from softcam.workflows.reproduce.settings import ReproduceConfig

Counts = Mapping[str, int]
"""Split to number of images."""


def counted(settings: ReproduceConfig) -> dict[str, Counts]:
    """Count the images of each task and split, by the names of files and the download's tables.

    Images that turn out to be damaged are in the count. What was imported before is counted there
    and needs no download any more.

    Args:
        settings: The reproduction.

    Returns:
        Task to split ("train", "val", "test") to number.

    Raises:
        InputError: If the download is none of this data set.
        MissingExtraError: If pydicom is missing, for rsna-pneumonia.
    """
    found: dict[str, Counts] = {}
    for task in settings.wanted_tasks():
        if imported_mark(settings, task).is_file():
            records = read_table(data_folder(settings, task)).records
            found[task] = _all_splits(Counter(record.split or "" for record in records))
            continue
        if not settings.data.exists():
            raise InputError(f"{settings.data} does not exist; name the download with --data.")
        importer, _ = find_importer(settings.data_set, task)
        plan = importer.plan(settings.data, task)
        given = take_splits(plan, settings.splits, resplit=settings.resplit)
        items = plan.items if given else make_splits(plan.items, seed=0)
        counts = Counter(item.split for item in items)
        if not items:
            raise InputError(f"{settings.data} holds no image of {settings.data_set}.")
        found[task] = _all_splits(counts)
    return found


def _all_splits(counts: Counts) -> Counts:
    return {split: counts.get(split, 0) for split in ("train", "val", "test")}
