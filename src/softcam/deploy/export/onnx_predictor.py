"""Exported ONNX files, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softcam.deploy.export.description import (
    DIGEST_KEY,
    EVIDENCE,
    INPUT,
    KEY,
    LOGITS,
    Description,
    read_description,
)
from softcam.deploy.export.exported import (
    ExportedPredictor,
    Floats,
    read_bytes,
    refuse_changed,
    refused,
)
from softcam.deploy.export.protobuf import ScanError, scan
from softcam.deploy.export.seal import digest_of, is_sealed, seal_holds
from softcam.errors import MissingExtraError, ModelFileError


class OnnxPredictor(ExportedPredictor):
    """Runs an exported ONNX file.

    The file is read once; what was checked is what runs. A graph whose values lie in other files
    is refused, so that none can make the runtime read them.

    Args:
        path: A file written by `softcam export --format onnx`.
        threads: Threads of the runtime; what it takes by itself if None.

    Raises:
        ModelFileError: If the file is damaged, changed, foreign, newer or not to be trusted.
        MissingExtraError: If onnxruntime is not installed.
    """

    runtime = "onnxruntime"

    def __init__(self, path: Path | str, *, threads: int | None = None) -> None:
        path = Path(path)
        data = read_bytes(path)
        description = described(path, data)
        super().__init__(path, description, digest_of(data) or "")
        self._session, self._options = _session(path, data, threads)
        self._check_graph()

    def _run(self, images: Floats) -> tuple[Floats, Floats]:
        logits, evidence = self._session.run([LOGITS, EVIDENCE], {INPUT: images}, self._options)
        return logits, evidence

    def _check_graph(self) -> None:
        inputs = {item.name: item for item in self._session.get_inputs()}
        outputs = {item.name: item for item in self._session.get_outputs()}
        self._require_names(inputs, outputs)
        shapes = [inputs[INPUT].shape, outputs[LOGITS].shape, outputs[EVIDENCE].shape]
        wanted = [(4, self.description.in_chans)] + [
            (rank, self.description.outputs) for rank in (2, 4)
        ]
        types = {item.type for item in (inputs[INPUT], outputs[LOGITS], outputs[EVIDENCE])}
        fits = all(
            len(shape) == rank and (not isinstance(shape[1], int) or shape[1] == channels)
            for shape, (rank, channels) in zip(shapes, wanted, strict=True)
        )
        if not fits or types != {"tensor(float)"}:
            raise ModelFileError(
                f"{self.path}: its input and outputs have the shapes {shapes}, which do not fit "
                f"{self.description.in_chans} channels and {self.description.outputs} classes; "
                "export the model again."
            )


def described(path: Path, data: bytes) -> Description:
    """Check an ONNX file's bytes and read its description; no runtime is needed.

    Args:
        path: The file, for the messages.
        data: All of it.

    Returns:
        The description.

    Raises:
        ModelFileError: If it is damaged, changed, foreign, newer or points to other files.
    """
    try:
        found = scan(data)
    except ScanError as error:
        raise ModelFileError(
            f"{path}: is damaged, cut short or no ONNX file ({error}); copy or export the model "
            "again."
        ) from error
    if KEY not in found.metadata or DIGEST_KEY not in found.metadata or not is_sealed(data):
        raise ModelFileError(
            f"{path}: is no ONNX graph that softcam exported; make one with "
            "`softcam export RUN --format onnx`."
        )
    if not seal_holds(data):
        refuse_changed(path)
    if found.external:
        raise ModelFileError(
            f"{path}: takes values from other files, which could be any on this machine; export "
            "the model again."
        )
    return read_description(path, found.metadata[KEY])


def _session(path: Path, data: bytes, threads: int | None) -> tuple[Any, Any]:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "running an exported ONNX file needs onnxruntime, which is not installed; run: "
            'pip install "softcam[export]"'
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is said in one sentence, ours
    if threads is not None:
        options.intra_op_num_threads = threads
    run_options = onnxruntime.RunOptions()
    run_options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no common base
        raise refused(path, OnnxPredictor.runtime, onnxruntime.__version__, error) from error
    return session, run_options
