"""Explanations of image files, written to a folder; a bad image does not stop the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.data.imagefolder import is_image
from softcam.errors import InputError
from softcam.explanation.explain import explain
from softcam.explanation.explanation import Explanation
from softcam.explanation.predictor import Predictor
from softcam.explanation.views import AveragedPredictor
from softcam.files import folder_for
from softcam.workflows.predictors import model_file_of, open_predictor
from softcam.workflows.progress import image_progress

if TYPE_CHECKING:
    from softcam.deploy.dicom.identity import ModelIdentity
    from softcam.evidence.model import SoftCAM
    from softcam.workflows.models import RunLike


@dataclass(frozen=True)
class Explained:
    """What came of explaining some images; the maps are on disk, not here.

    Attributes:
        rows: One for each image that could be read, in order.
        problems: One sentence for each that could not.
        notes: One sentence for each thing to know about what was written.
    """

    rows: tuple[ExplainedImage, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExplainedImage:
    """An image that was explained.

    Attributes:
        name: The image.
        called: The classes that it was called.
        main_class: The class whose probability is given.
        probability: Its probability.
        files: What was written; the JSON first.
    """

    name: str
    called: tuple[str, ...]
    main_class: str
    probability: float
    files: tuple[Path, ...]

    @classmethod
    def of(cls, explanation: Explanation, files: Sequence[Path]) -> ExplainedImage:
        """Keep of an explanation what a list of many needs."""
        main = explanation.main_class
        probability = float(explanation.probabilities[explanation.class_index(main)])
        return cls(explanation.name, explanation.predicted, main, probability, tuple(files))


def explain_files(
    model: SoftCAM | Predictor | RunLike,
    images: Sequence[Path | str],
    out: Path | str,
    *,
    contrast: bool = False,
    threshold: float | None = None,
    tta: str = "none",
    dicom_out: Path | str | None = None,
    dicom_objects: Sequence[str] = ("seg", "sc", "sr", "pm"),
    show_progress: bool = False,
) -> Explained:
    """Explain image files.

    Args:
        model: A SoftCAM, a predictor, a run folder or a model file.
        images: Files, or folders whose PNG, JPEG, TIFF and DICOM files (by name) are taken.
        out: Where to write.
        contrast: Draw each class against the others instead of its own evidence.
        threshold: Evidence, in logit units, from which a cell belongs to a region; half of the
            strongest cell if None.
        tta: Views of each image to average over: "none", "flips" or "rotations", see
            `softcam.explanation.views`.
        dicom_out: Folder for DICOM objects, which only DICOM images have; none are made if None.
        dicom_objects: Which to make, see `softcam.deploy.dicom.case`.
        show_progress: Whether to show a progress bar.

    Returns:
        The explanations and the problems.

    Raises:
        InputError: If the model or the output folder cannot be used.
        MissingExtraError: If DICOM objects are asked for and highdicom is not installed.
    """
    if threshold is not None and not 0 <= threshold < math.inf:
        raise InputError(f"threshold: must be 0 or more logit units, not {threshold}.")
    dicom = None
    if dicom_out is not None:
        dicom = _DicomOut(Path(dicom_out), model, dicom_objects, contrast=contrast, tta=tta)
    predictor = AveragedPredictor(open_predictor(model), tta)
    paths, problems = _files(images)
    written = []
    with ExitStack() as stack:
        target = _made(Path(out), stack)
        told = stack.enter_context(image_progress("explaining", shown=show_progress))
        for number, path in enumerate(paths, start=1):
            try:
                if dicom is not None:
                    dicom.check(path)
                explanation = explain(predictor, path, threshold=threshold)
                objects = [] if dicom is None else dicom.write(explanation, path)
            except InputError as error:
                problems.append(str(error))
            else:
                files = explanation.save(target, contrast=contrast)
                written.append(ExplainedImage.of(explanation, [*files, *objects]))
            told(number, len(paths))
    return Explained(tuple(written), tuple(problems), () if dicom is None else dicom.notes())


def _made(out: Path, stack: ExitStack) -> Path:
    """Make the output folder, which goes again at the stack's end if nothing lies in it."""
    try:
        return stack.enter_context(folder_for(out))
    except OSError as error:
        raise InputError(
            f"{out}: cannot be made ({error.strerror}); choose another --out."
        ) from error


class _DicomOut:
    """Writes the DICOM objects of one image after the other.

    Args:
        out: Where to.
        model: The RUN argument, by whose file objects name the model.
        objects: Which to make.
        contrast: Each class against the others instead of its own evidence.
        tta: Views that were averaged over.
    """

    def __init__(
        self,
        out: Path,
        model: SoftCAM | Predictor | RunLike,
        objects: Sequence[str],
        *,
        contrast: bool,
        tta: str,
    ) -> None:
        from softcam.deploy.dicom.case import check_objects

        self._notes: Counter[str] = Counter()
        self._out = out
        self._objects = check_objects(objects)
        self._file = model_file_of(model)
        self._model: ModelIdentity | None = None
        self._contrast = contrast
        self._tta = tta

    def check(self, path: Path) -> None:
        """Refuse an image that no objects can be made for, before a model looks at it."""
        from softcam.deploy.dicom.source import open_source

        open_source(path)

    def write(self, explanation: Explanation, path: Path) -> list[Path]:
        """Write the objects of an image."""
        from softcam.deploy.dicom.case import write_dicom
        from softcam.deploy.dicom.identity import ModelIdentity

        if self._model is None:
            self._model = ModelIdentity.of(self._file, explanation.info)
        done = write_dicom(
            explanation,
            path,
            self._out,
            model=self._model,
            objects=self._objects,
            contrast=self._contrast,
            parameters={"views": self._tta},
        )
        self._notes.update(done.notes)
        return list(done.files)

    def notes(self) -> tuple[str, ...]:
        """Give each note once, with the number of images that it holds for."""
        return tuple(f"{count} image(s): {note}" for note, count in self._notes.items())


def is_table(path: Path) -> bool:
    """Tell a table from images: a .csv file, or a folder with a table.csv or with class folders.

    A folder with images of its own and no table.csv is a folder of images.

    Args:
        path: A file or folder; it need not exist.
    """
    if not path.is_dir():
        return path.suffix.lower() == ".csv"
    if (path / "table.csv").is_file():
        return True
    inside = list(path.iterdir())
    return any(entry.is_dir() for entry in inside) and not any(is_image(p) for p in inside)


def _files(images: Sequence[Path | str]) -> tuple[list[Path], list[str]]:
    files: list[Path] = []
    problems = []
    for image in images:
        path = Path(image)
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if is_image(p))
        if not inside:
            problems.append(f"{path}: the folder holds no PNG, JPEG, TIFF or DICOM image.")
        files += inside
    return files, problems
