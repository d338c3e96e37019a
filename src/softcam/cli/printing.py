"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from softcam.evaluation.result import Metrics


def console() -> Console:
    """Give the console that results are printed to; wide enough for a table in a log file."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=110)


def print_rows(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table.

    Args:
        title: Its title.
        heads: Column heads.
        rows: Cells.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_metrics(metrics: Metrics) -> None:
    """Print classification and localisation, each number with its 95 % interval.

    Args:
        metrics: What was measured.
    """
    from softcam.evaluation.scoring import LOCALISATION_NAMES

    rows = metrics.rows()
    heads = ["Metric [95 % interval]", metrics.subject]
    if metrics.twin_classification is not None:
        heads.append("Black-box twin")
    count = metrics.counts["images"]
    print_rows(
        f"Classification, {count} images",
        heads,
        [(row.name, *row.values) for row in rows if row.section == "classification"],
    )
    located = [(row.name, *row.values) for row in rows if row.section == "localisation"]
    if located:
        images = metrics.localisation[0].images
        print_rows(
            f"Localisation, {images} annotated images",
            ["Map", *LOCALISATION_NAMES.values()],
            located,
        )
    for note in metrics.notes():
        console().print(note, style="dim")
