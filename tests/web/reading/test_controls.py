"""All of the page is reached and worked by keyboard, and told to those who cannot see it."""

from __future__ import annotations

import pytest

from softcam.explanation.explain import explain
from tests.web import browsing
from tests.web.conftest import Blocks


def test_all_of_it_works_by_keyboard(reader, image):
    press = reader.page.keyboard.press
    press("n")
    reader.wait_for_answer("a.png")
    press("1")
    assert reader.page.is_checked("input[value=plain]")
    press("2")
    press("c")
    assert reader.page.is_checked("input[name=kind][value=contrast]")
    press("c")
    reader.page.focus("#canvas-a")
    press("ArrowRight")
    expected = explain(Blocks(), image).map("bright")
    seen = set()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowUp", "ArrowDown", "ArrowLeft"):
        press(key)
        place = reader.page.inner_text("#readout-a").split("x, y ")[1]
        x, y = (int(part.split()[0]) for part in place.split(",")[:2])
        seen.add((x, y))
        assert reader.value() == pytest.approx(expected[y, x], abs=1e-7)
    assert len(seen) >= 4
    reader.page.wait_for_function(
        "() => document.getElementById('announcer').textContent.includes('evidence')"
    )
    press("Escape")
    assert reader.value() is None
    press("o")
    assert not reader.page.is_checked("#show-overlay")
    press(".")
    assert reader.page.inner_text("#threshold-value") != "auto"
    before = reader.page.inner_text("#zoom")
    press("+")
    assert reader.page.inner_text("#zoom") != before
    press("0")
    assert reader.page.inner_text("#zoom") == before
    press("x")
    assert reader.page.is_visible("#correct")
    press("m")
    reader.page.keyboard.type("on 12 o'clock")
    assert reader.page.input_value("#comment") == "on 12 o'clock"
    assert reader.page.is_checked("input[value=bright][name=class]")
    press("Control+Enter")
    reader.page.wait_for_selector("#case-state:has-text('Saved')")
    reader.page.focus("#canvas-a")
    press("?")
    assert reader.page.is_visible("#help-dialog")
    press("Escape")
    press("n")
    reader.wait_for_answer("b.png")


def test_every_control_is_reached_by_tab_and_shows_it(reader, upload):
    reader.open(upload)
    reader.page.evaluate("document.body.focus()")
    reached = []
    for _ in range(80):
        reader.page.keyboard.press("Tab")
        told = reader.page.evaluate(
            """() => {
                const at = document.activeElement;
                const ring = at.matches(".quiet, .choice input") ? at.nextElementSibling
                    ?? at.parentElement.querySelector(".button") : at;
                const shown = [ring, at.parentElement.querySelector(".button")].some((item) =>
                    item && getComputedStyle(item).outlineStyle !== "none");
                return [at.id || at.name, shown];
            }"""
        )
        if told[0]:
            reached.append(tuple(told))
    names = {name for name, _ in reached}
    assert {
        *("model", "compare", "open-cases", "theme", "open-help", "files", "previous", "next"),
        *("zoom-out", "zoom-in", "fit", "actual", "canvas-a", "kind", "sign", "opacity", "range"),
        *("threshold", "show-overlay", "show-regions", "show-grey", "verdict", "comment", "reader"),
        *("case-label", "keep-image", "save", "level", "width", "report", "maps"),
    } <= names
    assert [name for name, shown in reached if not shown] == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1300, 850), (390, 844)], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(chromium, address, size, scheme):
    Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    context = chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    reader = browsing.Reader(context.new_page(), address)
    dialogs = ("#open-help", "#open-cases") if size[0] > 1000 else ()
    for prepare in (None, "#images button", "#compare", *dialogs):
        if prepare == "#compare":
            reader.page.select_option("#compare", "dim")
            reader.page.wait_for_selector("#listed")
        elif prepare:
            reader.page.click(f"{prepare} >> nth=0")
        if prepare:
            reader.page.wait_for_timeout(400)
        found = Axe().run(reader.page).response["violations"]
        told = [
            (item["id"], [node["html"] for node in item["nodes"]])
            for item in found
            if item["impact"] in ("serious", "critical")
        ]
        assert told == [], prepare
        if prepare in ("#open-help", "#open-cases"):
            reader.page.keyboard.press("Escape")
    wide = reader.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0], "the page is wider than the screen"
    context.close()
