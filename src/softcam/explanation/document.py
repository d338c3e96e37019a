"""An explanation in words and numbers: as JSON values, and as a fragment of HTML."""

from __future__ import annotations

import base64
import hashlib
import io
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.explanation.regions import Region, threshold_of

if TYPE_CHECKING:
    from softcam.explanation.explanation import Explanation

FORMAT = "softcam-explanation/1"


def image_digest(explanation: Explanation) -> str:
    """Give the SHA-256 of the image's size, type and pixels, as hexadecimal digits."""
    image = np.ascontiguousarray(explanation.image)
    header = f"{image.dtype.str} {image.shape} ".encode()
    return hashlib.sha256(header + image.tobytes()).hexdigest()


def to_dict(explanation: Explanation) -> dict[str, Any]:
    """Give everything but the maps as JSON values.

    Returns:
        A dictionary of plain values without NaN (an undefined share is None): the image, the
        model, the evidence grid in pixels, the called classes, the probability of every class
        and, for its own evidence and its contrast, logit, range, part from padding,
        region threshold (all in logit units) and regions (in file pixels). Where the file says
        where the image lies in the patient, the image has its plane, and each region its
        `peak_patient_mm` and `box_centre_patient_mm`: x, y, z in millimetres of the DICOM
        patient system.
    """
    info, geometry = explanation.info, explanation.geometry
    rows, columns = (int(n) for n in explanation.evidence.shape[1:])
    cell_width, cell_height = cell_size(explanation)
    return {
        "format": FORMAT,
        "image": {
            "name": explanation.name,
            "width": int(geometry.file_size[1]),
            "height": int(geometry.file_size[0]),
            "sha256": image_digest(explanation),
            "plane": None if explanation.plane is None else explanation.plane.to_dict(),
        },
        "geometry": geometry.to_dict(),
        "model": {
            "task": str(explanation.task),
            "classes": list(explanation.classes),
            "positive": info.positive,
            "thresholds": dict(info.thresholds),
            "architecture": None if info.architecture is None else info.architecture.name,
            "versions": dict(info.versions),
        },
        "evidence": {
            "unit": "logit",
            "height": rows,
            "width": columns,
            "cell_in_input_pixels": [
                geometry.input_size[1] / columns,
                geometry.input_size[0] / rows,
            ],
            "cell_in_file_pixels": [cell_width, cell_height],
            "completeness_error": explanation.completeness_error,
        },
        "predicted": list(explanation.predicted),
        "probabilities": {
            name: float(value)
            for name, value in zip(explanation.classes, explanation.probabilities, strict=True)
        },
        "classes": [
            {
                "name": name,
                "called": name in explanation.predicted,
                "own": _map_values(explanation, index, contrast=False),
                "contrast": _map_values(explanation, index, contrast=True),
            }
            for index, name in enumerate(explanation.classes)
        ],
    }


def _map_values(explanation: Explanation, index: int, *, contrast: bool) -> dict[str, Any]:
    values = explanation.class_evidence(index, contrast=contrast)
    return {
        "logit": explanation.logit(index, contrast=contrast),
        "lowest": float(values.min()),
        "highest": float(values.max()),
        "from_padding": explanation.padding_evidence(index, contrast=contrast),
        "region_threshold": threshold_of(values, threshold=explanation.threshold),
        "regions": [
            {**region.to_dict(), **_in_patient(explanation, region)}
            for region in explanation.regions(index, contrast=contrast)
        ],
    }


def _in_patient(explanation: Explanation, region: Region) -> dict[str, Any]:
    """Where a region lies in the patient, for an image that has a plane there."""
    if explanation.plane is None or region.box is None or region.peak_xy is None:
        return {}
    x, y, width, height = region.box
    places = explanation.to_patient([region.peak_xy, (x + width / 2, y + height / 2)])
    peak, centre = places.tolist()
    return {"peak_patient_mm": peak, "box_centre_patient_mm": centre}


def cell_size(explanation: Explanation) -> tuple[float, float]:
    """Give the width and height of an evidence cell in file pixels."""
    rows, columns = explanation.evidence.shape[1:]
    height, width = explanation.geometry.input_size
    corners = np.array([[0.0, 0.0], [width / columns, height / rows]])
    span = np.abs(np.diff(explanation.geometry.to_file(corners), axis=0))[0]
    return float(span[0]), float(span[1])


def to_html(explanation: Explanation) -> str:
    """Give a self-contained fragment of HTML: the figure and a table of classes."""
    buffer = io.BytesIO()
    explanation.plot().savefig(buffer, format="png", dpi=100)
    picture = base64.b64encode(buffer.getvalue()).decode("ascii")
    called = ", ".join(explanation.predicted) or "no class"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{explanation.probabilities[index]:.3f}</td>"
        f"<td>{explanation.logit(index):+.2f}</td><td>{_strongest(explanation, index)}</td></tr>"
        for index, name in enumerate(explanation.classes)
    )
    title = f"{escape(explanation.name)}: {escape(called)}"
    return (
        f'<div class="softcam-explanation"><p><strong>{title}</strong></p>'
        f'<img style="max-width:100%" alt="Evidence maps of {title}" '
        f'src="data:image/png;base64,{picture}">'
        "<table><thead><tr><th>class</th><th>probability</th><th>logit</th>"
        "<th>strongest region (logit units)</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _strongest(explanation: Explanation, index: int) -> str:
    regions = explanation.regions(index)
    if not regions:
        return "none"
    first = regions[0]
    where = (
        "in the padding"
        if first.box is None
        else "x {:.0f}, y {:.0f}, {:.0f} × {:.0f} px".format(*first.box)
    )
    return f"{first.contribution:+.2f} ({where})"
