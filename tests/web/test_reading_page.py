"""The page in a browser: what a reader does there, against what `explain` says."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from softcam.explanation.explain import explain
from softcam.web.models import serve_predictor
from tests.data import dicoms
from tests.web import browsing
from tests.web.conftest import LIMITS, Blocks, png


class Dimmer(Blocks):
    """A second opinion: half of the evidence."""

    def predict(self, batch):
        logits, evidence = super().predict(batch)
        return 0.5 * logits, 0.5 * evidence


@pytest.fixture(scope="module")
def chromium():
    browsing.needs_browser()
    with browsing.browser() as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory, image):
    """A folder with two images, one of them annotated."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.png").write_bytes(png(image))
    (folder / "b.png").write_bytes(png(image[:, ::-1].copy()))
    (folder / "table.csv").write_text("image,label\na.png,1\nb.png,0\n")
    (folder / "boxes.csv").write_text("image,x,y,width,height,finding\na.png,68,18,24,14,spot\n")
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "cases.db"


@pytest.fixture(scope="module")
def address(chromium, home, log):
    models = (serve_predictor("blocks", Blocks(), "abc"), serve_predictor("dim", Dimmer(), "def"))
    with browsing.served(*models, folder=home, cases=log, limits=LIMITS) as url:
        yield url


@pytest.fixture(scope="module")
def sitting(chromium, address):
    """One window for all tests that need no window of their own, which saves seconds on each."""
    context = chromium.new_context(viewport={"width": 1300, "height": 850})
    yield browsing.Reader(context.new_page(), address)
    context.close()


@pytest.fixture
def reader(sitting):
    sitting.start()
    yield sitting
    problems, elsewhere = sitting.problems[:], sitting.elsewhere[:]
    sitting.problems.clear()
    sitting.elsewhere.clear()
    assert problems == []
    assert elsewhere == []


@pytest.fixture
def upload(tmp_path, image):
    path = tmp_path / "upload.png"
    path.write_bytes(png(image))
    return path


def test_the_value_under_the_pointer_is_the_maps(reader, upload, image):
    reader.open(upload)
    expected = explain(Blocks(), image).map("bright")
    for x, y in ((0, 0), (99, 59), (75, 25), (69, 19), (70, 20), (12, 47)):
        assert reader.point(x, y) == pytest.approx(expected[y, x], abs=1e-7)
    assert f"evidence {expected[47, 12]:+.4f}" in reader.page.inner_text("#readout-a")


def test_every_class_is_shown_by_its_own_evidence_and_its_contrast(reader, upload, image):
    reader.open(upload)
    expected = explain(Blocks(), image)
    for name in ("plain", "bright"):
        reader.page.check(f"input[name=class][value={name}]")
        for kind, contrast in (("contrast", True), ("own", False)):
            reader.page.check(f"input[name=kind][value={kind}]", force=True)
            shown = reader.point(75, 25)
            assert shown == pytest.approx(expected.map(name, contrast=contrast)[25, 75], abs=1e-7)
            assert f"for {name}" in reader.page.inner_text("#legend-text-a")


def test_regions_are_those_of_explain_and_follow_the_threshold(reader, upload, image):
    reader.open(upload)
    reader.page.check("input[name=sign][value=for]", force=True)
    expected = explain(Blocks(), image).regions("bright")
    assert reader.contributions() == pytest.approx([r.contribution for r in expected], abs=1e-9)
    share = reader.page.inner_text("#regions li >> nth=0")
    assert f"{expected[0].share:.0%}".replace("%", " %") in share
    reader.page.fill("#threshold", "20")
    limit = explain(Blocks(), image).limit()
    lower = explain(Blocks(), image, threshold=0.2 * limit).regions("bright")
    assert reader.contributions() == pytest.approx([r.contribution for r in lower], abs=1e-9)
    assert reader.contributions()[0] > expected[0].contribution
    assert f"≥ {0.2 * limit:.2f}" in reader.page.inner_text("#threshold-value")
    reader.page.click("#threshold-auto")
    assert len(reader.contributions()) == len(expected)


