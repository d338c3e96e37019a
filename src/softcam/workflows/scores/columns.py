"""The columns of the results: one row an image, and one row a region."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.data.labels import label_text
from softcam.data.plane import PlaneGeometry
from softcam.data.records import Record
from softcam.evidence.decision import decide, probabilities
from softcam.evidence.info import Task
from softcam.explanation.explanation import completeness_error
from softcam.explanation.regions import find_regions
from softcam.workflows.scores.extra import pyarrow
from softcam.workflows.scores.names import Names

OK, UNREADABLE, UNDEFINED = "ok", "unreadable", "undefined"
"""An image that was scored; one that could not be read; one whose maps explain nothing."""

_STATUS = "status"


@dataclass(frozen=True)
class Scored:
    """What came of one image.

    Attributes:
        record: The image.
        status: "ok", "unreadable" or "undefined".
        problem: Why it could not be scored; None if it was.
        geometry: From file pixels to the model's input; None if it could not be read.
        plane: Where the image lies in the patient, if its file says so.
        logits: Shape (K,); None unless the status is "ok".
        evidence: Shape (K, h, w), in logit units; likewise.
    """

    record: Record
    status: str = OK
    problem: str | None = None
    geometry: Geometry | None = None
    plane: PlaneGeometry | None = None
    logits: npt.NDArray[np.float32] | None = None
    evidence: npt.NDArray[np.float32] | None = None


def image_schema(names: Names) -> Any:
    """Give the columns of the images' Parquet files."""
    pa = pyarrow()
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    fields = [
        *(("index", whole), ("row", whole), ("image", text), ("path", text)),
        *(("patient", text), ("split", text), ("label", text), (_STATUS, text)),
        *(("problem", text), ("predicted", text)),
        *((f"logit_{name}", pa.float32()) for name in names.mapped),
        *((f"prob_{name}", number) for name in names.classes),
    ]
    if names.task is Task.MULTILABEL:
        fields += [(f"called_{name}", pa.bool_()) for name in names.classes]
    fields += [
        ("completeness_error", number),
        *((name, whole) for name in ("file_height", "file_width", "input_height", "input_width")),
        *((name, number) for name in ("x_scale", "x_offset", "y_scale", "y_offset")),
        *(("geometry", text), ("plane", text)),
    ]
    return pa.schema(fields)


def region_schema() -> Any:
    """Give the columns of the regions' Parquet files."""
    pa = pyarrow()
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    return pa.schema(
        [
            *(("index", whole), ("image", text), ("class", text), ("region", whole)),
            *(("cells", whole), ("contribution", number), ("share", number), ("peak", number)),
            *(("peak_x", number), ("peak_y", number)),
            *((f"box_{name}", number) for name in ("x", "y", "width", "height")),
            ("outline", pa.list_(pa.list_(number))),
        ]
    )


def image_rows(
    scored: Sequence[Scored], start: int, names: Names, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Make the rows of some images.

    Args:
        scored: The images.
        start: Position of the first in the table.
        names: The model's classes.
        labels: The classes that the table's labels count from 0.

    Returns:
        One row an image, by column; what is unknown is left out.
    """
    good = [place for place, item in enumerate(scored) if item.logits is not None]
    rows = [_said_by_table(item, start + i, labels) for i, item in enumerate(scored)]
    if not good:
        return rows
    logits = np.stack([item.logits for item in scored if item.logits is not None])
    chances = probabilities(logits, names.task)
    info = names.info
    calls = decide(chances, names.task, names.classes, info.positive, info.thresholds)
    for place, own, chance, call in zip(good, logits, chances, calls, strict=True):
        item, row = scored[place], rows[place]
        row.update({f"logit_{n}": float(v) for n, v in zip(names.mapped, own, strict=True)})
        row.update({f"prob_{n}": float(v) for n, v in zip(names.classes, chance, strict=True)})
        if names.task is Task.MULTILABEL:
            called = dict(zip(names.classes, (bool(yes) for yes in call), strict=True))
            row.update({f"called_{name}": yes for name, yes in called.items()})
            row["predicted"] = "|".join(name for name, yes in called.items() if yes)
        else:
            row["predicted"] = names.classes[int(call)]
        if item.evidence is not None:
            row["completeness_error"] = completeness_error(own, item.evidence)
    return rows


def _said_by_table(item: Scored, index: int, labels: Sequence[str]) -> dict[str, Any]:
    record = item.record
    row: dict[str, Any] = {
        "index": index,
        "row": record.row,
        "image": record.name,
        "path": str(record.image),
        "patient": record.patient,
        "split": record.split,
        "label": label_text(record.label, labels),
        _STATUS: item.status,
        "problem": item.problem,
    }
    if item.geometry is not None:
        row.update(_places(item.geometry))
    if item.plane is not None:
        row["plane"] = json.dumps(item.plane.to_dict())
    return row


def _places(geometry: Geometry) -> dict[str, Any]:
    """Sizes, the way from input pixels to file pixels, and all steps as JSON."""
    height, width = geometry.input_size
    (x0, y0), (x1, y1) = geometry.to_file(np.array([[0.0, 0.0], [width, height]])).tolist()
    return {
        "file_height": geometry.file_size[0],
        "file_width": geometry.file_size[1],
        "input_height": height,
        "input_width": width,
        "x_scale": (x1 - x0) / width,
        "x_offset": x0,
        "y_scale": (y1 - y0) / height,
        "y_offset": y0,
        "geometry": json.dumps(geometry.to_dict()),
    }


def region_rows(
    scored: Sequence[Scored],
    start: int,
    names: Names,
    *,
    contrast: bool,
    threshold: float | None,
) -> list[dict[str, Any]]:
    """Find the regions of some images.

    Args:
        scored: The images.
        start: Position of the first in the table.
        names: The model's classes.
        contrast: Regions of each class against the others instead of its own evidence.
        threshold: Evidence from which a cell belongs to a region, see `find_regions`.

    Returns:
        One row a region: of every class, by falling absolute contribution.
    """
    rows = []
    for index, item in enumerate(scored, start):
        if item.evidence is None or item.geometry is None:
            continue
        maps = names.maps(item.evidence, contrast=contrast)
        for name, values in zip(names.classes, maps, strict=True):
            found = find_regions(values, item.geometry, threshold=threshold)
            for number, region in enumerate(found):
                values_of = region.to_dict()
                peak = values_of["peak_xy"] or (None, None)
                box = values_of["box"] or (None,) * 4
                row = {"index": index, "image": item.record.name, "class": name, "region": number}
                row |= {k: values_of[k] for k in ("cells", "contribution", "share", "peak")}
                row |= dict(zip(("peak_x", "peak_y"), peak, strict=True))
                row |= dict(zip(("box_x", "box_y", "box_width", "box_height"), box, strict=True))
                row["outline"] = [[c for xy in loop for c in xy] for loop in values_of["outline"]]
                rows.append(row)
    return rows


def parquet_bytes(
    rows: Sequence[Mapping[str, Any]], schema: Any, metadata: Mapping[str, str]
) -> bytes:
    """Give the bytes of a Parquet file; the same rows give the same bytes.

    Args:
        rows: Values by column; a column that a row lacks is null there.
        schema: The columns.
        metadata: Texts to store in the file's footer.
    """
    pa = pyarrow()
    columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in schema]
    table = pa.Table.from_arrays(columns, schema=schema.with_metadata(dict(metadata)))
    stream = io.BytesIO()
    import pyarrow.parquet as pq

    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()
