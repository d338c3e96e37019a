"""The overlay as a Secondary Capture: pixels with evidence burnt in, for any viewer."""

from __future__ import annotations

from importlib import metadata

import highdicom as hd
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from softcam.deploy.dicom.findings import ClassFinding
from softcam.deploy.dicom.identity import ModelIdentity, equipment
from softcam.deploy.dicom.source import Source, point_at
from softcam.deploy.dicom.text import shortened
from softcam.deploy.dicom.uids import Uids
from softcam.explanation.explanation import Explanation
from softcam.explanation.figure import draw_overlay, draw_regions

_LONGEST, _SHORTEST = 1200, 720
"""Pixels between which the longer side of the image is drawn; the caption needs some room."""

_CAPTION = 132
_DPI = 100
_NUMBERED = 5


def make_captures(
    explanation: Explanation,
    source: Source,
    findings: list[ClassFinding],
    model: ModelIdentity,
    uids: Uids,
    *,
    contrast: bool = False,
) -> dict[str, hd.sc.SCImage]:
    """Make an overlay for the class to show first, and for each further class that was called.

    Args:
        explanation: What the model says about the image.
        source: The image.
        findings: What was found for each class.
        model: Which model it was.
        uids: Where new identifiers come from.
        contrast: Show each class against the others instead of its own evidence.

    Returns:
        Instances of one series, by class.
    """
    names = dict.fromkeys((explanation.main_class, *explanation.predicted))
    by_name = {finding.name: finding for finding in findings}
    return {
        name: _capture(explanation, source, by_name[name], number, model, uids, contrast)
        for number, name in enumerate(names, start=1)
    }


def _capture(
    explanation: Explanation,
    source: Source,
    finding: ClassFinding,
    number: int,
    model: ModelIdentity,
    uids: Uids,
    contrast: bool,
) -> hd.sc.SCImage:
    aspect = source.header.pixel_aspect_ratio
    stand_in = source.stand_in(None)
    made = hd.sc.SCImage(
        pixel_array=draw(explanation, finding, model, aspect=aspect, contrast=contrast),
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),  # asked for, and replaced by the source's
        study_instance_uid=stand_in.StudyInstanceUID,
        sop_instance_uid=uids(f"secondary capture {number}"),
        instance_number=number,
        specific_character_set=stand_in.SpecificCharacterSet,
        **equipment(model, uids, "secondary capture", 9902, "Evidence overlay"),
    )
    made.copy_patient_and_study_information(stand_in)
    point_at(made, source)
    made["PatientOrientation"].value = source.orientation
    made.Laterality = source.laterality
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = "Class evidence drawn over the image; not a diagnosis"
    made.ImageComments = shortened(f"Evidence for {finding.name}; not a diagnosis")
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio"):
        if keyword in stand_in:
            made[keyword] = stand_in[keyword]
    return made


def draw(
    explanation: Explanation,
    finding: ClassFinding,
    model: ModelIdentity,
    *,
    aspect: float = 1.0,
    contrast: bool = False,
) -> npt.NDArray[np.uint8]:
    """Draw the overlay of a class with its caption below.

    Pixels come out square, whatever the file's are: viewers for which this is meant may not know
    better.

    Args:
        explanation: What the model says about the image.
        finding: The class.
        model: Which model it was.
        aspect: Height of a file pixel over its width.
        contrast: Show the class against the others instead of its own evidence.

    Returns:
        (height, width, 3) RGB.
    """
    rows, columns = explanation.image.shape[:2]
    true = (rows * aspect, float(columns))
    scale = float(np.clip(max(true), _SHORTEST, _LONGEST)) / max(true)
    height, width = (max(1, round(side * scale)) for side in true)
    canvas_width = max(width, _SHORTEST)
    size = (canvas_width, height + _CAPTION)
    figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    left = (canvas_width - width) // 2
    ax = figure.add_axes((left / size[0], _CAPTION / size[1], width / size[0], height / size[1]))
    values = explanation.map(finding.name, contrast=contrast, outside=np.nan)
    limit = explanation.limit(contrast=contrast)
    drawn = draw_overlay(ax, explanation.image, values, limit)
    draw_regions(ax, finding.regions, numbered=_NUMBERED)
    ax.set_aspect("auto")  # the axes have the image's true shape already
    bar = figure.add_axes((0.03, 30 / size[1], 0.94, 8 / size[1]))
    figure.colorbar(drawn, cax=bar, orientation="horizontal")
    bar.tick_params(colors="white", labelsize=8)
    _write(figure, explanation, finding, model, size, contrast)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn_pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(drawn_pixels[..., :3])


def _write(
    figure: Figure,
    explanation: Explanation,
    finding: ClassFinding,
    model: ModelIdentity,
    size: tuple[int, int],
    contrast: bool,
) -> None:
    against = " against the other classes" if contrast else ""
    unseen = "; hatched: not seen by the model" if _cuts(explanation) else ""
    name = _drawable(shortened(finding.name, 48), f"class {explanation.class_index(finding.name)}")
    call = "called" if finding.called else "not called"
    lines = (
        (112, "NOT A DIAGNOSIS", 12.0, "bold"),
        (
            88,
            f"Evidence for {name}{against}; probability {finding.probability:.3f}, {call}",
            10.0,
            "normal",
        ),
        (
            68,
            f"Model {shortened(model.name, 40)}, {shortened(model.version, 28)}; "
            f"softcam {metadata.version('softcam')}",
            8.0,
            "normal",
        ),
        (48, f"Logit units: blue against, orange for; regions outlined{unseen}", 8.0, "normal"),
    )
    for above, text, points, weight in lines:
        figure.text(
            0.03,
            above / size[1],
            text,
            color="white",
            fontsize=points,
            fontweight=weight,
            verticalalignment="center",
            parse_math=False,
        )


def _drawable(text: str, otherwise: str) -> str:
    """Give a text if the font has a glyph for each of its letters: boxes name no class."""
    font = get_font(findfont("DejaVu Sans"))
    return text if all(font.get_char_index(ord(letter)) for letter in text) else otherwise


def _cuts(explanation: Explanation) -> bool:
    """Whether a part of the image was cut off before the model."""
    height, width = explanation.geometry.file_size
    return explanation.geometry.visible_box() != (0.0, 0.0, float(width), float(height))