def test_a_click_on_a_region_centres_its_strongest_cell(reader, upload, image):
    reader.open(upload)
    peak = explain(Blocks(), image).regions("bright")[0]
    reader.page.click("#regions button >> nth=0")
    assert reader.value() == pytest.approx(peak.peak, abs=1e-7)
    x, y = peak.peak_xy
    assert f"x, y {int(x)}, {int(y)}" in reader.page.inner_text("#readout-a")


def test_the_answer_has_probabilities_thresholds_and_the_call(reader, upload, image):
    reader.open(upload)
    expected = explain(Blocks(), image)
    rows = [row.inner_text() for row in reader.page.locator("#classes tr").all()]
    assert f"{expected.probabilities[1]:.3f}" in rows[1]
    assert "0.6" in rows[1]
    assert reader.page.inner_text("#called") == expected.predicted[0]
    assert "not a diagnosis" in reader.page.inner_text(".notice")


def test_two_models_stand_side_by_side_under_one_pointer(reader, upload, image):
    reader.open(upload)
    reader.page.select_option("#compare", "dim")
    reader.page.wait_for_selector("#pane-b:not([hidden])")
    expected = explain(Blocks(), image).map("bright")
    assert reader.point(75, 25) == pytest.approx(expected[25, 75], abs=1e-7)
    assert reader.value("b") == pytest.approx(0.5 * expected[25, 75], abs=1e-7)
    assert "dim" in reader.page.inner_text("#title-b")
    reader.page.select_option("#compare", "")
    reader.page.wait_for_selector("#pane-b", state="hidden")


def test_the_regions_of_either_model_are_listed(reader, upload, image):
    reader.open(upload)
    reader.page.check("input[name=sign][value=for]", force=True)
    assert not reader.page.is_visible("#listed")
    reader.page.select_option("#compare", "dim")
    reader.page.wait_for_selector("#listed")
    a, b = (explain(model, image) for model in (Blocks(), Dimmer()))
    regions = [[r.contribution for r in told.regions("bright")] for told in (a, b)]
    assert regions[0] != pytest.approx(regions[1])
    assert reader.contributions() == pytest.approx(regions[0], abs=1e-9)
    reader.page.check("input[name=listed][value=b]", force=True)
    assert reader.contributions() == pytest.approx(regions[1], abs=1e-9)
    assert reader.page.inner_text("#listed-b") == "B dim"
    label = reader.page.locator("#regions button >> nth=0").get_attribute("aria-label")
    assert label.startswith("B, region 1: ")
    # The slider ends where the colours of the model do whose regions are listed.
    reader.page.fill("#threshold", "20")
    lower = explain(Dimmer(), image, threshold=0.2 * b.limit()).regions("bright")
    assert reader.contributions() == pytest.approx([r.contribution for r in lower], abs=1e-9)
    reader.page.click("#regions button >> nth=0")
    assert reader.value("b") == pytest.approx(lower[0].peak, abs=1e-7)
    reader.page.focus("#canvas-a")
    reader.page.keyboard.press("b")
    same = explain(Blocks(), image, threshold=0.2 * b.limit()).regions("bright")
    assert reader.contributions() == pytest.approx([r.contribution for r in same], abs=1e-9)
    assert "blocks, A" in reader.page.inner_text("#announcer")
    reader.page.focus("input[name=listed][value=a]")
    reader.page.keyboard.press("ArrowRight")
    assert reader.page.is_checked("input[name=listed][value=b]")
    assert reader.contributions() == pytest.approx([r.contribution for r in lower], abs=1e-9)
    reader.page.select_option("#compare", "")
    reader.page.wait_for_selector("#listed", state="hidden")
    assert reader.contributions() == pytest.approx([r.contribution for r in same], abs=1e-9)


