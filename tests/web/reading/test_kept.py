"""What is kept of a reading, what is not, and where."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from tests.web import browsing
from tests.web.conftest import LIMITS


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
