"""The folder's files: whole, strict, and a page that asks the network for nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from softcam.errors import InputError
from softcam.report.reproduction.figures import draw_figures
from softcam.report.reproduction.write import RESULT, write_reproduction
from tests.report.reproduction.sample import reproduction


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return folder, write_reproduction(reproduction(seeds=2), folder)


def test_every_file_is_there_and_the_json_is_the_last(written):
    folder, paths = written
    assert paths[-1] == folder / RESULT and all(path.is_file() for path in paths)
    names = {path.relative_to(folder).as_posix() for path in paths}
    for key in ("performance", "explanations-onset1-vgg16", "curves-onset1-vgg16"):
        assert {f"figures/{key}.png", f"figures/{key}.pdf"} <= names


def test_json_is_strict_and_has_both_kinds_of_figures(written):
    folder, _ = written

    def refuse(text):
        raise AssertionError(text)

    found = json.loads((folder / RESULT).read_text("utf-8"), parse_constant=refuse)
    (part,) = found["parts"]
    assert part["measured"]["sparse"]["auc"]["mean"]["value"] == 0.77
    assert {"of": "sparse", "measure": "auc", "value": 0.938, "source": "notes"} in (
        part["published"]
    )
    assert found["cost"]["hours"] is None  # infinite
    assert [one["seed"] for one in part["explained"]] == [0, 1]


def test_the_page_escapes_and_holds_all_it_needs(written):
    page = (written[0] / "reproduction.html").read_text("utf-8")
    assert "DR &lt;onset&gt;" in page and "DR <onset>" not in page
    assert "A note &amp; more." in page and "Failed: One failed." in page
    assert "<script" not in page and 'src="data:image/png' in page
    assert "http:" not in page and "https:" not in page


def test_the_same_result_draws_the_same_files():
    first, again = draw_figures(reproduction()), draw_figures(reproduction())
    assert [one.files for one in first] == [one.files for one in again]


def test_a_part_without_models_or_maps_is_written_too(tmp_path):
    whole = reproduction()
    nothing = replace(whole.parts[0], measured={}, explained=())
    write_reproduction(replace(whole, parts=(nothing,)), tmp_path)
    assert json.loads((tmp_path / RESULT).read_text("utf-8"))["parts"][0]["explained"] == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(InputError, match="cannot write here"):
        write_reproduction(reproduction(), tmp_path)