def test_the_pictures_pixels_and_colours_are_where_they_belong(reader, upload, image):
    """The screen itself: orange where evidence is, the image's grey where the overlay is off."""
    reader.open(upload)
    reader.page.uncheck("#show-regions")

    def colour(x: int, y: int) -> list[int]:
        reader.point(x, y)
        reader.page.mouse.move(2, 2)
        return reader.page.evaluate(
            """([x, y]) => new Promise((resolve) => requestAnimationFrame(() => {
                const canvas = document.getElementById("canvas-a");
                const scale = Math.min(canvas.width / 100, canvas.height / 60);
                const left = Math.floor(canvas.width / 2 + (x + 0.5 - 50) * scale);
                const top = Math.floor(canvas.height / 2 + (y + 0.5 - 30) * scale);
                resolve([...canvas.getContext("2d").getImageData(left, top, 1, 1).data]);
            }))""",
            [x, y],
        )

    red, _, blue, _ = colour(78, 25)
    assert red > blue + 60
    reader.page.uncheck("#show-overlay")
    assert colour(78, 25) == [240, 240, 240, 255]
    assert colour(10, 10) == [30, 30, 30, 255]
    reader.page.evaluate("document.getElementById('level').value = 30")
    reader.page.dispatch_event("#level", "input")
    brighter = colour(10, 10)[0]
    assert brighter == pytest.approx(128, abs=2)


def test_a_dicom_is_read_in_its_own_units_and_window(reader, tmp_path):
    grey = np.full((40, 50), 1064, np.uint16)
    grey[10:20, 10:30] = 1264
    made = dicoms.dataset(grey, bits=12, WindowCenter=40, WindowWidth=400)
    made.RescaleSlope, made.RescaleIntercept, made.Modality = 1, -1024, "CT"
    path = tmp_path / "a.dcm"
    path.write_bytes(dicoms.save(made))
    reader.open(path)
    reader.point(20, 15)
    assert "240 HU" in reader.page.inner_text("#readout-a")
    assert reader.page.inner_text("#level-value") == "40 HU"
    assert reader.page.inner_text("#width-value") == "400 HU"
    reader.page.click("text=Lung")
    assert reader.page.inner_text("#level-value") == "−600 HU"


def test_a_file_of_several_frames_is_paged_through(reader, tmp_path):
    frames = np.random.default_rng(3).integers(0, 255, (3, 20, 20), np.uint8)
    path = tmp_path / "frames.dcm"
    path.write_bytes(dicoms.save(dicoms.dataset(frames, frames=3)))
    reader.open(path)
    assert reader.page.inner_text("#frames") == "of 3"
    reader.page.focus("#canvas-a")
    reader.page.keyboard.press("PageDown")
    reader.page.wait_for_function("() => document.getElementById('busy').hidden")
    reader.page.wait_for_function("() => document.getElementById('frame').value === '2'")
    expected = explain(Blocks(), np.ascontiguousarray(frames[1])).map("bright")
    reader.page.wait_for_timeout(300)
    assert reader.point(7, 3) == pytest.approx(expected[3, 7], abs=1e-7)


def test_an_annotation_of_the_folder_is_outlined_and_named(reader, image):
    reader.page.click("#images button >> text=a.png")
    reader.wait_for_answer("a.png")
    assert "spot (1)" in reader.page.inner_text("#findings-note")
    reader.point(70, 20)
    assert "annotated spot" in reader.page.inner_text("#readout-a")
    reader.point(10, 10)
    assert "annotated" not in reader.page.inner_text("#readout-a")


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


