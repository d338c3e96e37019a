"""A run as one file that gives logits and evidence without torch: traced, proved, measured."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from softcam.data.records import Table
from softcam.deploy.export.artefact import Artefact, make_artefact
from softcam.deploy.export.description import LARGEST, Description, Format, Precision, Sizes
from softcam.deploy.export.exported import SUFFIXES, ExportedPredictor, open_exported
from softcam.deploy.export.graph import SMALLEST, prepared, require_exporter
from softcam.deploy.export.silent import load_openvino
from softcam.deploy.export.verify import TOLERANCES, compared, relative_error
from softcam.deploy.export.write import move_files, staged, write_files
from softcam.errors import InputError, WorkError
from softcam.evidence.file import library_versions
from softcam.evidence.model import SoftCAM
from softcam.explanation.predictor import TorchPredictor
from softcam.training.run import Run, find_model
from softcam.workflows.evaluate import choose_split, read_for, require_same_classes
from softcam.workflows.export.images import at_size, proving_images
from softcam.workflows.export.loss import Loss, calibration_images, measure_loss
from softcam.workflows.models import RunLike, load_run

_LOG = logging.getLogger("softcam")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: The file to open.
        files: All files: for OpenVINO the weights too.
        description: What the file says of itself.
        loss: What the precision costs on the table; None without one.
    """

    path: Path
    files: tuple[Path, ...]
    description: Description
    loss: Loss | None


def export(
    run: SoftCAM | RunLike,
    out: Path | str,
    *,
    format: Format | None = None,
    precision: Precision = "fp32",
    table: Path | str | None = None,
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    verify_on: Sequence[Path | str] = (),
    calibrate: int = 256,
    resamples: int = 1000,
    show_progress: bool = False,
) -> Exported:
    """Export a model to a file that gives logits and evidence, and prove it.

    The exported graph must give the model's logits and evidence, and logits that are the means of
    its maps, on real images or phantoms; else nothing is written.

    Args:
        run: A SoftCAM, a run, a run folder or a model file.
        out: The file: `.onnx`, `.xml` (OpenVINO, with a `.bin` beside it) or `.pt2` (torch).
        format: "onnx", "openvino" or "torch"; by the file's suffix if None.
        precision: "fp32"; "fp16" stores the backbone's weights in half precision; "int8" computes
            the backbone in 8 bits, and needs a table. The evidence head stays in float32.
        table: Labelled images to measure the loss in AUC and in the maps on, and to calibrate
            int8 with (its train and val images).
        split: Which split to measure on; test if there is one, else all.
        images: Folder of the table's images, if not beside it.
        dataset: The dataset.yaml, if not beside the table.
        verify_on: Image files or folders to prove the export on; the table's, else phantoms.
        calibrate: Images at most to calibrate int8 with.
        resamples: Bootstrap resamples of the loss.
        show_progress: Whether to show progress.

    Returns:
        What was written.

    Raises:
        InputError: If an argument cannot be used.
        WorkError: If the model cannot be traced, or the graph does not give its answers.
        MissingExtraError: If a library of the extra `export` is not installed.
    """
    target = Path(out)
    kind = _checked(target, format, precision, table, calibrate)
    require_exporter()
    if kind == "openvino":
        load_openvino()
    with staged(target) as place:  # refused before the long work if it cannot be written
        source, model = _model(run)
        whole = _table(model, table, images, dataset)
        measured = whole
        calibration: list[Floats] = []
        if precision == "int8" and whole is not None:
            calibration, measured = calibration_images(whole, model.info, calibrate)
        chosen = None if measured is None else choose_split(measured, split)
        proving = proving_images(model, verify_on, None if chosen is None else chosen[0])
        twin = prepared(model)
        artefact, sizes = _for_sizes(twin, proving.batch, kind)
        if precision != "fp32":
            artefact = artefact.reduced(precision, calibration)
        description = Description(
            info=model.info,
            in_chans=proving.batch.shape[1],
            outputs=model.num_outputs,
            sizes=sizes,
            precision=precision,
            source=source,
            exporter=library_versions() | artefact.versions(),
        )
        expected = TorchPredictor(twin).predict(proving.batch)
        predict = _opened(artefact, description, place)
        verified = compared(
            expected, predict(proving.batch), precision=precision, images=proving.source
        )
        description = description.model_copy(update={"verified": verified})
        loss = None
        if chosen is not None and not isinstance(artefact.program, torch.export.ExportedProgram):
            loss = measure_loss(
                TorchPredictor(twin),
                _reopened(place),
                chosen[0],
                split=chosen[1],
                resamples=resamples,
                show_progress=show_progress,
            )
            if loss.refusal():
                raise WorkError(
                    f"the {precision} graph {loss.refusal()}; nothing was written: use another "
                    "--precision or --format, or more images to --calibrate."
                )
            description = description.model_copy(
                update={"loss": {"table": chosen[0].path.name, **loss.to_dict()}}
            )
        # Once more with all that is known now, and once more proved: what is moved is what ran.
        predict = _opened(artefact, description, place)
        compared(expected, predict(proving.batch), precision=precision, images=proving.source)
        written = [item for item in place.parent.iterdir() if item.stem == place.stem]
        files = move_files(written, target)
    return Exported(target, tuple(files), description, loss)


