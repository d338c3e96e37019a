"""From a SoftCAM to one ONNX graph with logits and evidence; the backbone's part of it is known."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from softcam.deploy.export.description import (
    EVIDENCE,
    INPUT,
    LARGEST,
    LARGEST_BATCH,
    LOGITS,
)
from softcam.deploy.export.exported import first_line
from softcam.errors import InputError, MissingExtraError, WorkError
from softcam.evidence.model import SoftCAM
from softcam.evidence.probe import evaluating

if TYPE_CHECKING:
    import onnx

SMALLEST = 64
"""Shortest side of an input of a graph for any size: no stage of a backbone has a single cell."""

_FEATURES = "features"


class _Exportable(nn.Module):
    """A SoftCAM that gives a tuple; with its features behind, to know where the head begins."""

    def __init__(self, model: SoftCAM, *, with_features: bool) -> None:
        super().__init__()
        self.model = model
        self.with_features = with_features

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.model.backbone(images)
        evidence = self.model.head(features)
        logits = evidence.mean(dim=(2, 3))
        if not self.with_features:
            return logits, evidence
        listed = [features] if isinstance(features, Tensor) else list(features)
        return logits, evidence, *listed


@dataclass(frozen=True)
class Graph:
    """A graph and which part of it is the backbone.

    Attributes:
        model: The ONNX model: input `images`, outputs `logits` and `evidence`.
        backbone: Names of the nodes in front of the evidence head.
        any_size: Whether height and width are free.
    """

    model: onnx.ModelProto
    backbone: frozenset[str]
    any_size: bool


def prepared(model: SoftCAM) -> SoftCAM:
    """Copy a model to the CPU in float32 and eval mode, ready to be exported.

    Raises:
        InputError: If it does not take images, (B, C, H, W).
    """
    if model.head.dims != 2:
        raise InputError(
            f"this model takes {model.head.dims}-D input; export takes models of images (2-D): run "
            "it with softcam.load instead."
        )
    return copy.deepcopy(model).cpu().float().eval().requires_grad_(False)


def traced(
    model: SoftCAM, images: Tensor, *, any_size: bool, with_features: bool = True
) -> ExportedProgram:
    """Trace a model for any batch, and any size if wanted.

    Args:
        model: A model from `prepared`.
        images: Two or more images (B, C, H, W).
        any_size: Whether height and width are to be free.
        with_features: Whether the features are outputs too, behind logits and evidence.

    Returns:
        The program.

    Raises:
        WorkError: If torch cannot trace it so.
    """
    axes: dict[int, Any] = {0: Dim("batch", min=1, max=LARGEST_BATCH)}
    if any_size:
        axes[2] = Dim("height", min=SMALLEST, max=LARGEST)
        axes[3] = Dim("width", min=SMALLEST, max=LARGEST)
    module = _Exportable(model, with_features=with_features).eval()
    try:
        with _quietly(), evaluating(module):
            return torch.export.export(
                module,
                (images,),
                dynamic_shapes={"images": axes},
                strict=False,
                # What cannot be proved of every size is tried on some afterwards.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except Exception as error:  # torch.export raises what the model's code and its own raise
        raise WorkError(
            f"torch.export cannot trace this model for {'any' if any_size else 'one'} size "
            f"({first_line(error)}); run it with softcam itself, or convert another backbone."
        ) from error


def to_onnx(program: ExportedProgram, *, any_size: bool) -> Graph:
    """Turn a traced program with features into an ONNX graph without them.

    Args:
        program: From `traced`, with features.
        any_size: Whether its height and width are free.

    Returns:
        The graph, its batch norms folded into convolutions.

    Raises:
        WorkError: If an operation has no counterpart in ONNX, or the graph is too large.
        MissingExtraError: If onnx or onnxscript is not installed.
    """
    require_exporter()
    (images,), _ = program.example_inputs
    count = len(program.graph_signature.user_outputs) - 2
    features = [f"{_FEATURES}_{number}" for number in range(count)]
    try:
        with _quietly():
            exported = torch.onnx.export(
                program,
                (images,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[LOGITS, EVIDENCE, *features],
                verbose=False,
            )
            assert exported is not None
            model = exported.model_proto
            model.SerializeToString()  # or it has more than the 2 GiB that ONNX allows
    except Exception as error:
        raise WorkError(
            f"torch cannot write this model as ONNX ({first_line(error)}); use --format torch, or "
            "convert another backbone."
        ) from error
    backbone = _in_front_of(model, features)
    kept = [item for item in model.graph.output if item.name in (LOGITS, EVIDENCE)]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    _plain(model)
    return Graph(model, backbone, any_size)


def require_exporter() -> None:
    """Look whether what torch writes ONNX with is there.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"exporting a model needs {error.name}, which is not installed; run: "
            'pip install "softcam[export]"'
        ) from error


def _in_front_of(model: onnx.ModelProto, tensors: Sequence[str]) -> frozenset[str]:
    """Name the nodes that some tensors depend on."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    found: set[str] = set()
    waiting = list(tensors)
    while waiting:
        node = made_by.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return frozenset(found)


def _plain(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes for its developers: source lines and paths."""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    for items in (model.graph.node, model.graph.initializer, model.graph.value_info):
        for item in items:
            item.doc_string = ""
            del item.metadata_props[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporters' hints to their developers from users; what fails is raised anyway."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
