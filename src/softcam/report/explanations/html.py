"""The page of a benchmark: one HTML file that shows everything and asks the network for nothing."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from softcam.evaluation.explanations.result import ExplanationBenchmark
from softcam.report.explanations.embedding import data_uri
from softcam.report.explanations.figures import Drawn
from softcam.report.explanations.sheets import GROUPS, flags, how_measured, sheets
from softcam.report.page import render_page

LIMITATIONS: tuple[str, ...] = (
    "Nothing here is a diagnosis, and a good map does not make a model fit for clinical use.",
    "A faithful map of a wrong model shows a wrong reason. Read the maps beside the answers.",
    "Lesions that nobody marked count as healthy, and a model may rightly look elsewhere: "
    "localisation measures agreement with the annotations, not truth.",
    "Images with patches removed are unlike those that the model was trained on; part of what "
    "deletion and insertion measure is how it takes such images.",
    "Ranks depend on which methods take part, and several measures ask nearly the same. "
    "Intervals are not corrected for the number of comparisons.",
    "All of it holds for these models and for images like these.",
)
"""What every page says at its end."""

_SHORT = {
    "answers": "Answers",
    "overview": "Mean ranks",
    "localisation": "Localisation",
    "faithfulness": "Faithfulness",
    "consistency": "Consistency",
    "lesions": "Lesions by size",
    "cost": "Time and memory",
    "undefined": "Undefined",
    "skipped": "Left out",
}
_FIRST = ("answers", "overview", *GROUPS, "lesions")


def to_html(
    result: ExplanationBenchmark,
    figures: Sequence[Drawn] = (),
    gallery: Sequence[Drawn] = (),
    *,
    title: str = "Explanation benchmark",
) -> str:
    """Write the page.

    It holds its styles and pictures itself, runs no script and names no address; its content
    security policy forbids both. It can be read on a phone, in light and dark, and printed.

    Args:
        result: What was found; all text is escaped.
        figures: Curves and differences, as `draw_figures` gives them.
        gallery: One sheet for each image.
        title: The heading.

    Returns:
        HTML.
    """
    tables = sheets(result)
    first = [sheet for sheet in tables if sheet.key in _FIRST]
    last = [sheet for sheet in tables if sheet.key not in _FIRST]
    contents = [
        *((sheet.key, _SHORT[sheet.key]) for sheet in first),
        *([("figures", "Curves and differences")] if figures else []),
        *([("gallery", "Maps")] if gallery else []),
        *((sheet.key, _SHORT[sheet.key]) for sheet in last),
        ("measured", "How it was measured"),
        ("limits", "Limits"),
    ]
    meanings = {
        group: measures
        for group in GROUPS
        if (measures := [m for m in result.measures() if m.group == group])
    }
    return render_page(
        "explanations/page.html",
        ("report.css", "explanations/page.css"),
        {"uri": data_uri, "size": png_size, "sentence": _sentence},
        title=title,
        result=result,
        measured_how=how_measured(result),
        contents=contents,
        first=first,
        last=last,
        flags=flags(result),
        meanings=meanings,
        figures=figures,
        gallery=gallery,
        limitations=LIMITATIONS,
    )


def png_size(png: bytes) -> tuple[int, int]:
    """Read a PNG's width and height in pixels from its header."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