def _checked(
    out: Path,
    format: Format | None,
    precision: Precision,
    table: Path | str | None,
    calibrate: int,
) -> Format:
    """Find the format, and refuse what does not go together."""
    by_suffix = SUFFIXES.get(out.suffix.lower())
    kind = format or by_suffix
    suffixes = {name: suffix for suffix, name in SUFFIXES.items()}
    if kind is None or kind not in suffixes:
        raise InputError(
            f"{format or out}: is no format; name onnx, openvino or torch, or a file that ends in "
            ".onnx, .xml or .pt2."
        )
    if by_suffix != kind:
        raise InputError(
            f"{out}: a file of the format {kind} ends in {suffixes[kind]}; call it "
            f"{out.with_suffix(suffixes[kind]).name}."
        )
    if precision not in get_args(Precision):
        raise InputError(f"precision: must be fp32, fp16 or int8, not {precision}.")
    if precision == "int8" and table is None:
        raise InputError(
            "precision: int8 needs a table to measure ranges and its loss on; give --table, or "
            "use --precision fp16."
        )
    if kind == "torch" and precision != "fp32":
        raise InputError(
            f"precision: a torch program is exported in fp32, not {precision}; use --format onnx "
            "or openvino."
        )
    if calibrate < 1:
        raise InputError(f"calibrate: must be 1 or more images, not {calibrate}.")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file.")
    return kind  # type: ignore[return-value]


def _model(run: SoftCAM | RunLike) -> tuple[dict[str, str], SoftCAM]:
    if isinstance(run, SoftCAM):
        return {}, run
    path = run.model if isinstance(run, Run) else find_model(run)
    if path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path}: is exported already; give a run folder or a model file.")
    model = load_run(path)
    if not isinstance(model, SoftCAM):
        raise InputError(f"{run}: is a black box and has no evidence; give a SoftCAM's run.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.name, "sha256": digest}, model


def _table(
    model: SoftCAM, table: Path | str | None, images: Path | None, dataset: Path | None
) -> Table | None:
    if table is None:
        return None
    found = read_for(model.info, table, images=images, dataset=dataset)
    require_same_classes(found, model.info)
    return found


def _for_sizes(model: SoftCAM, batch: Floats, kind: Format) -> tuple[Artefact, Sizes]:
    """Trace a model for any size, where it and the graph take others; else for its own."""
    height, width = batch.shape[2:]
    trained = (height, width)
    few = batch[:2]
    step = 32
    even = tuple(
        min(-(-side // step) * step + more, LARGEST)
        for side, more in zip(trained, (step, 2 * step), strict=True)
    )
    odd = (even[0] + 5, even[1] - 13)
    small = (SMALLEST, SMALLEST + step)
    wanted: dict[tuple[int, int], tuple[Floats, Floats]] = {}
    for size in (even, odd, small):
        answer = _answer(model, at_size(few, *size))
        if answer is not None:
            wanted[size] = answer
    if even in wanted:
        try:
            artefact = make_artefact(model, few, kind, any_size=True)
        except WorkError as error:
            _LOG.info("one input size only: %s", error)
        else:
            fits = {
                size
                for size, answer in wanted.items()
                if _same(artefact.predict, at_size(few, *size), answer)
            }
            own = _answer(model, few)
            if even in fits and own is not None and _same(artefact.predict, few, own):
                return artefact, Sizes(
                    trained=trained,
                    fixed=False,
                    smallest=SMALLEST if small in fits else min(trained),
                    multiple=1 if odd in fits else step,
                )
            _LOG.info("one input size only: the graph differs from the model at other sizes")
    return make_artefact(model, few, kind, any_size=False), Sizes(trained=trained)


def _beyond(side: int, more: int, step: int = 32) -> int:
    """A larger side that is a multiple of what backbones halve five times."""
    return min(-(-side // step) * step + more, LARGEST)


def _answer(model: SoftCAM, batch: Floats) -> tuple[Floats, Floats] | None:
    """What the model says of images; None if it takes none of that size."""
    try:
        return TorchPredictor(model).predict(batch)
    except Exception:  # the model's own code says in its own way what it does not take
        return None


def _same(
    predict: Callable[[Floats], tuple[Floats, Floats]],
    batch: Floats,
    expected: tuple[Floats, Floats],
) -> bool:
    try:
        found = predict(batch)
    except Exception:  # a runtime says in its own way what its graph does not take
        return False
    return all(
        own.shape == other.shape and relative_error(own, other) <= TOLERANCES["fp32"][name]
        for name, own, other in zip(("logits", "evidence"), expected, found, strict=True)
    )


def _opened(
    artefact: Artefact, description: Description, place: Path
) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Write a file and give what runs it: for a torch program the program itself."""
    write_files(place, *artefact.contents(description))
    if isinstance(artefact.program, torch.export.ExportedProgram):
        return artefact.predict
    return _reopened(place).predict


def _reopened(place: Path) -> ExportedPredictor:
    return open_exported(place)
