"""Exported OpenVINO pairs (.xml and .bin), run by OpenVINO."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

from softcam.deploy.export.description import (
    EVIDENCE,
    INPUT,
    KEY,
    LOGITS,
    read_description,
)
from softcam.deploy.export.exported import (
    ExportedPredictor,
    Floats,
    read_bytes,
    refuse_changed,
    refused,
)
from softcam.deploy.export.seal import digest_of, is_sealed, seal_holds
from softcam.deploy.export.silent import load_openvino
from softcam.errors import ModelFileError

_LARGEST_XML = 64 * 2**20


class OpenVinoPredictor(ExportedPredictor):
    """Runs an exported OpenVINO pair on the CPU.

    It computes in float32 where the processor would rather take bfloat16: the mean of a map is to
    stay the logit.

    Args:
        path: The `.xml` written by `softcam export --format openvino`; the `.bin` is beside it.
        threads: Threads of the runtime; what it takes by itself if None.

    Raises:
        ModelFileError: If a file is damaged, changed, foreign, newer or not to be trusted.
        MissingExtraError: If OpenVINO is not installed.
    """

    runtime = "OpenVINO"

    def __init__(self, path: Path | str, *, threads: int | None = None) -> None:
        path = Path(path)
        graph = read_bytes(path, _LARGEST_XML)
        if not is_sealed(graph) or b"<net" not in graph[:4096]:
            raise ModelFileError(
                f"{path}: is no OpenVINO graph that softcam exported, or cut short; make one with "
                "`softcam export RUN --format openvino`."
            )
        weights = read_bytes(path.with_suffix(".bin"))
        if not seal_holds(graph, weights):
            refuse_changed(path)
        openvino = load_openvino()
        core = openvino.Core()
        try:
            model = core.read_model(graph, weights)
            text = model.get_rt_info(KEY).astype(str)
        except Exception as error:  # OpenVINO raises RuntimeError, TypeError and others
            raise refused(path, self.runtime, openvino.__version__, error) from error
        super().__init__(path, read_description(path, text), digest_of(graph) or "")
        self._check_graph(model)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            self._compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:
            raise refused(path, self.runtime, openvino.__version__, error) from error
        self._request = self._compiled.create_infer_request()
        self._lock = Lock()  # a request runs one batch at a time, and a server has several threads

    def _run(self, images: Floats) -> tuple[Floats, Floats]:
        with self._lock:
            found = self._request.infer({INPUT: images}, share_inputs=True)
            return found[LOGITS].copy(), found[EVIDENCE].copy()

    def _check_graph(self, model: Any) -> None:
        inputs = {name for item in model.inputs for name in item.get_names()}
        outputs = {name: item for item in model.outputs for name in item.get_names()}
        self._require_names(inputs, outputs)
        wanted = {
            4: (model.inputs[0], self.description.in_chans),
            2: (outputs[LOGITS], self.description.outputs),
        }
        for rank, (item, channels) in wanted.items():
            shape = item.get_partial_shape()
            if len(shape) != rank or not (shape[1].is_dynamic or shape[1].get_length() == channels):
                raise ModelFileError(
                    f"{self.path}: its input or outputs have shapes such as {shape}, which do not "
                    f"fit {self.description.in_chans} channels and {self.description.outputs} "
                    "classes; export the model again."
                )
