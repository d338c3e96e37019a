from __future__ import annotations

import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.result import LocalisationRow, Metrics
from softcam.evidence.info import Task
from softcam.report.content import CaseFigure, CaseSection, DataDescription
from softcam.report.report import build_report, render_report
from tests.report.sample import make

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects tags and checks that every one is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.title = [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def every(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def whole():
    return make(cases=1)


@pytest.fixture(scope="module")
def html(whole):
    return render_report(whole, resamples=20)


@pytest.mark.parametrize(("task", "twin"), [(t, t is not Task.ORDINAL) for t in Task])
def test_every_task_gives_a_well_formed_page(task, twin):
    page = Page(render_report(make(task, twin=twin, cases=0, resamples=10), resamples=10))
    assert ("Black-box twin" in page.text) == twin
    assert ("Quadratic kappa" in page.text) == (task is Task.ORDINAL)
    assert ("Each class against the rest" in page.text) == (task is not Task.BINARY)


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(html):
    decoded = html
    for kind, code in re.findall(r"data:image/([\w+]+);base64,([\w+/=]+)", html):
        if kind == "svg+xml":
            decoded += base64.b64decode(code).decode()
    page = Page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/"))
    assert "url(" not in re.sub(r"url\(#\w+\)", "", decoded)
    assert "@import" not in decoded
    # The addresses of the SVG's name spaces are names: nothing is fetched from them.
    addresses = set(re.findall(r"https?://[^\s\"'<]+", decoded))
    assert addresses <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    policy = next(a for a in page.every("meta") if "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'; img-src data:")


def test_the_page_can_be_read_on_a_phone_and_by_a_screen_reader(html):
    page = Page(html)
    assert page.every("html")[0]["lang"] == "en"
    assert any(a.get("name") == "viewport" for a in page.every("meta"))
    images = page.every("img")
    assert len(images) == 4 + 5
    assert all(len(image["alt"]) > 20 for image in images)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    # Every table stands in a box that scrolls, and every link leads somewhere.
    for position, (tag, _) in enumerate(page.tags):
        if tag == "table":
            assert "scroll" in page.tags[position - 1][1]["class"]
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert all(link["href"].removeprefix("#") in ids for link in page.every("a"))


def test_the_page_shows_the_numbers_with_their_intervals(whole, html):
    text = Page(html).text
    for interval in whole.metrics.classification.intervals.values():
        assert f"{interval.value:.3f} {interval.low:.3f} to {interval.high:.3f}" in text
    for row in whole.metrics.localisation:
        assert row.method in text
    for words in (
        "160 images, 80 patients, 1 skipped rows.",
        "Metrics are of the class lesion, called from 0.5 up.",
        "no patient is behind them",
        "distractor",
        "resnet18",
        "softcam demo",
        "Nothing here is a diagnosis.",
    ):
        assert words in text


def test_the_gallery_shows_each_case_under_its_rule(whole, html):
    text = Page(html).text
    for section in whole.cases:
        assert section.rule in text
        for case in section.figures:
            assert case.title in text
            assert base64.b64encode(case.png).decode() in html
    cases = [case for section in whole.cases for case in section.figures]
    right = sum(case.true_label == case.predicted for case in cases)
    assert 2 <= right <= 3
    assert html.count('class="verdict right"') == right
    assert html.count('class="verdict wrong"') == len(cases) - right


def test_text_from_outside_is_escaped(whole):
    nasty = "<script>alert('x')</script>&"
    case = CaseFigure(nasty, nasty, nasty, 0.5, b"png", nasty, nasty)
    data = replace(
        whole,
        title=nasty,
        summary=[nasty],
        data=DataDescription([nasty], [], [], [nasty]),
        training={nasty: nasty},
        provenance={nasty: nasty},
        limitations=[nasty],
        cases=[CaseSection(nasty, nasty, [case])],
        metrics=replace(whole.metrics, settings={nasty: nasty}, counts={nasty: 1}),
    )
    html = render_report(data, resamples=10)
    assert "<script" not in html
    assert nasty in Page(html).text


def test_what_is_undefined_says_so(whole):
    nan = math.nan
    nothing = Interval(nan, nan, nan, 0, 50)
    no_range = Interval(0.5, nan, nan, 3, 50)
    found = whole.metrics.classification
    metrics = Metrics(
        replace(found, intervals=dict.fromkeys(found.intervals, nothing) | {"auc": no_range}),
        localisation=(LocalisationRow("SoftCAM", "own", 0, {"pointing_game": nothing}),),
    )
    text = Page(render_report(replace(whole, metrics=metrics, cases=[]), resamples=10)).text
    assert "0.500 no interval" in text
    assert "n/a" in text
    assert not re.search(r"\bnan\b", text.lower())


def test_an_empty_section_says_that_no_image_fits(whole):
    data = replace(whole, cases=[CaseSection("Wrongly called ill", "The highest of them.")])
    text = Page(render_report(data, resamples=10)).text
    assert "The highest of them. No image of this table fits." in text


def test_a_report_of_a_model_alone_needs_no_more(whole):
    bare = replace(
        whole,
        summary=[],
        data=DataDescription(),
        training={},
        history=[],
        twin_history=[],
        metrics=Metrics(whole.metrics.classification),
        predictions=None,
        cases=[],
        provenance={},
    )
    page = Page(render_report(bare))
    assert "No training history was kept" in page.text
    assert page.every("img") == []
    assert all(link["href"] not in ("#cases", "#explanation") for link in page.every("a"))


def test_the_same_data_give_the_same_file(whole, tmp_path):
    first = build_report(tmp_path / "a.html", whole, resamples=20)
    second = build_report(tmp_path / "b.html", whole, resamples=20)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_folder_that_is_missing_is_named(whole, tmp_path):
    with pytest.raises(InputError, match="cannot write here"):
        build_report(tmp_path / "no" / "report.html", replace(whole, predictions=None, history=[]))
