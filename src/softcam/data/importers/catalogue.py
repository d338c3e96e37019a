"""The data sets that can be imported, by name."""

from __future__ import annotations

from softcam.data.importers.classfolders import FOLDER
from softcam.data.importers.csvtable import CSV
from softcam.data.importers.kaggle_dr import KAGGLE_DR
from softcam.data.importers.oct2017 import OCT2017
from softcam.data.importers.plan import Importer
from softcam.data.importers.rsna_pneumonia import RSNA_PNEUMONIA
from softcam.errors import InputError

IMPORTERS: dict[str, Importer] = {
    importer.name: importer for importer in (KAGGLE_DR, OCT2017, RSNA_PNEUMONIA, FOLDER, CSV)
}


def find_importer(name: str, task: str | None) -> tuple[Importer, str]:
    """Find an importer and the task to import for.

    Args:
        name: The data set.
        task: One of its tasks; its first if None.

    Raises:
        InputError: There is no such data set or task.
    """
    if name not in IMPORTERS:
        raise InputError(f"import: there is no data set {name!r}; use {', '.join(IMPORTERS)}.")
    importer = IMPORTERS[name]
    if task is not None and task not in importer.tasks:
        raise InputError(f"import: {name} has no task {task!r}; use {', '.join(importer.tasks)}.")
    return importer, task or importer.tasks[0]
