"""Exported files as predictors: what is checked of every file, whatever runs it; torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from softcam.deploy.export.description import (
    EVIDENCE,
    INPUT,
    LARGEST_BATCH,
    LOGITS,
    Description,
)
from softcam.errors import InputError, ModelFileError, WorkError
from softcam.evidence.info import ModelInfo

Floats = npt.NDArray[np.float32]

SUFFIXES = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch"}
"""File suffix to format."""

LARGEST_FILE = 2**31 - 1
"""Bytes; what Protocol Buffers, and so ONNX, allows at most."""

COMPLETENESS = 1e-4
"""Largest difference of a logit from its map's mean, as a share of the batch's largest |logit|;
at export it is held to 1e-5 in the machine's own arithmetic."""


class ExportedPredictor:
    """A graph that gives logits and evidence; the runtimes differ in `_run` alone.

    Every answer is checked: shapes, finite values, logits that are the means of the maps.

    Args:
        path: The file.
        description: What it says of itself.
        digest: The SHA-256 that it is sealed with.
    """

    runtime = ""

    def __init__(self, path: Path, description: Description, digest: str) -> None:
        self.path = path
        self.description = description
        self.digest = digest

    @property
    def info(self) -> ModelInfo:
        """What the model file knew about its model."""
        return self.description.info

    def predict(self, batch: Floats) -> tuple[Floats, Floats]:
        """Run a batch of shape (B, C, H, W); see `Predictor.predict`.

        Raises:
            InputError: If the graph takes no batch of that shape.
            WorkError: If the runtime fails, or what it gives is no evidence.
        """
        images = np.ascontiguousarray(batch, dtype=np.float32)
        self._check_input(images.shape)
        try:
            logits, evidence = self._run(images)
        except Exception as error:  # runtimes raise what they like, none of it documented
            raise WorkError(
                f"{self.path}: {self.runtime} failed on a batch of shape {images.shape} "
                f"({first_line(error)}); try a smaller batch, or export the model again."
            ) from error
        self._check_output(images, logits, evidence)
        return logits, evidence

    def _run(self, images: Floats) -> tuple[Floats, Floats]:
        raise NotImplementedError

    def _check_input(self, shape: tuple[int, ...]) -> None:
        wanted = self.description.in_chans
        if len(shape) != 4 or shape[1] != wanted:
            raise InputError(
                f"{self.path}: takes batches of shape (B, {wanted}, H, W), not {shape}; prepare "
                "the images with the file's preprocessing."
            )
        if not 1 <= shape[0] <= LARGEST_BATCH:
            raise InputError(f"{self.path}: takes 1 to {LARGEST_BATCH} images, not {shape[0]}.")
        refusal = self.description.sizes.refusal(shape[2], shape[3])
        if refusal:
            raise InputError(
                f"{self.path}: {refusal}, not {shape[2]}x{shape[3]}; prepare the images with the "
                "file's preprocessing, or export the model at another size."
            )

    def _require_names(self, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        inputs, outputs = sorted(inputs), sorted(outputs)
        if inputs != [INPUT] or not {LOGITS, EVIDENCE} <= set(outputs):
            raise ModelFileError(
                f"{self.path}: has the inputs {', '.join(inputs)} and the outputs "
                f"{', '.join(outputs)}, not {INPUT}, {LOGITS} and {EVIDENCE}; export the model "
                "with softcam."
            )

    def _check_output(self, images: Floats, logits: Floats, evidence: Floats) -> None:
        count, outputs = len(images), self.description.outputs
        if (
            logits.shape != (count, outputs)
            or evidence.ndim != 4
            or evidence.shape[:2] != (count, outputs)
            or not (np.isfinite(logits).all() and np.isfinite(evidence).all())
        ):
            raise WorkError(
                f"{self.path}: gave logits of shape {logits.shape} and evidence of shape "
                f"{evidence.shape}, or values that are no numbers, for {count} images and "
                f"{outputs} classes; export the model again."
            )
        error = completeness_error(logits, evidence)
        if error > COMPLETENESS:
            raise WorkError(
                f"{self.path}: its logits are not the means of its maps (off by {error:.1e} of "
                "the largest); it is not what softcam exported, or the runtime computes too "
                "coarsely: export the model again."
            )


def completeness_error(logits: Floats, evidence: Floats) -> float:
    """Measure how far logits are from the means of their maps.

    Args:
        logits: Shape (B, K).
        evidence: Shape (B, K, h, w).

    Returns:
        The largest difference as a share of the largest |logit| in the batch.
    """
    means = evidence.mean(axis=(2, 3), dtype=np.float64)
    scale = max(float(np.abs(logits).max()), 1e-6)
    return float(np.abs(means - logits).max()) / scale


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """Read a file of bounded size.

    Raises:
        ModelFileError: If it is missing, empty, too large or unreadable.
    """
    try:
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file; export the model again.")
        size = path.stat().st_size
        if size == 0:
            raise ModelFileError(f"{path}: is empty (0 bytes); copy or export the model again.")
        if size > largest:
            raise ModelFileError(
                f"{path}: has {size / 2**30:.1f} GiB, and an exported model at most "
                f"{largest / 2**30:.1f} GiB; it is not one."
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}).") from error


def refuse_changed(path: Path) -> NoReturn:
    """Say that a file is not what was exported.

    Raises:
        ModelFileError: Always.
    """
    raise ModelFileError(
        f"{path}: is not as it was exported (its digest is wrong): damaged or changed; copy or "
        "export the model again."
    )


def refused(path: Path, runtime: str, version: str, error: BaseException) -> ModelFileError:
    """Say that a runtime does not take the graph of a file.

    Args:
        path: The file.
        runtime: What was to run it.
        version: The runtime's version.
        error: What it raised.
    """
    return ModelFileError(
        f"{path}: {runtime} {version} does not take this graph ({first_line(error)}); export the "
        f"model again, or install a newer {runtime}."
    )


def first_line(error: BaseException) -> str:
    """Give the first line of an error that says something, short enough for a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def open_exported(path: Path | str, *, threads: int | None = None) -> ExportedPredictor:
    """Open an exported file by its suffix, without torch.

    Args:
        path: A `.onnx` file, or the `.xml` of an OpenVINO pair.
        threads: Threads of the runtime; what it takes by itself if None.

    Returns:
        The predictor.

    Raises:
        ModelFileError: If the file is damaged, changed, foreign, newer or not to be trusted.
        MissingExtraError: If its runtime is not installed.
    """
    path = Path(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind == "onnx":
        from softcam.deploy.export.onnx_predictor import OnnxPredictor

        return OnnxPredictor(path, threads=threads)
    if kind == "openvino":
        from softcam.deploy.export.openvino_predictor import OpenVinoPredictor

        return OpenVinoPredictor(path, threads=threads)
    if kind == "torch":
        raise ModelFileError(
            f"{path}: is a torch.export program, which torch opens by unpickling, so that it can "
            "run code; softcam writes such files for other programs and opens none: give the run, "
            "or export it with --format onnx or openvino."
        )
    raise ModelFileError(f"{path}: is no exported model; one ends in .onnx or .xml.")
