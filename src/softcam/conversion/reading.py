"""Reads a traced head backwards, from the logits to the average pool.

What an operation does is decided on random input and not by its name: a pool is whatever gives
the mean over positions, an activation whatever treats every element alone. So a head of any
library is read, however it is spelled, and one that only looks like an average pool is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.forward_pass import NAME_ENDS, output_of, traced
from softcam.conversion.layer_steps import (
    applied,
    layer_steps,
    parameter_of,
    random_like,
    takes_vectors,
)
from softcam.conversion.nodes import (
    ADDITIONS,
    ATTENTION,
    DROPOUT_FUNCTIONS,
    DROPOUTS,
    RESHAPES,
    ancestors,
    argument,
    data_inputs,
    has_positions,
    is_affine,
    is_elementwise,
    is_mean,
    layouts,
    module_of,
    name_of,
    run_node,
    takes_token,
    uses_maximum,
)
from softcam.conversion.tracing import VALUE
from softcam.evidence.probe import evaluating
from softcam.evidence.steps import (
    Apply,
    DropoutStep,
    GateStep,
    LinearStep,
    ScaleStep,
    Step,
)

FRESH = 'pass mode="fresh" for a new 1x1 evidence layer to be trained'
_MOST_ROUNDS = 64


@dataclass(frozen=True)
class Layout:
    """How the tensor in front of the pool holds its positions.

    Attributes:
        positions: The dimensions that the pool averages.
        dims: Number of spatial dimensions of the image.
    """

    positions: tuple[int, ...]
    dims: int

    @property
    def is_sequence(self) -> bool:
        """Tell whether the positions stand in one row though the image has more dimensions."""
        return len(self.positions) < self.dims


@dataclass(frozen=True)
class Branch:
    """One pooled map and the steps behind it.

    Attributes:
        source: The node whose value is pooled.
        layout: How it holds its positions.
        steps: What is done to the pooled vector, in order.
    """

    source: fx.Node
    layout: Layout
    steps: tuple[Step, ...]


class _Open(Exception):  # noqa: N818 - a signal to trace again, not an error
    """A module must be looked into."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Reading:
    """A head that was read.

    Attributes:
        graph: The traced forward pass.
        branches: The pooled maps and what is behind each; their sum is the logits.
    """

    graph: fx.GraphModule
    branches: tuple[Branch, ...]


def read(
    model: nn.Module,
    example: Any,
    *,
    dims: int,
    called: str,
    opened: Sequence[str] = (),
    ends_at: str | None = None,
) -> Reading:
    """Trace a forward pass and read its head.

    Args:
        model: From images (or features) to logits; it is not changed.
        example: An input, large enough for more than one position.
        dims: Number of spatial dimensions of the image.
        called: What to call the model in messages.
        opened: Names of modules to look into from the start.
        ends_at: Name of the module whose output counts as the logits; None for the output.

    Returns:
        The traced graph and what is behind each pool.

    Raises:
        ConversionError: If the head does not average positions, or cannot be traced.
    """
    names = {""} | set(opened)
    for _ in range(_MOST_ROUNDS):
        graph = traced(model, example, frozenset(names), called, ends_at)
        reader = _Reader(graph, dims, called)
        try:
            with evaluating(model):
                branches = reader.read(output_of(graph, called))
            wholes = [name for branch in branches for name in reader.unopened(branch)]
            if not wholes:
                return Reading(graph, tuple(branches))
            names.update(wholes)
        except _Open as request:
            names.add(request.name)
    raise ConversionError(
        Reason.UNSUPPORTED_HEAD, f"the head of {called} is nested too deeply", NAME_ENDS
    )


def layout_of_map(value: Any, dims: int, called: str) -> Layout:
    """Tell the layout of features that were named, from their shape alone.

    Args:
        value: What the named module gives.
        dims: Number of spatial dimensions of the image.
        called: What to call the model in messages.

    Returns:
        Channels second for maps, channels last for sequences of tokens.

    Raises:
        ConversionError: If the value is neither.
    """
    if isinstance(value, Tensor) and value.ndim == dims + 2:
        return Layout(tuple(range(2, value.ndim)), dims)
    if isinstance(value, Tensor) and value.ndim == 3:
        return Layout((1,), dims)
    shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    raise ConversionError(
        Reason.NO_SPATIAL_MAP,
        f"the features of {called} are {shape}, not (batch, channels, height, width)",
        "name a layer that gives a feature map",
    )


