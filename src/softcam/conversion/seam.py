"""From a head that was read to a backbone that ends in maps and an evidence head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, fx, nn

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.forward_pass import NAME_ENDS
from softcam.conversion.nodes import is_activation, module_of, pointwise_layer
from softcam.conversion.reading import (
    Branch,
    Layout,
    Reading,
)
from softcam.conversion.tracing import VALUE
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import Head
from softcam.evidence.pooled import PooledEvidence
from softcam.evidence.probe import evaluating
from softcam.evidence.steps import DropoutStep, LinearStep, Step, multiplied_out


@dataclass(frozen=True)
class Grid:
    """How features become a map (B, C, h, w).

    Attributes:
        permutation: Order of the dimensions that puts channels second; None to leave it.
        stride: For sequences of tokens, the number of pixels between neighbours; else None.
    """

    permutation: tuple[int, ...] | None = None
    stride: int | None = None

    def place(self, features: Tensor, image_size: Sequence[int]) -> Tensor:
        """Put features on their grid.

        Args:
            features: What the backbone gives.
            image_size: Spatial size of the image.

        Returns:
            Features with channels second and one dimension for each of the image's.
        """
        if self.permutation is not None:
            features = features.permute(self.permutation)
        if self.stride is not None:
            features = torch.unflatten(
                features, 2, [-(-size // self.stride) for size in image_size]
            )
        return features


class FeatureMaps(nn.Module):
    """A backbone up to the maps that its head averages.

    Args:
        model: Module from images to features.
        grids: How each of its features becomes a map.

    Attributes:
        image_size: The one image size that a traced model takes, where its forward pass goes
            another way for others; None for any.
    """

    def __init__(self, model: nn.Module, grids: Sequence[Grid]) -> None:
        super().__init__()
        self.model = model
        self.grids = tuple(grids)
        self.image_size: tuple[int, ...] | None = None

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Compute the feature map (B, C, h, w) of images, or the list of several.

        Raises:
            ValueError: If the model takes one image size alone, and this is another.
        """
        if self.image_size is not None and tuple(x.shape[2:]) != self.image_size:
            raise ValueError(
                f"this model was converted for images of {'x'.join(map(str, self.image_size))} "
                f"pixels and treats others differently, got {'x'.join(map(str, x.shape[2:]))}; "
                "resize them, or convert with image_size="
            )
        features = self.model(x)
        if isinstance(features, Tensor):
            return self.grids[0].place(features, x.shape[2:])
        maps = [
            grid.place(item, x.shape[2:]) for grid, item in zip(self.grids, features, strict=True)
        ]
        return maps[0] if len(maps) == 1 else maps


@dataclass(frozen=True)
class Parts:
    """A head taken apart.

    Attributes:
        front: The traced graph up to what is pooled; None where that is its input itself.
        grids: How what it gives becomes maps.
        channels: Channels of each map.
        head: From the maps to evidence.
    """

    front: fx.GraphModule | None
    grids: tuple[Grid, ...]
    channels: tuple[int, ...]
    head: Head


def take_apart(
    reading: Reading, image_size: Sequence[int], called: str, strides: Sequence[int] = ()
) -> Parts:
    """Build the evidence head of a reading, and what stands in front of it.

    Args:
        reading: A head that was read.
        image_size: Spatial size of the example image.
        called: What to call the model in messages.
        strides: Pixels between neighbouring tokens that the model may have, likely ones first.

    Returns:
        Front part, grids and evidence head.

    Raises:
        ConversionError: If the head has no exact spatial form.
    """
    dims = len(image_size)
    with evaluating(reading.graph):
        branches = [_with_classifier(reading.graph, branch, called) for branch in reading.branches]
        sources: list[tuple[fx.Node, Layout]] = []
        for branch, _ in branches:
            if (branch.source, branch.layout) not in sources:
                sources.append((branch.source, branch.layout))
        if len(branches) == 1:
            head = _single_head(*branches[0], dims, called)
        else:
            head = _summed_head(branches, sources, dims, called)
    grids = tuple(
        grid_of(node.meta[VALUE], layout, image_size, called, strides) for node, layout in sources
    )
    channels = tuple(_channels(*source) for source in sources)
    nodes = [node for node, _ in sources]
    whole = len(nodes) == 1 and nodes[0].op == "placeholder"
    return Parts(None if whole else cut(reading.graph, nodes), grids, channels, head)


