"""All that a sweep leaves in its folder beside the runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.report.drawn import Drawn
from softcam.report.explanations.html import png_size
from softcam.report.latex import to_latex
from softcam.report.page import render_page
from softcam.report.plain import plain, png_uri
from softcam.report.sweep.content import MEANINGS, NAMES, SweepResult
from softcam.report.sweep.curves import draw_figures
from softcam.report.sweep.tables import runs_to_csv, tables, to_csv
from softcam.report.table_files import to_markdown


def write_sweep(result: SweepResult, folder: Path, *, title: str = "Penalty sweep") -> list[Path]:
    """Write a sweep's tables, figures, page and, last, `sweep.json`.

    Every file appears whole or not at all; a folder without `sweep.json` is an unfinished sweep.

    Args:
        result: What was found.
        folder: The sweep's folder.
        title: Heading of the page.

    Returns:
        The paths, in the order written.

    Raises:
        InputError: If the folder cannot be written.
    """
    figures = draw_figures(result)
    place = folder / "figures"
    try:
        place.mkdir(parents=True, exist_ok=True)
        (folder / "sweep.json").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{place}: cannot write here ({error.strerror}).") from error
    written = [
        write_atomically(place / f"{drawn.key}.{suffix}", content)
        for drawn in figures
        for suffix, content in drawn.files.items()
    ]
    texts = {
        "table.csv": to_csv(result),
        "runs.csv": runs_to_csv(result),
        "table.md": to_markdown(tables(result), title),
        "table.tex": to_latex(tables(result), "sweep"),
        "sweep.html": to_html(result, figures, title=title),
        "sweep.json": json.dumps(to_json(result), indent=1, allow_nan=False) + "\n",
    }
    return written + [write_atomically(folder / name, text) for name, text in texts.items()]


def to_json(result: SweepResult) -> dict[str, Any]:
    """Give everything as JSON knows it: an undefined number is None."""
    values: dict[str, Any] = plain(dataclasses.asdict(result))
    for row, written in zip(result.rows, values["rows"], strict=True):
        for split, figures in (("val", row.val), ("test", row.test)):
            for measure, figure in figures.items():
                written[split][measure]["sd_over_seeds"] = plain(figure.spread)
    chosen = result.chosen
    return {"chosen": None if chosen is None else chosen.name, **values}


def to_html(result: SweepResult, figures: Sequence[Drawn], *, title: str) -> str:
    """Write the page: it holds its styles and pictures itself and asks the network for nothing.

    Args:
        result: What was found; all text is escaped.
        figures: As `draw_figures` gives them.
        title: The heading.

    Returns:
        HTML.
    """
    measured = {name for row in result.rows for name in row.val}
    return render_page(
        "sweep/page.html",
        ("report.css", "explanations/page.css"),
        {"uri": png_uri, "size": png_size},
        title=title,
        result=result,
        figures=figures,
        tables=tables(result),
        meanings=[(NAMES[key], text) for key, text in MEANINGS.items() if key in measured],
        settings=yaml.safe_dump(plain(result.settings), sort_keys=False),
    )
