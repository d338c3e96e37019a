"""The page in a browser, with two models and a folder of two images."""

from __future__ import annotations

import pytest

from softcam.web.models import serve_predictor
from tests.web import browsing
from tests.web.conftest import LIMITS, Blocks, png


class Dimmer(Blocks):
    """A second opinion: half of the evidence."""

    def predict(self, batch):
        logits, evidence = super().predict(batch)
        return 0.5 * logits, 0.5 * evidence


@pytest.fixture(scope="package")
def chromium():
    browsing.needs_browser()
    with browsing.browser() as started:
        yield started


@pytest.fixture(scope="package")
def home(tmp_path_factory, image):
    """A folder with two images, one of them annotated."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.png").write_bytes(png(image))
    (folder / "b.png").write_bytes(png(image[:, ::-1].copy()))
    (folder / "table.csv").write_text("image,label\na.png,1\nb.png,0\n")
    (folder / "boxes.csv").write_text("image,x,y,width,height,finding\na.png,68,18,24,14,spot\n")
    return folder


@pytest.fixture(scope="package")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "cases.db"


@pytest.fixture(scope="package")
def address(chromium, home, log):
    models = (serve_predictor("blocks", Blocks(), "abc"), serve_predictor("dim", Dimmer(), "def"))
    with browsing.served(*models, folder=home, cases=log, limits=LIMITS) as url:
        yield url


@pytest.fixture(scope="package")
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
