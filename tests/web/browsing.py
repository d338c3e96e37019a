"""A real server and a real browser, for the tests of the page."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softcam.web.models import ServedModel
from softcam.web.settings import Settings
from tests.web.live import serving

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def needs_browser() -> None:
    """Skip where there is no browser to test with."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path; on Debian: apt-get install chromium")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Start Debian's chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM)
        yield started
        started.close()


@contextlib.contextmanager
def served(*models: ServedModel, **settings: Any) -> Iterator[str]:
    """Serve on a free port; gives the address."""
    with serving(Settings(**settings), *models) as port:
        yield f"http://127.0.0.1:{port}"


class Reader:
    """Somebody at the page: what a test does there, and what it finds."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "console",
            lambda message: self.problems.append(message.text) if _is_problem(message) else None,
        )
        self.elsewhere: list[str] = []
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "blob:", "data:"))
                else self.elsewhere.append(request.url)
            ),
        )
        page.on("dialog", lambda dialog: dialog.accept())
        self.address = address
        self.start()

    def start(self) -> None:
        """Load the page anew."""
        self.page.goto(self.address)
        self.page.wait_for_selector("body[data-ready]", state="attached")

    def open(self, file: Path) -> None:
        """Pick a file."""
        self.page.set_input_files("#files", file)
        self.wait_for_answer(file.name)

    def wait_for_answer(self, name: str) -> None:
        self.page.wait_for_function(
            "name => document.getElementById('case-name').textContent === name"
            " && document.getElementById('busy').hidden",
            arg=name,
        )

    def point(self, x: float, y: float, pane: str = "a") -> float | None:
        """Move the pointer onto the middle of an image pixel; gives the value that is shown."""
        box = self.page.locator(f"#canvas-{pane}").bounding_box()
        width, height = self.image_size
        scale = min(box["width"] / width, box["height"] / height)
        left = box["x"] + box["width"] / 2 + (x + 0.5 - width / 2) * scale
        top = box["y"] + box["height"] / 2 + (y + 0.5 - height / 2) * scale
        self.page.mouse.move(left, top)
        assert f"x, y {int(x)}, {int(y)}" in self.page.inner_text(f"#readout-{pane}")
        return self.value(pane)

    def value(self, pane: str = "a") -> float | None:
        """The evidence that is shown, in full."""
        found = self.page.get_attribute(f"#readout-{pane}", "data-value")
        return None if found is None else float(found)

    @property
    def image_size(self) -> tuple[int, int]:
        text = self.page.inner_text("#facts dd >> nth=0")
        width, height = text.split(" px")[0].split(" × ")
        return int(width), int(height)

    def contributions(self) -> list[float]:
        """What the listed regions add to the logit."""
        buttons = self.page.locator("#regions button").all()
        return [float(button.get_attribute("data-contribution")) for button in buttons]


def _is_problem(message: Any) -> bool:
    # What a server refuses is logged by the browser itself, and tested by what the page says.
    return message.type == "error" and "Failed to load resource" not in message.text