def test_a_saved_comment_survives_a_restart_of_the_server(chromium, tmp_path, upload):
    browsing.needs_browser()
    settings = {"cases": tmp_path / "cases.db", "limits": LIMITS}
    context = chromium.new_context(viewport={"width": 1300, "height": 850})
    with browsing.served(**settings) as url:
        reader = browsing.Reader(context.new_page(), url)
        reader.open(upload)
        reader.page.check("input[name=verdict][value=corrected]", force=True)
        reader.page.check("#correct input[value=plain]")
        reader.page.fill("#comment", "A reflex, <b>not</b> a lesion.")
        reader.page.fill("#reader", "AB")
        reader.page.check("#keep-image")
        reader.page.click("#save")
        reader.page.wait_for_selector("#case-state:has-text('Saved')")
        reader.page.close()
    with browsing.served(**settings) as url:
        reader = browsing.Reader(context.new_page(), url)
        reader.open(upload)
        reader.page.wait_for_selector("#case-state:has-text('by AB, with the image')")
        assert reader.page.input_value("#comment") == "A reflex, <b>not</b> a lesion."
        assert reader.page.is_checked("#correct input[value=plain]")
        reader.page.click("#open-cases")
        row = reader.page.locator("#cases tr")
        row.wait_for()
        assert "A reflex, <b>not</b> a lesion." in row.inner_text()
        with reader.page.expect_download() as caught:
            reader.page.click("#export-cases")
        text = caught.value.path().read_text("utf-8-sig")
        (told,) = csv.DictReader(io.StringIO(text))
        assert (told["verdict"], told["correct"], told["reader"]) == ("corrected", "plain", "AB")
        # The image was kept, so that the case opens without it being dropped again.
        row.locator("button", has_text="Open").click()
        reader.page.wait_for_function(
            "() => document.getElementById('case-name').textContent.startsWith('case ')"
        )
        assert reader.problems == []
    context.close()


def test_an_image_and_its_name_are_not_written_unless_it_is_asked_for(reader, log, upload):
    reader.open(upload)
    reader.page.fill("#comment", "seen without its image")
    reader.page.click("#save")
    reader.page.wait_for_selector("#case-state:has-text('Saved')")
    written = b"".join(path.read_bytes() for path in log.parent.iterdir())
    assert b"seen without its image" in written
    assert upload.read_bytes()[33:80] not in written
    assert b"upload.png" not in written


def test_the_token_is_asked_for_and_kept_in_memory_alone(chromium, upload):
    token = "t" * 24
    context = chromium.new_context()
    with browsing.served(token=token, limits=LIMITS) as url:
        page = context.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.wait_for_selector("#token-dialog[open]")
        page.fill("#token", "w" * 24)
        page.click("#token-form button")
        page.wait_for_selector("#token-note:has-text('not the token')")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-ready]")
        page.set_input_files("#files", upload)
        page.wait_for_selector("#classes tr")
        assert not any(token in address for address in asked)
        stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert token not in stored + json.dumps(context.cookies()) + page.content()
    context.close()


def test_the_report_needs_nothing_else_and_holds_the_reading(reader, upload, tmp_path, chromium):
    reader.open(upload)
    reader.page.fill("#comment", "<script>alert(1)</script>")
    reader.page.click("#save")
    reader.page.wait_for_selector("#case-state:has-text('Saved')")
    with reader.page.expect_download() as caught:
        reader.page.click("#report")
    assert caught.value.suggested_filename.endswith("-report.html")
    text = caught.value.path().read_text("utf-8")
    assert "not a diagnosis" in text
    assert "<script" not in text
    assert "data:image/png;base64," in text
    assert "upload.png" not in text
    saved = tmp_path / "report.html"
    saved.write_text(text, "utf-8")
    page = chromium.new_page()
    page.goto(saved.as_uri())
    assert "<script>alert(1)</script>" in page.inner_text("body")
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 100)")
    page.close()
    with reader.page.expect_download() as caught:
        reader.page.click("#maps")
    with np.load(caught.value.path(), allow_pickle=False) as arrays:
        assert arrays["evidence"].shape == (2, 8, 8)


def test_a_file_that_is_no_image_is_told_in_a_sentence_and_the_page_goes_on(
    reader, upload, tmp_path
):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image at all")
    reader.page.set_input_files("#files", bad)
    reader.page.wait_for_selector("#problem:has-text('is not a PNG')")
    reader.open(upload)
    assert not reader.page.is_visible("#problem")


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
