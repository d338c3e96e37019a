"""All that a benchmark leaves in a folder."""

from __future__ import annotations

from pathlib import Path

from softcam.errors import InputError
from softcam.evaluation.explanations.result import ExplanationBenchmark, GalleryCase
from softcam.files import write_atomically
from softcam.report.explanations.document import to_text
from softcam.report.explanations.figures import Drawn, draw_figures
from softcam.report.explanations.gallery import draw_sheet
from softcam.report.explanations.html import to_html
from softcam.report.explanations.tables import to_latex, to_markdown, write_csv


def write_benchmark(
    result: ExplanationBenchmark, folder: Path | str, *, title: str = "Explanation benchmark"
) -> list[Path]:
    """Write a benchmark: page, tables, figures, gallery and, last, `benchmark.json`.

    Every file appears whole or not at all; a folder without `benchmark.json` is unfinished.
    Former files of the same names are replaced, others stay.

    Args:
        result: What was found.
        folder: Where; it is made if it does not exist.
        title: Heading of the page and of the Markdown.

    Returns:
        The paths, in the order written: methods.csv, cases.csv, curves.csv, lesions.csv,
        figures/*.png, gallery/*.png, benchmark.md, benchmark.tex, benchmark.html, benchmark.json.

    Raises:
        InputError: If the folder cannot be made or written, or a gallery map does not fit its
            image.
    """
    place = Path(folder)
    try:
        for each in (place, place / "figures", place / "gallery"):
            each.mkdir(parents=True, exist_ok=True)
        (place / "benchmark.json").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); choose a place that is "
            "writable."
        ) from error
    written = write_csv(result, place)
    figures = draw_figures(result)
    gallery = [_sheet(number, shown) for number, shown in enumerate(result.gallery, start=1)]
    for name, drawn in (("figures", figures), ("gallery", gallery)):
        written += [write_atomically(place / name / f"{one.key}.png", one.png) for one in drawn]
    texts = {
        "benchmark.md": to_markdown(result, title),
        "benchmark.tex": to_latex(result),
        "benchmark.html": to_html(result, figures, gallery, title=title),
        "benchmark.json": to_text(result),
    }
    return written + [write_atomically(place / name, text) for name, text in texts.items()]


def _sheet(number: int, shown: GalleryCase) -> Drawn:
    """Draw a gallery image; its file is named by its place, as names of images may be anything."""
    case = shown.case
    truth = "present" if case.present else "absent"
    stated = ", ".join(f"{name} {value:.3f}" for name, value in shown.probabilities.items())
    return Drawn(
        f"{number:02d}",
        case.image,
        f"{case.class_name}, {truth}. Probability: {stated}."
        if stated
        else f"{case.class_name}, {truth}.",
        draw_sheet(shown),
    )
