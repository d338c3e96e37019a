from softcam.report.page import render_page


def test_every_page_forbids_the_network_and_escapes_what_it_is_given():
    page = render_page("head.html", ("report.css", "explanations/page.css"), {}, title="<b>&")
    assert page.startswith("<!DOCTYPE html>")
    assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in page
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert page.count("<style>") == page.count("</style>") == 1
