import json

import pytest

from softcam.errors import InputError
from softcam.report.sweep.write import to_html, to_json, write_sweep
from tests.report.sweep.sample import result


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, write_sweep(result(), folder)


def test_the_folder_holds_what_it_promises_and_the_json_comes_last(written):
    folder, paths = written
    names = [path.relative_to(folder).as_posix() for path in paths]
    assert set(names) == {
        *(f"figures/{key}.{s}" for key in ("penalties", "tradeoff") for s in ("png", "svg", "pdf")),
        "table.csv", "runs.csv", "table.md", "table.tex", "sweep.html", "sweep.json",
    }  # fmt: skip
    assert names[-1] == "sweep.json"


def test_the_json_is_strict_and_says_what_was_chosen(written):
    def refuse(value):
        raise AssertionError(value)

    values = json.loads((written[0] / "sweep.json").read_text(), parse_constant=refuse)
    assert values["chosen"] == "l1-1" and values["seed"] == 1
    rows = {row["name"]: row for row in values["rows"]}
    assert rows["deep"]["val"]["auc"]["mean"]["value"] is None
    assert rows["dense"]["val"]["auc"]["sd_over_seeds"] == pytest.approx(0.1)


def test_the_page_asks_the_network_for_nothing_and_escapes_text(written):
    page = (written[0] / "sweep.html").read_text()
    assert "The rule &lt;in words&gt; &amp; 50 %." in page
    assert "<script" not in page and "http://" not in page and "https://" not in page
    assert page.count("data:image/png;base64,") == 2
    assert "Chosen: l1-1, seed 1" in page


def test_the_page_says_plainly_that_nothing_qualified_or_was_chosen():
    none = to_html(result(qualified=False), [], title="t")
    assert "No recipe qualified; closest: l1-1" in none
    rows = tuple(row for row in result().rows if not row.chosen)
    nothing = result(rows=rows, seed=None, rule="", why="Nothing was chosen: why.")
    assert "<h2>Nothing was chosen</h2>" in to_html(nothing, [], title="t")
    failed = to_html(result(failures=("wild, seed 0: training diverged.",)), [], title="t")
    assert "Failed: wild, seed 0" in failed


def test_a_choice_by_annotations_is_labelled():
    page = to_html(result(select_by="localisation"), [], title="t")
    assert "The choice used annotations" in page
    assert "The choice used annotations" not in to_html(result(), [], title="t")


def test_json_without_a_choice():
    rows = tuple(row for row in result().rows if not row.chosen)
    assert to_json(result(rows=rows, seed=None))["chosen"] is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(InputError, match="figures"):
        write_sweep(result(), tmp_path)
