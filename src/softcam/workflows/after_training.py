"""What a trained model still gets from validation images: a map in place, sharpness, thresholds."""

from __future__ import annotations

import logging
import time

from softcam.conversion.black_box import BlackBox
from softcam.data.records import Table
from softcam.evidence.file import library_versions
from softcam.evidence.model import SoftCAM
from softcam.training.aligning import Aligned, align
from softcam.training.config import TrainConfig
from softcam.training.loop import Fitted
from softcam.training.sharpening import Sharpened, sharpen
from softcam.training.thresholds import choose_thresholds
from softcam.workflows.inference import batches, predict_table
from softcam.workflows.models import preprocessing_of

_LOG = logging.getLogger("softcam")


def prepare_for_use(
    model: SoftCAM | BlackBox,
    settings: TrainConfig,
    fitted: Fitted,
    val: Table,
    started: float,
    *,
    show_progress: bool,
) -> None:
    """Align and sharpen the maps as the settings ask, choose thresholds, note the provenance.

    Args:
        model: The trained model, changed in place.
        settings: Of its training.
        fitted: What the training gave.
        val: The validation images.
        started: When its training began, by the monotonic clock.
        show_progress: Whether to show progress bars.
    """
    aligned = _align(model, settings, val, show_progress=show_progress)
    sharpened = _sharpen(model, settings, val, show_progress=show_progress)
    _describe(model, fitted, val, time.monotonic() - started, show_progress=show_progress)
    if aligned is not None:
        model.info.training = {**model.info.training, "aligned": aligned.to_json()}
    if sharpened is not None:
        model.info.training = {**model.info.training, "sharpened": sharpened.to_json()}


def _align(
    model: SoftCAM | BlackBox, settings: TrainConfig, val: Table, *, show_progress: bool
) -> Aligned | None:
    """Lay the map where validation images and their mirror images agree that it looks."""
    if not settings.align or not isinstance(model, SoftCAM):
        return None
    images = batches(
        val, preprocessing_of(model), title="aligning maps", show_progress=show_progress
    )
    found = align(model, (batch.pixels for batch in images))
    moved = " and ".join(f"{pixels:+.1f}" for pixels in found.moved)
    _LOG.info("%s: the map moved by %s px, down and right, after training", settings.out, moved)
    return found


def _sharpen(
    model: SoftCAM | BlackBox, settings: TrainConfig, val: Table, *, show_progress: bool
) -> Sharpened | None:
    """Raise the concentration on validation, where the settings ask for it."""
    if settings.sharpen is None or not isinstance(model, SoftCAM):
        return None
    images = batches(
        val, preprocessing_of(model), title="sharpening maps", show_progress=show_progress
    )
    found = sharpen(
        model,
        (batch.pixels for batch in images),
        val.labels(),
        val.spec.task,
        settings.sharpen,
    )
    _LOG.info(
        "%s: concentration raised from %g to %g after training",
        settings.out,
        found.sharpness[0],
        found.chosen,
    )
    return found


def _describe(
    model: SoftCAM | BlackBox,
    fitted: Fitted,
    val: Table,
    seconds: float,
    *,
    show_progress: bool,
) -> None:
    """Choose thresholds on validation, and put the provenance into the model."""
    predictions = predict_table(
        model, val, title="choosing thresholds", show_progress=show_progress
    )
    best = fitted.history[fitted.best_epoch - 1]
    info = model.info
    info.thresholds = choose_thresholds(
        predictions.probabilities, val.labels(), val.spec.task, info.classes
    )
    info.training = {
        **info.training,
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history),
        "precision": fitted.precision,
        "device": fitted.device,
        "seconds": round(seconds, 1),
        "versions": library_versions(),
        "validation": {name: best.get(name) for name in ("val_auc", "val_loss")},
    }
