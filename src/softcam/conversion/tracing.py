"""A model's forward pass as a graph of its modules, opened only where the head is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import fx, nn
from torch.fx.node import map_arg

from softcam.evidence.probe import evaluating

VALUE = "value"
"""Key of a node's metadata under which its value for the example input stands."""


class _Reached(BaseException):
    """The module that tracing was to end with has been called."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class ValueProxy(fx.Proxy):
    """A proxy that knows how long its value is."""

    def __getattr__(self, k: str) -> ValueAttribute:
        return ValueAttribute(self, k)

    def __len__(self) -> int:
        return len(self.node.meta[VALUE])


class ValueAttribute(fx.proxy.Attribute):
    """An attribute of a proxy, as `x.shape`, that knows how long its value is."""

    def __len__(self) -> int:
        return len(self.node.meta[VALUE])


class ValueTracer(fx.Tracer):
    """A symbolic tracer that also computes every node for an example input.

    Modules stay whole (one node each) unless they are opened by name, so that only the forward
    passes around the head have to be traced. Where such a forward pass branches on a tensor or
    its shape, the branch of the example is taken; shapes themselves stay symbolic.

    Args:
        example: The example input.
        opened: Names of the modules to look into.
        until: Name of the module behind whose first call the rest does not matter; None for all.
    """

    def __init__(self, example: Any, opened: frozenset[str], until: str | None) -> None:
        super().__init__()
        self.example = example
        self.opened = opened
        self.until = until
        self._computing = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep every module whole that was not opened."""
        return module_qualified_name not in self.opened

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Record a module's call, but not those that happen while a value is computed."""
        if self._computing:
            return forward(*args, **kwargs)
        result = super().call_module(m, forward, args, kwargs)
        if self.until is not None and self.path_of_module(m) == self.until:
            raise _Reached(result)
        return result

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Wrap a node."""
        return ValueProxy(node, self)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Record a parameter's use, but not while a value is computed."""
        if self._computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Record a node and compute its value."""
        node = super().create_node(*args, **kwargs)
        self._computing = True
        try:
            node.meta[VALUE] = self._compute(node)
        finally:
            self._computing = False
        return node

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Take the branch that the example takes."""
        return bool(obj.node.meta[VALUE])

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Unpack as many values as the example has."""
        indexable: Any = obj
        return iter([indexable[index] for index in range(len(obj.node.meta[VALUE]))])

    def _compute(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self.example
        arguments = map_arg(node.args, lambda item: item.meta[VALUE])
        keywords = map_arg(node.kwargs, lambda item: item.meta[VALUE])
        if node.op == "get_attr":
            value: Any = self.root
            for part in str(node.target).split("."):
                value = getattr(value, part)
            return value
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target))(*arguments, **keywords)
        if node.op == "call_method":
            return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
        if node.op == "call_function":
            return node.target(*arguments, **keywords)  # type: ignore[operator]
        return arguments[0] if arguments else None  # output


def trace(
    model: nn.Module, example: Any, opened: frozenset[str], until: str | None = None
) -> fx.GraphModule:
    """Trace a model's forward pass in eval mode.

    Args:
        model: Any module of one input; it is not changed.
        example: An input that it takes.
        opened: Names of the modules to look into; the others stay whole.
        until: Name of the module whose output ends the graph; None for the model's own output.

    Returns:
        A graph module whose nodes carry their value for the example under `VALUE`; it shares
        the model's modules.

    Raises:
        Exception: Whatever the model's own code raises when it is traced.
    """
    tracer = ValueTracer(example, opened, until)
    with evaluating(model):
        try:
            graph = tracer.trace(model)
        except _Reached as reached:
            graph = tracer.graph
            graph.output(tracer.create_arg(reached.result))
    return fx.GraphModule(tracer.root, graph)
