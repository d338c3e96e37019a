"""Smaller numbers in front of the evidence head: half-precision weights, 8-bit arithmetic.

The evidence head, and all behind it, stays in float32, so that the mean of a map stays the logit.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from softcam.deploy.export.description import INPUT
from softcam.deploy.export.exported import first_line
from softcam.deploy.export.graph import Graph
from softcam.errors import MissingExtraError, WorkError

if TYPE_CHECKING:
    import onnx

Floats = npt.NDArray[np.float32]

_SMALL = 64
"""Tensors of fewer elements stay as they are: they are scales and shapes rather than weights."""

_HALF_LIMIT = 65504.0


def with_half_weights(graph: Graph) -> onnx.ModelProto:
    """Store the backbone's weights in half precision; a runtime widens them when it loads them.

    So the file is half as large and runs wherever float32 does; only the weights are rounded.

    Args:
        graph: The graph; it stays as it is.

    Returns:
        The graph with smaller weights.
    """
    from onnx import TensorProto, helper, numpy_helper

    model = _copied(graph.model)
    kept = {
        name for node in model.graph.node if node.name not in graph.backbone for name in node.input
    }
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.name in kept:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALL or float(np.abs(values).max()) > _HALF_LIMIT:
            continue
        wide, narrow = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), narrow))
        casts.append(
            helper.make_node("Cast", [narrow], [wide], name=f"widen {wide}", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def quantised_onnx(graph: Graph, images: Sequence[Floats]) -> onnx.ModelProto:
    """Quantise the backbone to 8 bits, for onnxruntime.

    Weights have a scale for each output channel; activations have ranges that are measured on
    images. Quantised and dequantised values stand in the graph as pairs of nodes (QDQ).

    Args:
        graph: The graph; it stays as it is.
        images: Normalised batches (B, C, H, W) to measure the ranges on.

    Returns:
        The quantised graph.

    Raises:
        WorkError: If onnxruntime cannot quantise it.
        MissingExtraError: If onnxruntime is not installed.
    """
    try:
        from onnxruntime.quantization import (
            CalibrationDataReader,
            QuantFormat,
            QuantType,
            quantize_static,
        )
    except ImportError as error:
        raise _missing("onnxruntime") from error
    import onnx

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(images)

        def get_next(self) -> dict[str, Floats] | None:
            batch = next(self.rest, None)
            return None if batch is None else {INPUT: batch}

    pixels = _of_pixels(graph.model) & graph.backbone
    kept = [node.name for node in graph.model.graph.node if node.name not in pixels]
    try:
        with tempfile.TemporaryDirectory(prefix="softcam-") as folder, _quietly():
            before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
            onnx.save(graph.model, before)
            quantize_static(
                before,
                after,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=kept,
            )
            return onnx.load(after)
    except Exception as error:  # what its many passes raise is not documented
        raise WorkError(
            f"onnxruntime cannot quantise this model ({first_line(error)}); use --precision fp16, "
            "or --format openvino."
        ) from error


def quantised_openvino(model: Any, graph: Graph, images: Sequence[Floats]) -> Any:
    """Quantise the backbone of an OpenVINO model to 8 bits, by NNCF.

    Args:
        model: The OpenVINO model that was made from the graph; its tensors have the graph's names.
        graph: The graph.
        images: Normalised batches (B, C, H, W) to measure the ranges on.

    Returns:
        The quantised model.

    Raises:
        WorkError: If NNCF cannot quantise it.
        MissingExtraError: If it is not installed.
    """
    # Without it NNCF tells its makers over the network that it is used.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        with _quietly():
            import nncf
    except ImportError as error:
        raise _missing("nncf") from error
    try:
        with _quietly():
            return nncf.quantize(
                model,
                nncf.Dataset(list(images)),
                subset_size=len(images),
                # Mixed: unsigned where a ReLU stands in front, as most processors do it fastest.
                preset=nncf.QuantizationPreset.MIXED,
                ignored_scope=nncf.IgnoredScope(
                    names=head_operations(model, graph), validate=False
                ),
            )
    except Exception as error:
        raise WorkError(
            f"NNCF cannot quantise this model ({first_line(error)}); use --precision fp16, or "
            "--format onnx."
        ) from error


def with_half_constants(model: Any, graph: Graph) -> Any:
    """Store the backbone's weights of an OpenVINO model in half precision, as `with_half_weights`.

    Args:
        model: The OpenVINO model that was made from the graph; it is changed.
        graph: The graph.

    Returns:
        The model.
    """
    from openvino import Type
    from openvino import opset13 as opset

    head = set(head_operations(model, graph))
    for constant in model.get_ordered_ops():
        if constant.get_type_name() != "Constant" or constant.get_element_type() != Type.f32:
            continue
        uses = list(constant.output(0).get_target_inputs())
        values = constant.data
        if values.size < _SMALL or float(np.abs(values).max()) > _HALF_LIMIT:
            continue
        if any(use.get_node().get_friendly_name() in head for use in uses):
            continue
        wide = opset.convert(opset.constant(values.astype(np.float16)), "f32")
        wide.set_friendly_name(f"widen {constant.get_friendly_name()}")
        for use in uses:
            use.replace_source_output(wide.output(0))
    return model


def head_operations(model: Any, graph: Graph) -> list[str]:
    """Name the operations of an OpenVINO model behind its graph's backbone."""
    inside = {
        name
        for node in graph.model.graph.node
        if node.name in graph.backbone
        for name in node.output
    }
    found: dict[str, None] = {}
    waiting = [item.get_node().input_value(0).get_node() for item in model.outputs]
    while waiting:
        operation = waiting.pop()
        names = {name for output in operation.outputs() for name in output.get_names()}
        known = operation.get_friendly_name() in found
        if known or names & inside or operation.get_type_name() in ("Parameter", "Constant"):
            continue
        found[operation.get_friendly_name()] = None
        waiting += [value.get_node() for value in operation.input_values()]
    return list(found)


def _of_pixels(model: onnx.ModelProto) -> set[str]:
    """Name the nodes that compute with pixels; the others compute sizes and places, exactly."""
    found: set[str] = set()
    values = {INPUT}
    for node in model.graph.node:  # in the order of their computation
        if node.op_type not in ("Shape", "Size") and values.intersection(node.input):
            found.add(node.name)
            values.update(node.output)
    return found


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _missing(name: str) -> MissingExtraError:
    return MissingExtraError(
        f'8-bit export needs {name}, which is not installed; run: pip install "softcam[export]"'
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the quantisers' advice to developers from users."""
    loggers = [logging.getLogger(name) for name in (None, "nncf", "torch")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
