from __future__ import annotations

from collections import Counter

import pytest

from softcam.data.importers.oct2017 import plan
from softcam.errors import InputError
from tests.data.importers import replicas


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    return replicas.oct2017(tmp_path_factory.mktemp("oct"))


def test_two_or_four_classes(download):
    two, four = plan(download, "drusen"), plan(download, "four")
    assert two.meaning == {"task": "binary", "classes": ["NORMAL", "DRUSEN"], "positive": "DRUSEN"}
    assert four.meaning["classes"] == ["NORMAL", "CNV", "DME", "DRUSEN"]
    assert Counter(item.label for item in four.items)["CNV"] == 3
    assert {item.label for item in two.items} == {"NORMAL", "DRUSEN"}
    by_choice = [left for left in two.left_out if not left.problem]
    assert len(by_choice) == 6 == len(four.items) - len(two.items)


def test_patient_and_split_come_from_the_path(download):
    item = next(i for i in plan(download, "drusen").items if i.name == "test/NORMAL/NORMAL-3-2")
    assert (item.patient, item.split, item.label) == ("3", "test", "NORMAL")
    assert item.source == "OCT2017/test/NORMAL/NORMAL-3-2.jpeg"


def test_a_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no scans"):
        plan(tmp_path, "four")