class _Reader:
    """Reads one traced graph."""

    def __init__(self, graph: fx.GraphModule, dims: int, called: str) -> None:
        self.graph = graph
        self.dims = dims
        self.called = called

    def read(self, node: fx.Node) -> list[Branch]:
        """Read the branches that end in a node's value."""
        value = node.meta[VALUE]
        if not isinstance(value, Tensor):
            if isinstance(value, (tuple, list)):
                raise self._unreadable(node, "gives several outputs")
            raise self._refusal(Reason.UNSUPPORTED_HEAD, "does not give a tensor")
        inputs = data_inputs(node)
        if node.op == "placeholder" or not inputs:
            raise self._refusal(Reason.NO_SPATIAL_MAP, "has no average pool behind its features")
        if takes_token(node):
            raise self._refusal(Reason.CLASS_TOKEN, "classifies from a class token")
        if len(inputs) > 1:
            return self._sum(node, inputs)
        source = inputs[0]
        if name_of(source) == "stack" and value.ndim == 2 and name_of(node) in ("sum", "mean"):
            return self._stack(node, source)
        if has_positions(source.meta[VALUE]) and not has_positions(value):
            return [self._pool(node, source)]
        if has_positions(value):
            raise self._refusal(Reason.NO_SPATIAL_MAP, "has no average pool in front of its logits")
        steps = self._steps(node, source)
        branches = self.read(source)
        if len(branches) > 1 and any(step.kind != "affine" for step in steps):
            raise self._refusal(
                Reason.UNSUPPORTED_HEAD, "takes a sum of pooled maps through one layer"
            )
        return [Branch(item.source, item.layout, (*item.steps, *steps)) for item in branches]

    def unopened(self, branch: Branch) -> list[str]:
        """Name the module in front of a pool that may hold the classifier, if none is behind."""
        module = module_of(self.graph, branch.source)
        behind = any(isinstance(step, LinearStep) for step in branch.steps)
        if behind or module is None or not any(True for _ in module.children()):
            return []
        return [str(branch.source.target)]

    def _pool(self, node: fx.Node, source: fx.Node) -> Branch:
        """Find which positions a node averages, or refuse it."""
        value, name = source.meta[VALUE], name_of(node)
        module = module_of(self.graph, node)
        random = random_like(value)
        free = module is None or not any(True for _ in module.parameters())
        result = run_node(self.graph, node, source, random) if free else None
        for positions in layouts(value.ndim):
            if is_mean(result, random, positions):
                return self._unwrapped(node, source, Layout(positions, self.dims))
            if uses_maximum(result, random, positions):
                raise self._refusal(Reason.MAX_POOL, "pools with the maximum")
        kind = name if module is None else type(module).__name__
        if "ttention" in kind or name in ATTENTION:
            raise self._refusal(Reason.ATTENTION_POOL, f"pools by attention ({kind})")
        if any(takes_token(item) for item in ancestors(node)):
            raise self._refusal(Reason.CLASS_TOKEN, "classifies from class tokens")
        if name in RESHAPES:
            raise self._refusal(
                Reason.MIXES_POSITIONS, "flattens its feature map into fully connected layers"
            )
        raise self._unreadable(node, f"pools with {kind}, which is not the mean")

    def _unwrapped(self, node: fx.Node, source: fx.Node, layout: Layout) -> Branch:
        """Look through a reshape in front of the pool, to the dimensions that it merged."""
        chain, start = [(node, source)], source
        while layout.is_sequence and name_of(start) in RESHAPES | {"mean"}:
            inputs = data_inputs(start)
            if len(inputs) != 1:
                break
            chain.insert(0, (start, inputs[0]))
            start = inputs[0]
            random = random_like(start.meta[VALUE])
            result: Tensor | None = random
            for link, origin in chain:
                result = None if result is None else run_node(self.graph, link, origin, result)
            for positions in layouts(random.ndim):
                if len(positions) > len(layout.positions) and is_mean(result, random, positions):
                    return Branch(start, Layout(positions, self.dims), ())
        return Branch(source, layout, ())

    def _sum(self, node: fx.Node, inputs: list[fx.Node]) -> list[Branch]:
        """Read the branches of a sum."""
        name = name_of(node)
        if name in ADDITIONS and not node.kwargs:
            return [branch for item in inputs for branch in self.read(item)]
        if name in ATTENTION:
            raise self._refusal(Reason.ATTENTION_POOL, f"pools by attention ({name})")
        raise self._unreadable(node, f"joins several tensors with {name}")

    def _stack(self, node: fx.Node, stack: fx.Node) -> list[Branch]:
        """Read the sum or mean of stacked vectors."""
        inputs = data_inputs(stack)
        values = stack.meta[VALUE]
        if len(values) != len(inputs) or node.meta[VALUE].shape != values.shape[1:]:
            raise self._refusal(
                Reason.UNSUPPORTED_HEAD, "stacks vectors in another way than to add them"
            )
        branches = [branch for item in inputs for branch in self.read(item)]
        if name_of(node) == "sum":
            return branches
        share = ScaleStep(Apply(torch.mul, (Apply.INPUT, 1.0 / len(inputs))))
        return [Branch(item.source, item.layout, (*item.steps, share)) for item in branches]

    def _steps(self, node: fx.Node, source: fx.Node) -> list[Step]:
        """Name the steps that a node takes on a pooled vector; none where it only reshapes."""
        name, value, module = name_of(node), source.meta[VALUE], module_of(self.graph, node)
        if isinstance(module, DROPOUTS) or node.target in DROPOUT_FUNCTIONS:
            rate = module.p if isinstance(module, DROPOUTS) else argument(node, 1, "p", 0.5)
            return [DropoutStep(float(rate))] if rate else []
        if isinstance(module, (nn.Identity, nn.Flatten)) or (module is None and name in RESHAPES):
            return []
        if module is not None and (steps := layer_steps(module, value[:1])):
            return steps
        if name == "linear" and module is None:
            weight, bias = self._tensor(node, 1, "weight"), self._tensor(node, 2, "bias")
            if weight is not None:
                return [
                    LinearStep(parameter_of(weight), None if bias is None else parameter_of(bias))
                ]
        if is_elementwise(self.graph, node, source):
            function = module if module is not None else applied(node, source)
            if takes_vectors(function, value):
                affine = is_affine(self.graph, node, source)
                return [ScaleStep(function) if affine else GateStep(function)]
        raise self._unreadable(
            node,
            f"ends in {name} of {tuple(value.shape)} values, which is neither linear, a "
            "normalisation nor an activation",
        )

    def _tensor(self, node: fx.Node, index: int, keyword: str) -> Tensor | None:
        given = argument(node, index, keyword, None)
        value = given.meta[VALUE] if isinstance(given, fx.Node) else given
        return value if isinstance(value, Tensor) else None

    def _unreadable(self, node: fx.Node, detail: str) -> Exception:
        """Ask for a look into a module; say that anything else cannot be read."""
        if node.op == "call_module":
            return _Open(str(node.target))
        return self._refusal(Reason.UNSUPPORTED_HEAD, detail)

    def _refusal(self, reason: Reason, detail: str) -> ConversionError:
        remedy = FRESH if reason in (Reason.MAX_POOL, Reason.MIXES_POSITIONS) else _REMEDIES[reason]
        return ConversionError(reason, f"{self.called} {detail}", remedy)


_REMEDIES = {
    Reason.CLASS_TOKEN: 'build it with an average pool (timm: global_pool="avg") or, for most '
    'models of timm, pass mode="fresh" for a new evidence layer on its patch tokens, to be trained',
    Reason.ATTENTION_POOL: "choose a backbone with an average pool",
    Reason.NO_SPATIAL_MAP: NAME_ENDS,
    Reason.UNSUPPORTED_HEAD: NAME_ENDS,
}
