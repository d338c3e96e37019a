from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from softcam.evaluation.explanations.measures import MEASURE
from softcam.report.explanations.figures import Drawn
from softcam.report.explanations.html import LIMITATIONS, png_size, to_html
from tests.report.explanations.sample import HOSTILE, make
from tests.report.test_report import Page


@pytest.fixture(scope="module")
def result():
    return make(gallery=0)


@pytest.fixture(scope="module")
def picture():
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), "white").save(stream, format="png")
    return stream.getvalue()


@pytest.fixture(scope="module")
def html(result, picture):
    one = Drawn("a", f"Title {HOSTILE}", "A caption.", picture)
    return to_html(result, [one], [one], title=f"Title {HOSTILE}")


def test_the_page_is_whole_and_names_nothing_outside_itself(html):
    page = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not page.every("script")
    assert not page.every("link")
    kinds = ("data:image/webp;base64,", "data:image/png;base64,")
    assert all(image["src"].startswith(kinds) for image in page.every("img"))
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.every("meta"))


def test_all_text_is_escaped(html):
    assert HOSTILE not in html
    assert HOSTILE in Page(html).text


def test_conclusions_come_first_and_every_link_of_the_contents_leads_somewhere(html):
    page = Page(html)
    order = [
        "What may be concluded", "Is the answer right?", "Mean rank of each", "Is the map right?",
        "Is it the reason?", "Does it hold together?", "A caption.", "Seconds per map",
        "Cases without a value", "Methods left out", "resamples40", LIMITATIONS[-1],
    ]  # fmt: skip
    places = [page.text.index(part) for part in order]
    assert places == sorted(places)
    anchors = {tag["id"] for _, tag in page.tags if "id" in tag}
    targets = {tag["href"][1:] for tag in page.every("a")}
    assert targets
    assert targets <= anchors


def test_every_measure_is_explained_and_undefined_cells_say_so(html, result):
    text = Page(html).text
    for measure in result.measures():
        assert measure.meaning[1:] in text
    assert "n/a" in text
    assert "nan" not in re.sub(r"data:image[^\"]*", "", html).lower().replace("finance", "")


def test_pictures_say_their_size_so_that_the_page_does_not_jump(html, picture):
    assert png_size(picture) == (30, 20)
    assert {(i["width"], i["height"]) for i in Page(html).every("img")} == {("30", "20")}
    assert all(image["alt"] for image in Page(html).every("img"))


def test_without_annotations_gallery_figures_or_conclusions_the_page_still_stands(result):
    bare = make(gallery=0, annotated=False)
    page = Page(to_html(replace(bare, conclusions=(), settings={}, counts={}, answers=())))
    assert "Not measured: no lesion of an explained class is marked" in page.text
    assert "What may be concluded" not in page.text
    assert not page.every("img")
    assert "#localisation" not in {tag["href"] for tag in page.every("a")}
    assert "#gallery" not in {tag["href"] for tag in page.every("a")}


def test_forty_methods_and_all_measures_fit_one_page():
    large = make(40, keys=tuple(MEASURE), gallery=0, cases=4)
    page = Page(to_html(large))
    assert len(page.every("tr")) > 5 * 40