def _with_classifier(
    graph: fx.GraphModule, branch: Branch, called: str
) -> tuple[Branch, nn.Module | None]:
    """Make a branch end in a linear step; take one from in front of the pool where none is behind.

    SqueezeNet and its like classify every position and average after that, with or without an
    activation between.

    Returns:
        The branch, and the activation between its classifier and the pool.
    """
    steps = list(branch.steps)
    last = max((i for i, step in enumerate(steps) if isinstance(step, LinearStep)), default=None)
    if last is not None:
        behind = steps[last + 1 :]
        if any(step.kind != "affine" for step in behind):
            _refuse_last_activation(called)
        return Branch(branch.source, branch.layout, (*steps[:last], _scaled(steps[last:]))), None
    if any(step.kind != "affine" for step in steps):
        _refuse_last_activation(called)
    activation, source = None, branch.source
    if is_activation(graph, source) and source.op == "call_module":
        activation = graph.get_submodule(str(source.target))
        source = source.all_input_nodes[0]
    classifier = pointwise_layer(graph, source, branch.layout.positions)
    plain = all(isinstance(step, DropoutStep) for step in steps)
    if classifier is not None and (activation is None or plain):
        first = LinearStep(classifier.weight, classifier.bias)  # type: ignore[arg-type]
        inner = Branch(source.all_input_nodes[0], branch.layout, (_scaled([first, *steps]),))
        return inner, activation
    if not isinstance(module_of(graph, branch.source), (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        raise ConversionError(
            Reason.NO_CLASSIFIER,
            f"{called} has no linear layer behind its average pool and no convolution in front",
            "pass num_classes= for a new evidence layer",
        )
    channels = _channels(branch.source, branch.layout)
    like = branch.source.meta[VALUE]
    same = LinearStep(nn.Parameter(torch.eye(channels).to(like)), None)
    return Branch(branch.source, branch.layout, (_scaled([same, *steps]),)), None


def _refuse_last_activation(called: str) -> NoReturn:
    raise ConversionError(
        Reason.UNSUPPORTED_HEAD,
        f"{called} ends in an activation or normalisation, so that its output is not logits",
        NAME_ENDS,
    )


def _scaled(steps: Sequence[Step]) -> LinearStep:
    """Fold constant factors behind a linear step into it; dropout of logits is left out."""
    linear = steps[0]
    assert isinstance(linear, LinearStep)
    rest = [step for step in steps[1:] if not isinstance(step, DropoutStep)]
    if not rest:
        return linear
    weight = linear.weight.detach().double().flatten(1)
    shift = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias.detach().double()
    for step in rest:
        held = step.hold(shift[None])
        scale = held.scale if held.scale is not None else torch.ones_like(shift)
        scale = scale.reshape(-1).expand_as(shift)
        weight, shift = weight * scale[:, None], shift * scale
        if held.shift is not None:
            shift = shift + held.shift.reshape(-1)
    return _linear_step(weight, shift, linear.weight)


def _linear_step(weight: Tensor, shift: Tensor, like: nn.Parameter) -> LinearStep:
    kept = like.requires_grad
    return LinearStep(
        nn.Parameter(weight.detach().to(like.dtype), requires_grad=kept),
        nn.Parameter(shift.detach().to(like.dtype), requires_grad=kept),
    )


def _single_head(branch: Branch, activation: nn.Module | None, dims: int, called: str) -> Head:
    steps = branch.steps
    if any(step.kind != "affine" for step in steps):
        return PooledEvidence(steps, dims=dims)
    *_, last = steps
    assert isinstance(last, LinearStep)
    dropouts = [step for step in steps if isinstance(step, DropoutStep)]
    if len(dropouts) + 1 < len(steps):
        last = _folded(steps)
    return EvidenceLayer.from_linear(
        last,
        dims=dims,
        dropout=dropouts[-1].p if dropouts else 0.0,
        activation=activation,
    )


def _summed_head(
    branches: Sequence[tuple[Branch, nn.Module | None]],
    sources: Sequence[tuple[fx.Node, Layout]],
    dims: int,
    called: str,
) -> Head:
    """Add the affine branches that read one map; several maps become one layer each."""
    layers = []
    dropout = 0.0
    for source in sources:
        total: LinearStep | None = None
        for branch, activation in branches:
            if (branch.source, branch.layout) != source:
                continue
            if activation is not None or any(step.kind != "affine" for step in branch.steps):
                raise ConversionError(
                    Reason.UNSUPPORTED_HEAD,
                    f"{called} adds several heads that are not linear",
                    NAME_ENDS,
                )
            rates = [step.p for step in branch.steps if isinstance(step, DropoutStep)]
            dropout = max([dropout, *rates])
            folded = _folded(branch.steps)
            total = folded if total is None else _added(total, folded)
        assert total is not None
        layers.append(EvidenceLayer.from_linear(total, dims=dims, dropout=dropout))
    return layers[0] if len(layers) == 1 else StageEvidence.from_layers(layers)


def _folded(steps: Sequence[Step]) -> LinearStep:
    """Multiply affine steps to one linear step, in float64; dropout is left to the layer."""
    last = steps[-1]
    assert isinstance(last, LinearStep)
    kept = [step for step in steps if not isinstance(step, DropoutStep)]
    first = kept[0]
    width = (
        first.weight.shape[1]
        if isinstance(first, LinearStep)
        else next(s for s in kept if isinstance(s, LinearStep)).weight.shape[1]
    )
    vector = torch.zeros(1, width, dtype=torch.float64, device=last.weight.device)
    held = []
    for step in kept:
        held.append(step.hold(vector))
        matrix = held[-1].matrix
        if matrix is not None:
            vector = vector.new_zeros(1, len(matrix))
    held = [
        item if item.scale is None else item._replace(scale=item.scale.reshape(-1)) for item in held
    ]
    matrix, shift = multiplied_out(held)
    return _linear_step(matrix, shift.reshape(-1), last.weight)


def _added(first: LinearStep, second: LinearStep) -> LinearStep:
    weight = first.weight.detach().double() + second.weight.detach().double()
    biases = [step.bias.detach().double() for step in (first, second) if step.bias is not None]
    shift = sum(biases, weight.new_zeros(len(weight)))
    return _linear_step(weight, shift, first.weight)


def _channels(source: fx.Node, layout: Layout) -> int:
    value: Tensor = source.meta[VALUE]
    last = layout.positions[0] == 1
    return int(value.shape[-1 if last else 1])


def grid_of(
    value: Tensor,
    layout: Layout,
    image_size: Sequence[int],
    called: str,
    strides: Sequence[int] = (),
) -> Grid:
    """Find how features become a map.

    Args:
        value: The features of the example.
        layout: Where they hold their positions.
        image_size: Spatial size of the example.
        called: What to call the model in messages.
        strides: Pixels between neighbouring tokens that the model may have, likely ones first.

    Returns:
        The grid.

    Raises:
        ConversionError: If the number of tokens is no grid over the image.
    """
    permutation = None
    if layout.positions[0] == 1:  # channels come last
        permutation = (0, value.ndim - 1, *range(1, value.ndim - 1))
    if not layout.is_sequence:
        return Grid(permutation)
    tokens = math.prod(int(value.shape[dim]) for dim in layout.positions)
    for step in strides:
        if math.prod(-(-size // step) for size in image_size) == tokens:
            return Grid(permutation, step)
    root = round((math.prod(image_size) / tokens) ** (1 / len(image_size)))
    exact = root > 0 and all(size % root == 0 for size in image_size)
    if exact and math.prod(size // root for size in image_size) == tokens:
        return Grid(permutation, root)
    raise ConversionError(
        Reason.NO_SPATIAL_MAP,
        f"{called} averages {tokens} tokens, which are no grid over an image of "
        f"{'x'.join(map(str, image_size))} pixels",
        "choose a backbone whose tokens are the image's patches",
    )


def cut(graph: fx.GraphModule, nodes: Sequence[fx.Node]) -> fx.GraphModule:
    """Cut a graph behind some of its nodes.

    Args:
        graph: A traced forward pass.
        nodes: The nodes whose values are wanted.

    Returns:
        A module that gives the node's value, or a tuple of several; it shares the graph's modules
        and holds no others.
    """
    front = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        if node.op != "output":
            copied[node] = front.node_copy(node, lambda item: copied[item])
    ends = [copied[node] for node in nodes]
    front.output(ends[0] if len(ends) == 1 else tuple(ends))
    for node in front.nodes:
        node.meta.clear()  # the example's values
    module = fx.GraphModule(graph, front, class_name="Front")
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module
