"""What a traced operation does, decided on random input and not by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.nn import functional as F

from softcam.conversion.layer_steps import CONVOLUTIONS, is_pointwise, random_like, same
from softcam.conversion.tracing import VALUE

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
DROPOUT_FUNCTIONS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout)
RESHAPES = frozenset(
    {
        "flatten",
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "permute",
        "transpose",
        "contiguous",
        "float",
        "to",
        "type_as",
        "clone",
        "detach",
        "getitem",
        "movedim",
    }
)
ADDITIONS = frozenset({"add", "iadd", "add_"})
ATTENTION = frozenset({"scaled_dot_product_attention", "softmax", "matmul", "bmm", "einsum"})


def module_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Give the module that a node calls.

    Args:
        graph: The graph that it belongs to.
        node: Any node.

    Returns:
        The module; None for a function or a method.
    """
    if node.op != "call_module":
        return None
    return graph.get_submodule(str(node.target))


def run_node(graph: fx.GraphModule, node: fx.Node, source: fx.Node, value: Tensor) -> Tensor | None:
    """Compute a node for another value of its input."""

    def lookup(item: fx.Node) -> Any:
        return value if item is source else item.meta[VALUE]

    arguments, keywords = map_arg(node.args, lookup), map_arg(node.kwargs, lookup)
    called: Callable[..., Any]
    try:
        if node.op == "call_module":
            result = graph.get_submodule(str(node.target))(*arguments, **keywords)
        elif node.op == "call_method":
            called = getattr(arguments[0], str(node.target))
            result = called(*arguments[1:], **keywords)
        else:
            called = node.target  # type: ignore[assignment]
            result = called(*arguments, **keywords)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError):
        return None
    return result if isinstance(result, Tensor) else None


def is_elementwise(graph: fx.GraphModule, node: fx.Node, source: fx.Node) -> bool:
    """Change one element and see whether the others stay."""
    random = random_like(source.meta[VALUE])
    changed = random.clone()
    changed.view(-1)[0] += 1.5
    before = run_node(graph, node, source, random.clone())
    after = run_node(graph, node, source, changed)
    if before is None or after is None or before.shape != random.shape:
        return False
    return bool((before.flatten() == after.flatten())[1:].all())


def is_affine(graph: fx.GraphModule, node: fx.Node, source: fx.Node) -> bool:
    """Tell whether an elementwise node is a product and a sum with constants."""
    random = 3 * random_like(source.meta[VALUE])
    at = [
        run_node(graph, node, source, value)
        for value in (torch.zeros_like(random), torch.ones_like(random), random.clone())
    ]
    zero, one, found = at
    if zero is None or one is None or found is None:
        return False
    return same(found, zero + (one - zero) * random)


def is_activation(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tell whether a node treats every element of its one input alone.

    Args:
        graph: The graph that it belongs to.
        node: Any node.

    Returns:
        True for an activation, False for everything else, dropout and identity included.
    """
    inputs = data_inputs(node)
    module = module_of(graph, node)
    if len(inputs) != 1 or isinstance(module, (*DROPOUTS, nn.Identity)):
        return False
    return is_elementwise(graph, node, inputs[0])


def pointwise_layer(
    graph: fx.GraphModule, node: fx.Node, positions: tuple[int, ...]
) -> nn.Module | None:
    """Give the layer of a node that applies one linear map at every position.

    Args:
        graph: The graph that it belongs to.
        node: Any node.
        positions: The dimensions that hold the positions.

    Returns:
        A 1x1 convolution, or a linear layer where channels come last; None for anything else.
    """
    module = module_of(graph, node)
    if isinstance(module, CONVOLUTIONS) and positions[0] == 2:
        return module if is_pointwise(module) else None
    return module if isinstance(module, nn.Linear) and positions[0] == 1 else None


def is_head_alone(module: nn.Module) -> bool:
    """Tell whether a module holds nothing but what heads are made of.

    Args:
        module: Any module.

    Returns:
        False if any part has parameters and is no linear layer or normalisation.
    """
    kinds = (nn.Linear, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)
    return all(
        isinstance(part, kinds) or not any(True for _ in part.parameters(recurse=False))
        for part in module.modules()
    )


def data_inputs(node: fx.Node) -> list[fx.Node]:
    """List the inputs that carry the image's data: tensors that depend on the placeholder."""
    return [
        item
        for item in node.all_input_nodes
        if isinstance(item.meta[VALUE], Tensor) and depends_on_image(item)
    ]


def ancestors(node: fx.Node) -> set[fx.Node]:
    """Collect everything that a node is computed from.

    Args:
        node: Any node.

    Returns:
        The nodes, itself among them.
    """
    waiting, seen = [node], set()
    while waiting:
        item = waiting.pop()
        if item not in seen:
            seen.add(item)
            waiting.extend(item.all_input_nodes)
    return seen


def depends_on_image(node: fx.Node) -> bool:
    """Tell whether a node is computed from the input.

    Args:
        node: Any node.

    Returns:
        False for constants and parameters.
    """
    return any(item.op == "placeholder" for item in ancestors(node))


def takes_token(node: fx.Node) -> bool:
    """Tell whether a node takes one token out of a sequence."""
    if name_of(node) != "getitem" or not isinstance(node.meta[VALUE], Tensor):
        return False
    source, token = next(iter(node.all_input_nodes)).meta[VALUE], node.meta[VALUE]
    if not isinstance(source, Tensor) or source.ndim != 3 or token.ndim != 2:
        return False
    return bool(token.shape[1] == source.shape[2] and source.shape[2] > 1)


def has_positions(value: Any) -> bool:
    """Tell whether a value has more than a vector for each image."""
    return isinstance(value, Tensor) and sum(length > 1 for length in value.shape[1:]) > 1


def layouts(ndim: int) -> tuple[tuple[int, ...], ...]:
    """List the dimensions that can hold positions: channels come first or last."""
    return (tuple(range(2, ndim)), tuple(range(1, ndim - 1))) if ndim > 2 else ()


def is_mean(result: Tensor | None, values: Tensor, positions: tuple[int, ...]) -> bool:
    """Tell whether values were averaged over some of their dimensions.

    Args:
        result: What an operation gave for the values; None if it gave nothing.
        values: Random values.
        positions: The dimensions.

    Returns:
        True when the numbers are the means, in any shape.
    """
    mean = values.mean(positions)
    return (
        result is not None
        and result.numel() == mean.numel()
        and same(result.flatten(), mean.flatten())
    )


def uses_maximum(result: Tensor | None, values: Tensor, positions: tuple[int, ...]) -> bool:
    """Tell the maximum, its average with the mean, and the two side by side."""
    if result is None:
        return False
    highest, mean = values.amax(positions).flatten(1), values.mean(positions).flatten(1)
    kinds = (highest, (highest + mean) / 2, torch.cat([mean, highest], dim=1))
    flat = result.flatten(1)
    return any(flat.shape == kind.shape and same(flat, kind) for kind in kinds)


def name_of(node: fx.Node) -> str:
    """Name the function, method or module that a node calls.

    Args:
        node: Any node.

    Returns:
        Its name, without its library.
    """
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", node.target)).removeprefix("_operator.")
    return str(node.target)


def argument(node: fx.Node, index: int, keyword: str, default: Any) -> Any:
    """Look up an argument of a call.

    Args:
        node: Any node.
        index: Its place among the positional arguments.
        keyword: Its name.
        default: What to give where it is missing.

    Returns:
        The argument.
    """
    if keyword in node.kwargs:
        return node.kwargs[keyword]
    return node.args[index] if len(node.args) > index else default
