"""A figure for print: its axes, and the files that it is saved as."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Suffix = Literal["png", "svg", "pdf"]

_DPI = 140
_UNDATED: dict[Suffix, dict[str, Any]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


@dataclass(frozen=True)
class Drawn:
    """A drawn figure.

    Attributes:
        key: File name without suffix.
        title: Heading.
        caption: What the reader should know.
        files: Suffix to content.
    """

    key: str
    title: str
    caption: str
    files: dict[str, bytes]


def plain_axes(ax: Axes) -> None:
    """Leave the left and lower axis, with faint lines behind the data."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis="y", color="#dfe4e7", linewidth=0.6)
    ax.set_axisbelow(True)


def figure_files(figure: Figure, suffixes: Sequence[Suffix]) -> dict[str, bytes]:
    """Save a figure without the date, so that the same figure is the same file.

    Args:
        figure: The figure.
        suffixes: The formats.

    Returns:
        Suffix to content.
    """
    FigureCanvasAgg(figure)
    files: dict[str, bytes] = {}
    # Text stays text in a journal's PDF; an SVG's names are not drawn by chance.
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "softcam"}):
        for suffix in suffixes:
            stream = io.BytesIO()
            figure.savefig(stream, format=suffix, dpi=_DPI, metadata=_UNDATED[suffix])
            files[suffix] = stream.getvalue()
    return files
