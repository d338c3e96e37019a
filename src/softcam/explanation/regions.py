"""Evidence regions: connected cells above a threshold and their exact part of the logit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from softcam.data.geometry import Geometry
from softcam.errors import InputError
from softcam.explanation.outline import Polygon, trace

RELATIVE_THRESHOLD = 0.5
"""Default threshold of a region, as a fraction of the map's strongest cell."""

TINY_LOGIT = 1e-6
"""Below this |logit| (logit units) a region's share of it has no meaning and is NaN."""


@dataclass(frozen=True)
class Region:
    """One connected part of an evidence map.

    Attributes:
        cells: Number of evidence cells.
        contribution: Sum over the region's cells divided by the number of cells of the whole
            map, in logit units: exactly what the region adds to the logit.
        share: Contribution divided by the logit. It exceeds 1 where evidence elsewhere speaks
            against the class, is negative where the logit has the other sign, and is NaN where
            the logit's absolute value is below 1e-6.
        peak: The strongest cell's evidence, in logit units.
        peak_xy: Centre (x, y) of what the image shows of that cell, in file pixels; None if it
            lies in padding.
        box: The smallest box (x, y, width, height) in file pixels around what the image shows
            of the region; None if the region lies wholly in padding.
        outline: Closed polygons around the region and its holes, in file pixels, cut off at the
            border of the image; empty if the region lies wholly in padding.
    """

    cells: int
    contribution: float
    share: float
    peak: float
    peak_xy: tuple[float, float] | None
    box: tuple[float, float, float, float] | None
    outline: tuple[Polygon, ...]

    @property
    def outside_image(self) -> bool:
        """Whether the region lies wholly in padding, where the image shows nothing."""
        return self.box is None

    def to_dict(self) -> dict[str, Any]:
        """Give the region as JSON values; a share that is NaN becomes None."""
        values = asdict(self)
        values["share"] = None if math.isnan(self.share) else self.share
        values["outside_image"] = self.outside_image
        values["outline"] = [[list(corner) for corner in loop] for loop in self.outline]
        for name in ("peak_xy", "box"):
            values[name] = None if values[name] is None else list(values[name])
        return values


