"""All that a reproduction leaves in its folder beside data, runs and benchmarks."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.report.drawn import Drawn
from softcam.report.explanations.html import png_size
from softcam.report.page import render_page
from softcam.report.plain import plain, png_uri
from softcam.report.reproduction.content import Explained, Part, Reproduction
from softcam.report.reproduction.figures import draw_figures
from softcam.report.reproduction.tables import tables
from softcam.report.table_files import write_tables

RESULT = "reproduction.json"
"""Written last: a folder without it is an unfinished reproduction."""


def write_reproduction(result: Reproduction, folder: Path) -> list[Path]:
    """Write tables, figures, page and, last, `reproduction.json`.

    Args:
        result: What was found.
        folder: The reproduction's folder.

    Returns:
        The paths, in the order written.

    Raises:
        InputError: If the folder cannot be written.
    """
    place = folder / "figures"
    try:
        place.mkdir(parents=True, exist_ok=True)
        (folder / RESULT).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{place}: cannot write here ({error.strerror}).") from error
    figures = [*draw_figures(result), *_examples(result, folder)]
    written = [
        write_atomically(place / f"{drawn.key}.{suffix}", content)
        for drawn in figures
        for suffix, content in drawn.files.items()
    ]
    title = f"SoftCAM reproduced: {result.title}"
    shown = tables(result)
    written += write_tables(shown, folder, "tables", title=title)
    page = _page(result, figures, title)
    written.append(write_atomically(folder / "reproduction.html", page))
    text = json.dumps(to_json(result), indent=1, allow_nan=False) + "\n"
    return [*written, write_atomically(folder / RESULT, text)]


def to_json(result: Reproduction) -> dict[str, Any]:
    """Give everything but curves as JSON knows it: an undefined number is None."""
    values = {
        field.name: plain(getattr(result, field.name))
        for field in dataclasses.fields(result)
        if field.name != "parts"
    }
    return {**values, "parts": [_part(part) for part in result.parts]}


def _part(part: Part) -> dict[str, Any]:
    return {
        "key": part.key,
        "task": part.task,
        "model": part.model,
        "label": part.label,
        "split": part.split,
        "penalties": {
            role: {"l1": l1, "l2": l2, "source": part.penalty_source}
            for role, (l1, l2) in part.penalties.items()
        },
        "measured": {
            role: {name: plain(dataclasses.asdict(figure)) for name, figure in found.items()}
            for role, found in part.measured.items()
        },
        "published": [
            {"of": role, "measure": measure, "value": one.value, "source": one.source}
            for (role, measure), one in part.published.items()
        ],
        "explained": [_explained(one) for one in part.explained],
    }


def _explained(one: Explained) -> dict[str, Any]:
    return {
        "seed": one.seed,
        "page": one.page,
        "counts": dict(one.counts),
        "skipped": list(one.skipped),
        "methods": [
            {
                **dataclasses.asdict(method),
                "floor": method in one.floors,
                "means": {name: interval.to_dict() for name, interval in means.items()},
            }
            for method, means in one.means.items()
        ],
    }


def _examples(result: Reproduction, folder: Path) -> list[Drawn]:
    """Take the first sheet of each benchmark's gallery as a figure, as PNG and PDF."""
    found = []
    for part in result.parts:
        for one in part.explained[:1]:
            sheet = (folder / one.page).parent / "gallery" / "01.png"
            if not sheet.is_file():
                continue
            png, pdf = sheet.read_bytes(), io.BytesIO()
            with Image.open(io.BytesIO(png)) as picture:
                picture.convert("RGB").save(pdf, "PDF", resolution=200)
            found.append(
                Drawn(
                    f"example-{part.key}",
                    f"One image, every map: {part.label}",
                    f"Seed {one.seed}; plain SoftCAM is the dense one. More images "
                    f"are on {one.page}.",
                    {"png": png, "pdf": pdf.getvalue()},
                )
            )
    return found


def _page(result: Reproduction, figures: Sequence[Drawn], title: str) -> str:
    """Write the page: it holds its styles and pictures itself and asks the network for nothing."""
    return render_page(
        "reproduction/page.html",
        ("report.css", "explanations/page.css"),
        {"uri": png_uri, "size": png_size},
        title=title,
        result=result,
        figures=figures,
        tables=tables(result),
        settings=yaml.safe_dump(plain(result.settings), sort_keys=False),
    )
