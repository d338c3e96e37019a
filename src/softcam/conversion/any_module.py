"""Any other classifier: its forward pass is traced, or its two ends are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from torch import Tensor, fx, nn

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.family import Seam, Stages
from softcam.conversion.forward_pass import last_map, traced_to, way_through
from softcam.conversion.reading import layout_of_map, read
from softcam.conversion.seam import FeatureMaps, cut, grid_of, take_apart
from softcam.conversion.tracing import VALUE
from softcam.errors import InputError
from softcam.evidence.probe import example_input, smallest_probe, try_probe

_SIZES = {
    1: ((1024,), (256,), (4096,)),
    # 224 first: many forward passes bring other sizes to it, and that would be traced too.
    2: tuple((side, side) for side in (224, 64, 32, 96, 128, 256, 299, 384, 512, 28)),
    3: tuple((side, side, side) for side in (64, 96, 32, 128)),
}


class ModuleFamily:
    """What softcam can find out about a module that it does not know.

    Args:
        features: Name of the module that gives the feature map; None to find it.
        head: Name of the module that ends in the logits; None for the module's output.
        image_size: Spatial size of an image that it takes; None to try some.
    """

    source = "module"

    def __init__(
        self,
        features: str | None = None,
        head: str | None = None,
        image_size: tuple[int, ...] | None = None,
    ) -> None:
        self.features = features
        self.head = head
        self.image_size = image_size

    def owns(self, model: nn.Module) -> bool:
        """Tell that it takes every module."""
        return isinstance(model, nn.Module)

    def names(self) -> Sequence[str]:
        """List no names: such a model cannot be built by name."""
        return ()

    def build(
        self, name: str, num_outputs: int, in_chans: int, kwargs: dict[str, Any]
    ) -> nn.Module:
        """Refuse: such a model cannot be built by name."""
        raise InputError(f"{name}: is neither a timm nor a torchvision model.")

    def seam(self, model: nn.Module) -> Seam:
        """Trace the forward pass and take its head apart."""
        self._require_ends(model)
        example = self._example(model)
        called = type(model).__name__
        dims = example.ndim - 2
        opened = [*_ancestors(self.features), *_ancestors(self.head)]
        reading = read(model, example, dims=dims, called=called, opened=opened, ends_at=self.head)
        self._require_features(reading.graph, [branch.source for branch in reading.branches])
        parts = take_apart(reading, example.shape[2:], called)
        if parts.front is None:
            raise ConversionError(
                Reason.NO_SPATIAL_MAP,
                f"{called} averages the image itself",
                "choose a model with feature layers",
            )
        backbone = FeatureMaps(parts.front, parts.grids)
        backbone.image_size = self._fixed_size(model, example)
        return Seam(backbone, parts.head, parts.channels)

    def sliding(self, model: nn.Module) -> Seam:
        """Refuse: only VGG and AlexNet are known to have such layers."""
        refuse_sliding(model)

    def fresh(self, model: nn.Module) -> Stages:
        """Give the feature map that the head pools, or the one that is named."""
        self._require_ends(model)
        example = self._example(model)
        called = type(model).__name__
        if self.features is None:
            try:
                seam = self.seam(model)
                return Stages(seam.backbone, seam.channels, float(seam.head.dropout))
            except ConversionError:
                graph, node = last_map(model, example, called)
        else:
            graph, node = traced_to(model, example, self.features, called)
        value = node.meta[VALUE]
        layout = layout_of_map(value, example.ndim - 2, called)
        grid = grid_of(value, layout, example.shape[2:], called)
        channels = int(value.shape[1 if layout.positions[0] == 2 else -1])
        backbone = FeatureMaps(cut(graph, [node]), (grid,))
        backbone.image_size = self._fixed_size(model, example)
        return Stages(backbone, (channels,), 0.0)

    def _fixed_size(self, model: nn.Module, example: Tensor) -> tuple[int, ...] | None:
        """Give the example's size if the forward pass goes another way for a larger image."""
        size = tuple(int(length) for length in example.shape[2:])
        channels = int(example.shape[1])
        larger = (*size[:-1], size[-1] + 32)
        if try_probe(model, channels, larger, self.head) is None:
            return None
        called, other = type(model).__name__, example_input(model, channels, larger)
        opened = frozenset({"", *_ancestors(self.features), *_ancestors(self.head)})
        ways = [way_through(model, item, opened, called, self.head) for item in (example, other)]
        return size if ways[0] != ways[1] else None

    def stages(self, model: nn.Module, numbers: Sequence[int]) -> Stages:
        """Refuse: what its stages are is not known."""
        raise ConversionError(
            Reason.UNKNOWN_STAGE,
            f"{type(model).__name__} does not list its stages",
            'name the layer instead, as convert(model, features="layer3", mode="fresh")',
        )

    def feature_layer(self, model: nn.Module) -> nn.Module:
        """Give the module that is named as the features."""
        if self.features is None:
            raise ConversionError(
                Reason.UNKNOWN_STAGE,
                f"the last feature layer of {type(model).__name__} is not known",
                "name it",
            )
        return model.get_submodule(self.features)

    def normalisation(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give ImageNet's mean and std, for want of better."""
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def candidates(self, model: nn.Module) -> Sequence[tuple[str, dict[str, Any]]]:
        """List nothing: such a model cannot be built by name."""
        return ()

    def input_sizes(self, model: nn.Module) -> Sequence[tuple[int, ...]]:
        """List usual sizes for the dimensions of the first convolution."""
        if self.image_size is not None:
            return (self.image_size,)
        return _SIZES[spatial_dims(model)]

    def _example(self, model: nn.Module) -> Tensor:
        channels = input_channels(model)
        sizes = self.input_sizes(model)
        size = smallest_probe(model, channels, sizes=sizes, part=self.head)
        if size is None:
            tried = ", ".join("x".join(map(str, item)) for item in sizes)
            raise ConversionError(
                Reason.UNKNOWN_MODEL,
                f"{type(model).__name__} takes no {channels}-channel image of the sizes tried "
                f"({tried})",
                "pass image_size= with one that it takes",
            )
        return example_input(model, channels, size)

    def _require_ends(self, model: nn.Module) -> None:
        names = [name for name, _ in model.named_modules() if name]
        for end in (self.features, self.head):
            if end is not None and end not in names:
                top = ", ".join(name for name in names if "." not in name)
                raise ConversionError(
                    Reason.UNKNOWN_MODEL,
                    f"{type(model).__name__} has no module {end!r}",
                    f"name one of its modules ({top}, or one inside them)",
                )

    def _require_features(self, graph: fx.GraphModule, pooled: Sequence[fx.Node]) -> None:
        """Check that what is pooled comes from the named features, position by position."""
        if self.features is None:
            return
        calls = [
            node
            for node in graph.graph.nodes
            if node.op == "call_module" and node.target == self.features
        ]
        shapes = [node.meta[VALUE].shape for node in calls if isinstance(node.meta[VALUE], Tensor)]
        sizes = [shape[2:] for shape in shapes] + [shape[1:-1] for shape in shapes]
        for node in pooled:
            shape = node.meta[VALUE].shape
            if not sizes or (shape[2:] not in sizes and shape[1:-1] not in sizes):
                raise ConversionError(
                    Reason.UNSUPPORTED_HEAD,
                    f"what the head averages has shape {tuple(shape)}, which is not the map of "
                    f"{self.features!r}",
                    "name the last layer in front of the pool as features, or leave it out",
                )


def spatial_dims(model: nn.Module) -> int:
    """Tell the number of spatial dimensions of a model's input from its first convolution.

    Args:
        model: Any module.

    Returns:
        1, 2 or 3; 2 where there is no convolution.
    """
    kinds = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
    for module in model.modules():
        for kind, dims in kinds.items():
            if isinstance(module, kind):
                return dims
    return 2


def input_channels(model: nn.Module) -> int:
    """Tell the number of input channels from a model's attribute or its first convolution.

    Args:
        model: Any module.

    Returns:
        The number of channels; 3 where it cannot be told.
    """
    known = getattr(model, "in_chans", None)
    if isinstance(known, int):
        return known
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return int(module.in_channels)
    return 3


def refuse_sliding(model: nn.Module) -> NoReturn:
    """Say that a model has no fully connected layers over a window.

    Args:
        model: Any module.

    Raises:
        ConversionError: Always.
    """
    raise ConversionError(
        Reason.UNSUPPORTED_HEAD,
        f"{type(model).__name__} has no fully connected layers over a window of positions",
        'leave mode="sliding" to VGG and AlexNet and use mode="exact"',
    )


def _ancestors(name: str | None) -> list[str]:
    parts = (name or "").split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]
