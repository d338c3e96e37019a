"""Where every imported image came from, down to the pixel: `sources.csv`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from softcam.data.csvfile import read_csv
from softcam.data.geometry import Geometry
from softcam.data.importers.tables import csv_text
from softcam.data.steps import Crop, Pad, Resize, Step
from softcam.errors import InputError


@dataclass(frozen=True, slots=True)
class Source:
    """One imported image and the part of the original file that it shows.

    The whole image, `width` x `height` px, shows the rectangle at (`crop_x`, `crop_y`) of
    `crop_width` x `crop_height` px of the original as displayed; where the rectangle reaches over
    the original's border the image is black. So the point (u, v) of the image is the point
    (crop_x + u * crop_width / width, crop_y + v * crop_height / height) of the original.

    Attributes:
        image: The image relative to the image folder.
        width: Of the image, in px.
        height: Of the image, in px.
        sha256: Of the image's file.
        source: The original file relative to the download.
        source_width: Of the original as displayed, in px.
        source_height: Of the original as displayed, in px.
        source_sha256: Of the original file.
        crop_x: Left edge of the rectangle; negative where black was added.
        crop_y: Top edge of the rectangle; negative where black was added.
        crop_width: Width of the rectangle.
        crop_height: Height of the rectangle.
        note: What was special about the image, or empty.
    """

    image: str
    width: int
    height: int
    sha256: str
    source: str
    source_width: int
    source_height: int
    source_sha256: str
    crop_x: int
    crop_y: int
    crop_width: int
    crop_height: int
    note: str = ""

    def geometry(self) -> Geometry:
        """The map from the pixels of the original file to those of the image."""
        x0, y0 = max(self.crop_x, 0), max(self.crop_y, 0)
        x1 = min(self.crop_x + self.crop_width, self.source_width)
        y1 = min(self.crop_y + self.crop_height, self.source_height)
        steps: list[Step] = [
            Crop(x0, y0, x1 - x0, y1 - y0),
            Pad(
                x0 - self.crop_x,
                y0 - self.crop_y,
                self.crop_x + self.crop_width - x1,
                self.crop_y + self.crop_height - y1,
            ),
            Resize(self.width, self.height),
        ]
        return Geometry.of((self.source_height, self.source_width), *steps)


COLUMNS = tuple(field.name for field in fields(Source))
_TEXT = {"image", "sha256", "source", "source_sha256", "note"}


def sources_text(sources: Iterable[Source], *, header: bool = True) -> str:
    """Write sources as CSV."""
    return csv_text([COLUMNS] if header else [], (astuple(source) for source in sources))


def read_sources(path: Path | str) -> dict[str, Source]:
    """Read a `sources.csv`.

    Args:
        path: The file.

    Returns:
        Image name to its source.

    Raises:
        InputError: The file is missing or none that an import wrote.
    """
    path = Path(path)
    file = read_csv(path, COLUMNS)
    if file.columns != COLUMNS:
        raise InputError(f"{path} is no sources.csv of an import; import the data set again.")
    found = {}
    for row in file.rows:
        try:
            values = [row.cells[c] if c in _TEXT else int(row.cells[c]) for c in COLUMNS]
        except ValueError as error:
            raise InputError(
                f"{path}, row {row.line}: {error}; import the data set again."
            ) from error
        source = Source(*values)  # type: ignore[arg-type]
        found[source.image] = source
    return found
