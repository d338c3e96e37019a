"""RUN arguments as predictors; torch is imported only for what runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from softcam.deploy.export.exported import SUFFIXES, open_exported
from softcam.errors import InputError, MissingExtraError
from softcam.explanation.predictor import Predictor, TorchPredictor

if TYPE_CHECKING:
    from softcam.evidence.model import SoftCAM
    from softcam.workflows.models import RunLike


def open_predictor(run: SoftCAM | Predictor | RunLike) -> Predictor:
    """Give what a RUN argument names as a predictor.

    Args:
        run: A SoftCAM, a predictor, a run, a run folder, a model file, or an exported file
            (`.onnx`, or the `.xml` of an OpenVINO pair), which needs no torch.

    Returns:
        The predictor; one that was given is returned as it is.

    Raises:
        InputError: If there is no usable model, or it is a black box.
        MissingExtraError: If what runs it is not installed.
    """
    if isinstance(run, str | Path) and Path(run).suffix.lower() in SUFFIXES:
        path = Path(run)
        if not path.is_dir():
            return open_exported(path)
    if isinstance(run, Predictor):
        return run
    try:
        from softcam.evidence.model import SoftCAM
        from softcam.workflows.models import load_run
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] == "softcam":
            raise
        raise MissingExtraError(
            f"{run}: a run needs {error.name}, which this slim installation is without; give an "
            "exported .onnx or .xml file, or run: pip install softcam"
        ) from error
    if isinstance(run, SoftCAM):
        return TorchPredictor(run)
    model = load_run(run)
    if not isinstance(model, SoftCAM):
        raise InputError(f"{run}: is a black box and has no evidence; give a SoftCAM's run.")
    return TorchPredictor(model)


def model_file_of(run: SoftCAM | Predictor | RunLike) -> Path:
    """Give the file that a RUN argument's model is in, by whose digest results name it.

    Args:
        run: A run, a run folder or a model file.

    Returns:
        The file.

    Raises:
        InputError: If there is none, as for a model that only is in memory.
    """
    if isinstance(run, str | Path) and Path(run).is_file():
        return Path(run)
    from softcam.training.run import Run, find_model

    if isinstance(run, Run):
        return run.model
    if not isinstance(run, str | Path):
        raise InputError(
            f"A {type(run).__name__} in memory has no file whose digest results could name; save "
            "it and pass the file."
        )
    return find_model(run)
