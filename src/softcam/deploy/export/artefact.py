"""A model in one of the formats, in memory: to be tried, made smaller and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from softcam.deploy.export.description import (
    EVIDENCE,
    INPUT,
    LOGITS,
    Description,
    Format,
    Precision,
)
from softcam.deploy.export.graph import Graph, to_onnx, traced
from softcam.deploy.export.precision import (
    quantised_onnx,
    quantised_openvino,
    with_half_constants,
    with_half_weights,
)
from softcam.deploy.export.silent import load_openvino
from softcam.deploy.export.write import (
    onnx_bytes,
    openvino_bytes,
    openvino_model,
    torch_bytes,
)
from softcam.errors import MissingExtraError

if TYPE_CHECKING:
    from softcam.evidence.model import SoftCAM

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Artefact:
    """A model in a format.

    Attributes:
        kind: The format.
        program: The ONNX model, the OpenVINO model or the torch program.
        graph: The ONNX graph in float32 that it was made from; None for torch.
    """

    kind: Format
    program: Any
    graph: Graph | None

    def predict(self, batch: Floats) -> tuple[Floats, Floats]:
        """Run it as it is, unchecked: logits (B, K) and evidence (B, K, h, w)."""
        if self.kind == "torch":
            with torch.no_grad():
                logits, evidence = self.program.module()(torch.from_numpy(batch))
            return logits.numpy(), evidence.numpy()
        if self.kind == "openvino":
            found = (
                load_openvino()
                .Core()
                .compile_model(self.program, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
                    {INPUT: batch}
                )
            )
            return found[LOGITS], found[EVIDENCE]
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            self.program.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        quiet = onnxruntime.RunOptions()
        quiet.log_severity_level = 4
        logits, evidence = session.run([LOGITS, EVIDENCE], {INPUT: batch}, quiet)
        return logits, evidence

    def reduced(self, precision: Precision, images: Sequence[Floats]) -> Artefact:
        """Give it in smaller numbers in front of the evidence head.

        Args:
            precision: "fp16" or "int8".
            images: For int8, batches to measure ranges on.
        """
        if self.graph is None:
            raise ValueError("a torch program is not reduced")
        if self.kind == "onnx":
            smaller = (
                quantised_onnx(self.graph, images)
                if precision == "int8"
                else with_half_weights(self.graph)
            )
        else:
            smaller = (
                quantised_openvino(self.program, self.graph, images)
                if precision == "int8"
                else with_half_constants(self.program, self.graph)
            )
        return Artefact(self.kind, smaller, self.graph)

    def contents(self, description: Description) -> tuple[bytes, ...]:
        """Give the files' contents: one, or graph and weights."""
        if self.kind == "torch":
            return (torch_bytes(self.program, description),)
        if self.kind == "openvino":
            return openvino_bytes(self.program, description)
        return (onnx_bytes(self.program, description),)

    def versions(self) -> dict[str, str]:
        """Name the versions of the exporting libraries."""
        found = {}
        for name in ("onnx", "onnxscript", "onnxruntime", "openvino", "nncf"):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return found


def make_artefact(model: SoftCAM, images: Floats, kind: Format, *, any_size: bool) -> Artefact:
    """Trace a model and turn it into a format, in float32.

    Args:
        model: A model from `prepared`.
        images: Two or more images (B, C, H, W).
        kind: The format.
        any_size: Whether height and width are to be free.

    Raises:
        WorkError: If it cannot be traced so, or the format has no counterpart.
        MissingExtraError: If a library is not installed.
    """
    example = torch.from_numpy(images)
    if kind == "torch":
        program = traced(model, example, any_size=any_size, with_features=False)
        return Artefact(kind, program, None)
    graph = to_onnx(traced(model, example, any_size=any_size), any_size=any_size)
    if kind == "openvino":
        return Artefact(kind, openvino_model(graph.model), graph)
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "an exported ONNX file is proved by onnxruntime, which is not installed; run: "
            'pip install "softcam[export]"'
        ) from error
    return Artefact(kind, graph.model, graph)
