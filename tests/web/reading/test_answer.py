"""What a reader sees of an answer, against what `explain` says."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.explanation.explain import explain
from tests.data import dicoms
from tests.web.conftest import Blocks
from tests.web.reading.conftest import Dimmer


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


def test_a_file_that_is_no_image_is_told_in_a_sentence_and_the_page_goes_on(
    reader, upload, tmp_path
):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image at all")
    reader.page.set_input_files("#files", bad)
    reader.page.wait_for_selector("#problem:has-text('is not a PNG')")
    reader.open(upload)
    assert not reader.page.is_visible("#problem")