@dataclass(frozen=True)
class CellEdges:
    """Where the edges of evidence cells lie in the file, as far as the image shows them.

    Attributes:
        x: w + 1 positions in file pixels, falling where the input was flipped; edges in padding
            or beyond a crop are moved to the border of what the model saw.
        y: h + 1 positions in file pixels, likewise.
        visible: Array of shape (h, w): the fraction of each cell that shows the image.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    visible: npt.NDArray[np.float64]


def cell_edges(geometry: Geometry, shape: tuple[int, int]) -> CellEdges:
    """Place the cells of an evidence map on the image.

    Args:
        geometry: From file pixels to the model's input and back.
        shape: (h, w) of the evidence map; cell i covers rows i * H / h to (i + 1) * H / h of an
            input H pixels high.
    """
    (height, width), (rows, columns) = geometry.input_size, shape
    left, top, right, bottom = geometry.content_box()
    input_x = np.arange(columns + 1) * (width / columns)
    input_y = np.arange(rows + 1) * (height / rows)
    shown_x, shown_y = np.clip(input_x, left, right), np.clip(input_y, top, bottom)
    # The map is axis-aligned, so that one row of points places every column and vice versa.
    file_x = geometry.to_file(np.stack([shown_x, np.full(columns + 1, float(top))], axis=1))[:, 0]
    file_y = geometry.to_file(np.stack([np.full(rows + 1, float(left)), shown_y], axis=1))[:, 1]
    visible = np.outer(np.diff(shown_y) / np.diff(input_y), np.diff(shown_x) / np.diff(input_x))
    # Rounding of an edge that meets the padding's is no part of the image.
    visible[visible < 1e-9] = 0.0
    file_height, file_width = geometry.file_size
    return CellEdges(
        x=np.clip(file_x, 0.0, file_width), y=np.clip(file_y, 0.0, file_height), visible=visible
    )


def threshold_of(
    evidence: npt.NDArray[Any],
    *,
    threshold: float | None = None,
    relative: float = RELATIVE_THRESHOLD,
    sign: Literal[1, -1] = 1,
) -> float:
    """Give the evidence that a cell needs to belong to a region, in logit units, non-negative.

    Args:
        evidence: Map of shape (h, w), in logit units.
        threshold: An absolute threshold in logit units, at least 0.
        relative: The fraction of the map's strongest cell that counts where `threshold` is None.
        sign: 1 for evidence for the class, -1 for evidence against it.

    Raises:
        InputError: A threshold below zero, or a fraction outside 0 to 1.
    """
    if threshold is not None:
        if not (math.isfinite(threshold) and threshold >= 0):
            raise InputError(
                f"The region threshold is {threshold}, but it is an amount of evidence in logit "
                "units; pass 0 or more."
            )
        return float(threshold)
    if not 0 <= relative <= 1:
        raise InputError(
            f"The relative region threshold is {relative}; pass a fraction from 0 to 1."
        )
    return max(0.0, relative * float((sign * np.asarray(evidence, dtype=np.float64)).max()))


def find_regions(
    evidence: npt.NDArray[Any],
    geometry: Geometry,
    *,
    threshold: float | None = None,
    relative: float = RELATIVE_THRESHOLD,
    sign: Literal[1, -1] = 1,
    connectivity: Literal[4, 8] = 8,
) -> list[Region]:
    """Find the connected parts of an evidence map that reach a threshold.

    The search runs at the evidence's own resolution, so that contributions are exact: those of
    all regions and the mean of what is left (its sum over the map's size) add up to the logit.

    Args:
        evidence: Map of shape (h, w) whose mean is the logit, in logit units.
        geometry: From file pixels to the model's input.
        threshold: Evidence that a cell must reach, in logit units.
        relative: Without `threshold`, a cell must reach this fraction of the map's strongest
            cell: half of it by default.
        sign: 1 for evidence for the class, -1 for evidence against it, whose contributions and
            peaks are negative.
        connectivity: 8 joins cells that touch at a corner, 4 only those that share an edge.

    Returns:
        Regions by falling absolute contribution; none where no cell has evidence of that sign.

    Raises:
        InputError: A threshold that cannot be one.
    """
    values = np.asarray(evidence, dtype=np.float64)
    limit = threshold_of(values, threshold=threshold, relative=relative, sign=sign)
    signed = sign * values
    structure = np.ones((3, 3)) if connectivity == 8 else None
    labels, count = ndimage.label((signed >= limit) & (signed > 0), structure=structure)
    edges = cell_edges(geometry, (values.shape[0], values.shape[1]))
    logit = float(values.mean())
    regions = [
        _describe(values, labels == number, logit=logit, edges=edges)
        for number in range(1, count + 1)
    ]
    return sorted(regions, key=lambda region: -abs(region.contribution))


def _describe(
    values: npt.NDArray[np.float64],
    mask: npt.NDArray[np.bool_],
    *,
    logit: float,
    edges: CellEdges,
) -> Region:
    contribution = float(values[mask].sum() / values.size)
    flat = int(np.where(mask, np.abs(values), -1.0).argmax())
    row, column = divmod(flat, values.shape[1])
    peak_xy = None
    if edges.visible[row, column] > 0:
        peak_xy = (
            float(edges.x[column] + edges.x[column + 1]) / 2,
            float(edges.y[row] + edges.y[row + 1]) / 2,
        )
    shown = mask & (edges.visible > 0)
    return Region(
        cells=int(mask.sum()),
        contribution=contribution,
        share=contribution / logit if abs(logit) >= TINY_LOGIT else math.nan,
        peak=float(values[row, column]),
        peak_xy=peak_xy,
        box=_box(shown, edges) if shown.any() else None,
        outline=tuple(
            tuple((float(edges.x[x]), float(edges.y[y])) for x, y in loop.tolist())
            for loop in trace(shown)
        ),
    )


def _box(mask: npt.NDArray[np.bool_], edges: CellEdges) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, x1 = sorted((float(edges.x[columns[0]]), float(edges.x[columns[-1] + 1])))
    y0, y1 = sorted((float(edges.y[rows[0]]), float(edges.y[rows[-1] + 1])))
    return x0, y0, x1 - x0, y1 - y0
