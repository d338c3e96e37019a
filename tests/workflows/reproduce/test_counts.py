"""Images are counted before the import as the import takes them."""

from __future__ import annotations

from collections import Counter

import pytest

from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.workflows.import_data import import_data
from softcam.workflows.reproduce.counts import counted
from softcam.workflows.reproduce.settings import make_reproduction
from tests.workflows.reproduce.replicas import kaggle_dr, oct2017


@pytest.mark.parametrize(("name", "make"), [("kaggle-dr", kaggle_dr), ("oct2017", oct2017)])
def test_counts_are_those_of_the_import(name, make, tmp_path):
    data = make(tmp_path / "download", 12)
    settings = make_reproduction({"data_set": name, "data": data, "out": tmp_path / "out"})
    found = counted(settings)
    assert list(found) == [task.name for task in settings.about.tasks]
    for task, counts in found.items():
        folder = tmp_path / task
        import_data(name, data, folder, task=task, size=32, jobs=1, check=False)
        assert counts == Counter(record.split for record in read_table(folder).records)


def test_a_download_that_is_not_there_is_named(tmp_path):
    given = {"data_set": "kaggle-dr", "data": tmp_path / "x", "out": tmp_path / "out"}
    with pytest.raises(InputError, match="x does not exist; name the download"):
        counted(make_reproduction(given))
