"""A model's forward pass as a graph, with what goes wrong in it said in a sentence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.nodes import data_inputs, is_head_alone, module_of
from softcam.conversion.tracing import VALUE, trace

NAME_ENDS = (
    'name the two ends, as convert(model, features="layer4", head="fc"), where the head is the '
    "part that ends in the logits"
)


def traced(
    model: nn.Module,
    example: Any,
    opened: frozenset[str],
    called: str,
    until: str | None = None,
) -> fx.GraphModule:
    """Trace a forward pass.

    Args:
        model: Any module of one input; it is not changed.
        example: An input that it takes.
        opened: Names of the modules to look into; the others stay whole.
        called: What to call the model in messages.
        until: Name of the module whose output ends the graph; None for the model's own output.

    Returns:
        The graph, its nodes with their values for the example.

    Raises:
        ConversionError: If the model's code cannot be traced.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            return trace(model, example, opened, until)
    except Exception as error:  # the model's own code may raise anything when it is traced
        detail = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ConversionError(
            Reason.UNKNOWN_MODEL,
            f"the forward pass of {called} cannot be traced ({detail})",
            "build SoftCAM(backbone, EvidenceLayer.from_linear(classifier)) from its feature "
            "layers",
        ) from error


def output_of(graph: fx.GraphModule, called: str) -> fx.Node:
    """Find the node that counts as the logits.

    Args:
        graph: A traced forward pass.
        called: What to call the model in messages.

    Returns:
        The output, or the first of several.

    Raises:
        ConversionError: If the output is no tensor.
    """
    output: Any = next(node for node in graph.graph.nodes if node.op == "output").args[0]
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if isinstance(output, fx.Node):
        return output
    raise ConversionError(
        Reason.UNKNOWN_MODEL,
        f"{called} returns a {type(output).__name__}, not a tensor of logits",
        NAME_ENDS,
    )


def traced_to(
    model: nn.Module, example: Tensor, name: str, called: str
) -> tuple[fx.GraphModule, fx.Node]:
    """Trace a forward pass with one module's call in sight.

    Args:
        model: From images to anything; it is not changed.
        example: An input that it takes.
        name: Dotted name of the module.
        called: What to call the model in messages.

    Returns:
        The graph, and the node of the module's last call.

    Raises:
        ConversionError: If the forward pass cannot be traced or does not run the module.
    """
    parts = name.split(".")
    opened = {".".join(parts[:depth]) for depth in range(len(parts))}
    graph = traced(model, example, frozenset(opened), called, name)
    return graph, output_of(graph, called)


def last_map(model: nn.Module, example: Tensor, called: str) -> tuple[fx.GraphModule, fx.Node]:
    """Find the last feature map of a forward pass, whatever its head does with it.

    Args:
        model: From images to logits; it is not changed.
        example: An input that it takes.
        called: What to call the model in messages.

    Returns:
        The graph, and the last node with the image's number of dimensions.

    Raises:
        ConversionError: If there is none, or the forward pass cannot be traced.
    """
    graph = traced(model, example, frozenset({""}), called)
    waiting, seen = [output_of(graph, called)], set[fx.Node]()
    while waiting:
        node = waiting.pop(0)
        value = node.meta[VALUE]
        if node.op == "placeholder":
            break
        if isinstance(value, Tensor) and value.ndim == example.ndim and value[0, 0].numel() > 1:
            return graph, node
        module = module_of(graph, node)
        if module is not None and not is_head_alone(module):
            break  # what is in front of it would lack this part of the network
        if node not in seen:
            seen.add(node)
            waiting.extend(data_inputs(node))
    raise ConversionError(
        Reason.NO_SPATIAL_MAP,
        f"no feature map was found in the forward pass of {called}",
        'name it, as convert(model, features="layer4", mode="fresh")',
    )


def way_through(
    model: nn.Module,
    example: Tensor,
    opened: frozenset[str],
    called: str,
    until: str | None,
) -> list[str]:
    """List the operations of a forward pass, to compare the ways that two images take.

    Args:
        model: From images to anything; it is not changed.
        example: An input that it takes.
        opened: Names of the modules to look into.
        called: What to call the model in messages.
        until: Name of the module that ends it; None for all.

    Returns:
        One line for each operation, with its constants.

    Raises:
        ConversionError: If the forward pass cannot be traced.
    """
    graph = traced(model, example, opened, called, until)
    return [f"{node.op} {node.target} {node.args} {node.kwargs}" for node in graph.graph.nodes]
