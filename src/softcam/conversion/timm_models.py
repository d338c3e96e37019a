"""timm's classifiers, through their own contract: forward_features, forward_head, stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
from timm.models.hiera import Hiera
from timm.models.vgg import VGG
from torch import Tensor, fx, nn

from softcam.conversion.any_module import input_channels, refuse_sliding
from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.family import Seam, Stages, shallow, without
from softcam.conversion.fully_connected import FullyConnected, pointwise_head
from softcam.conversion.reading import Layout, layout_of_map, read
from softcam.conversion.seam import Grid, grid_of, take_apart
from softcam.conversion.torchvision_models import LayerSequence
from softcam.evidence.probe import evaluating, example_input

_SMALL = (64, 96, 128)
_DEFAULT_MEAN, _DEFAULT_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TimmFeatures(nn.Module):
    """A timm model up to the maps that its head averages.

    Args:
        model: A timm model without its head.
        front: What its head does in front of the pool, if anything.
        grids: How the features become maps.
    """

    def __init__(
        self,
        model: nn.Module,
        front: nn.Module | None = None,
        grids: Sequence[Grid] = (Grid(),),
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.front = front
        self.grids = tuple(grids)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Compute the feature map (B, C, h, w) of images, or the list of several."""
        features = in_place_order(self.model, self.model.forward_features(x))
        if self.front is not None:
            features = self.front(features)
        if isinstance(features, Tensor):
            return self.grids[0].place(features, x.shape[2:])
        return [grid.place(f, x.shape[2:]) for grid, f in zip(self.grids, features, strict=True)]


def in_place_order(model: Any, features: Any) -> Any:
    """Put tokens in row order where a model works on them in another one.

    Args:
        model: A timm model.
        features: What its `forward_features` gave.

    Returns:
        The features; Hiera's tokens, which it keeps by mask units, row by row.
    """
    if isinstance(model, Hiera):
        return model.reroll(features, len(model.blocks) - 1).flatten(1, -2)
    return features


class _Head(nn.Module):
    """A timm model's head as a module of its own, to be traced."""

    def __init__(self, model: nn.Module, count: int | None) -> None:
        super().__init__()
        self.model: Any = model
        self.count = count

    def forward(self, x: Any) -> Any:
        features = x if self.count is None else [x[index] for index in range(self.count)]
        return self.model.forward_head(features)


class TimmStages(nn.Module):
    """A timm model up to the last of the stages asked for.

    Args:
        model: A timm model, pruned behind its last stage.
        indices: Positions in the model's list of features.
    """

    def __init__(self, model: nn.Module, indices: Sequence[int]) -> None:
        super().__init__()
        self.model: Any = model
        self.indices = list(indices)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Compute the stage's feature map, or the list of the stages' maps."""
        maps: list[Tensor] = self.model.forward_intermediates(
            x, indices=self.indices, stop_early=True, intermediates_only=True
        )
        return maps[0] if len(self.indices) == 1 else maps


class TimmFamily:
    """What softcam knows about timm."""

    source = "timm"

    def owns(self, model: nn.Module) -> bool:
        """Tell whether a model is timm's."""
        return type(model).__module__.startswith("timm.") and hasattr(model, "forward_features")

    def names(self) -> Sequence[str]:
        """List timm's model names."""
        return tuple(timm.list_models())

    def build(
        self, name: str, num_outputs: int, in_chans: int, kwargs: dict[str, Any]
    ) -> nn.Module:
        """Build a black box with random weights."""
        model: nn.Module = timm.create_model(
            name, pretrained=False, num_classes=num_outputs, in_chans=in_chans, **kwargs
        )
        return model

    def seam(self, model: Any) -> Seam:
        """Read the head behind `forward_features` and take it apart."""
        self._require_classifier(model)
        if isinstance(model, VGG):
            stack = _fully_connected(model)
            channels = stack.hidden[0].weight.shape[1]
            features = {"features": model.features}
            return Seam(LayerSequence(features, ["features"]), stack.exact(), (channels,))
        size, features = _features(model, self.input_sizes(model))
        count = None if isinstance(features, Tensor) else len(features)
        called = type(model).__name__
        head = _Head(model, count)
        reading = read(head, features, dims=2, called=called)
        parts = take_apart(reading, size, called, _strides(model))
        body = without(model, _used(reading.graph))
        return Seam(TimmFeatures(body, parts.front, parts.grids), parts.head, parts.channels)

    def sliding(self, model: Any) -> Seam:
        """Give a VGG's fully connected layers as convolutions with the old weights."""
        if not isinstance(model, VGG):
            refuse_sliding(model)
        self._require_classifier(model)
        hidden, head = _fully_connected(model).sliding()
        layers = {"features": model.features, "hidden": hidden}
        return Seam(LayerSequence(layers, ["hidden"]), head, (head.conv.in_channels,))

    def fresh(self, model: Any) -> Stages:
        """Give the last feature map; a VGG's fully connected layers become new 1x1 layers."""
        if isinstance(model, VGG):
            first, second = model.pre_logits.fc1, model.pre_logits.fc2
            sequence = nn.Sequential()
            sequence.add_module("features", model.features)
            sequence.add_module(
                "hidden", pointwise_head(first.in_channels, second.out_channels, _dropout(model))
            )
            return Stages(sequence, (second.out_channels,), 0.0)
        try:
            seam = self.seam(model)
            return Stages(seam.backbone, seam.channels, _dropout(model))
        except ConversionError:
            return self._last_features(model)

    def _last_features(self, model: Any) -> Stages:
        """Give the features of a model whose head cannot be read, prefix tokens left out."""
        called = type(model).__name__
        size, features = _features(model, self.input_sizes(model))
        layout = layout_of_map(features, 2, called)
        prefix = _prefix_tokens(model, features, size) if features.ndim == 3 else 0
        features = features[:, prefix:]
        grid = grid_of(features, layout, size, called, _strides(model))
        body = without(model, _head_modules(model))
        front = PatchTokens(prefix) if prefix else None
        channels = int(features.shape[1 if layout.positions[0] == 2 else -1])
        return Stages(TimmFeatures(body, front, (grid,)), (channels,), _dropout(model))

    def stages(self, model: Any, numbers: Sequence[int]) -> Stages:
        """Give the features of stages; what lies behind the last one is dropped."""
        listed = _feature_list(model)
        places = _stage_places([int(entry["reduction"]) for entry in listed])
        for number in numbers:
            if number not in places:
                raise ConversionError(
                    Reason.UNKNOWN_STAGE,
                    f"{type(model).__name__} has no stage {number}",
                    f"choose from {sorted(places)} (stage 1 has stride 4)",
                )
        indices = sorted({places[number] for number in numbers})
        body: Any = shallow(model)
        body.prune_intermediate_layers(indices, prune_norm=True, prune_head=True)
        channels = tuple(int(listed[index]["num_chs"]) for index in indices)
        return Stages(TimmStages(body, indices), channels, _dropout(model))

    def feature_layer(self, model: nn.Module) -> nn.Module:
        """Name the module whose output is the last feature map."""
        if hasattr(model, "conv_head") and hasattr(model, "bn2"):
            return model.get_submodule("bn2")  # EfficientNet: the last stage is a layer earlier
        last = _feature_list(model)[-1]
        layer = model.get_submodule(last["module"])
        shapes: list[tuple[int, ...]] = []
        handle = layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape)))
        try:
            _features(model, self.input_sizes(model))
        finally:
            handle.remove()
        if not shapes or len(shapes[-1]) != 4 or shapes[-1][1] != last["num_chs"]:
            raise ConversionError(
                Reason.UNKNOWN_STAGE,
                f"the last stage of {type(model).__name__} gives no (batch, channels, height, "
                "width) map, which Grad-CAM needs",
                "choose a convolutional black box to compare with",
            )
        return layer

    def normalisation(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give mean and std of the input that a named backbone's pretrained weights expect."""
        config = timm.get_pretrained_cfg(name)
        if config is None:
            return _DEFAULT_MEAN, _DEFAULT_STD
        return tuple(config.mean), tuple(config.std)

    def candidates(self, model: Any) -> Sequence[tuple[str, dict[str, Any]]]:
        """Give the name in the model's own configuration, with what the instance tells."""
        name = (getattr(model, "pretrained_cfg", None) or {}).get("architecture")
        if not name or not timm.is_model(name):
            return ()
        plain: dict[str, Any] = {}
        if rate := float(getattr(model, "drop_rate", 0.0) or 0.0):
            plain["drop_rate"] = rate
        told: dict[str, Any] = {}
        if isinstance(pool := getattr(model, "global_pool", None), str):
            told["global_pool"] = pool
        size = getattr(getattr(model, "patch_embed", None), "img_size", None)
        tried = [plain, {**plain, **told}]
        if isinstance(size, tuple):
            tried += [{**plain, "img_size": size}, {**plain, **told, "img_size": size}]
        return tuple((name, kwargs) for kwargs in tried)

    def input_sizes(self, model: Any) -> Sequence[tuple[int, ...]]:
        """List small sizes, and those in the model's own configuration."""
        config = getattr(model, "pretrained_cfg", None) or {}
        own = [tuple(config[key])[1:] for key in ("input_size",) if config.get(key)]
        embed = getattr(model, "patch_embed", None)
        built = getattr(embed, "img_size", None)
        if isinstance(built, tuple):
            own.insert(0, built)
        small = [(side, side) for side in _SMALL]
        listed = [*own, *small] if config.get("fixed_input_size") else [*small, *own]
        rest = [(side, side) for side in (160, 192, 224, 256, 299, 384, 448, 512)]
        return tuple(dict.fromkeys([*listed, *rest]))

    def _require_classifier(self, model: Any) -> None:
        classifier = model.get_classifier() if hasattr(model, "get_classifier") else None
        if classifier is None or isinstance(classifier, nn.Identity) or model.num_classes == 0:
            raise ConversionError(
                Reason.NO_CLASSIFIER,
                f"{type(model).__name__} was built without a classifier",
                "pass num_classes= for a new evidence layer",
            )


class PatchTokens(nn.Module):
    """Leaves out the tokens that stand in front of the image's patches.

    Args:
        prefix: Their number.
    """

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix

    def forward(self, x: Tensor) -> Tensor:
        """Take tokens (B, prefix + N, C) to (B, N, C)."""
        return x[:, self.prefix :]


def _fully_connected(model: Any) -> FullyConnected:
    hidden, head = model.pre_logits, model.head
    channels = int(hidden.fc1.in_channels)
    layers = [hidden.fc1, hidden.act1, hidden.drop, hidden.fc2, hidden.act2, head.drop, head.fc]
    stack = FullyConnected.read(
        layers, channels=channels, window=int(hidden.fc1.kernel_size[0]), slides=True
    )
    if stack is None:
        raise ConversionError(
            Reason.UNSUPPORTED_HEAD,
            "the head of this VGG is not the stock one",
            'pass mode="fresh" for new 1x1 layers to be trained, as in the paper',
        )
    return stack


def _features(model: Any, sizes: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], Any]:
    """Compute features at the first size that a model takes and that gives several positions."""
    channels = input_channels(model)
    problem = "it gave one position only"
    for size in sizes:
        try:
            with evaluating(model):
                features = in_place_order(
                    model, model.forward_features(example_input(model, channels, size))
                )
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            problem = (str(error).splitlines() or [type(error).__name__])[0]
            continue
        first = features if isinstance(features, Tensor) else features[-1]
        if isinstance(first, Tensor) and sum(length > 1 for length in first.shape[1:]) > 1:
            return size, features
        if isinstance(first, Tensor) and first.ndim == 3 and first.shape[1] <= 2:
            return size, features  # class tokens alone
    raise ConversionError(
        Reason.NO_SPATIAL_MAP,
        f"{type(model).__name__} gives no features with several positions for the image sizes "
        f"tried ({problem[:120]})",
        "choose a backbone with a feature map",
    )


def _used(graph: fx.GraphModule) -> list[str]:
    """Name the parts of the model that its traced head uses."""
    targets = {str(n.target) for n in graph.graph.nodes if n.op in ("call_module", "get_attr")}
    return [name.removeprefix("model.") for name in targets if name.startswith("model.")]


def _head_modules(model: Any) -> list[str]:
    classifier = model.get_classifier() if hasattr(model, "get_classifier") else None
    names = [name for name, module in model.named_modules() if module is classifier and name]
    kept = ("head", "head_dist", "fc_norm", "attn_pool", "conv_head", "norm_head")
    return [*names, *(name for name in kept if isinstance(getattr(model, name, None), nn.Module))]


def _stage_places(strides: Sequence[int]) -> dict[int, int]:
    """Find where each stage's features stand in a model's list.

    Dilated models keep four stages of fewer strides; transformers list every block, and the last
    one of a stride is its stage.
    """
    later = [index for index, stride in enumerate(strides) if stride >= 4]
    if len(later) <= 4:
        return dict(enumerate(later, start=1))
    powers = [index for index in later if strides[index] & (strides[index] - 1) == 0]
    return {strides[index].bit_length() - 2: index for index in powers}


def _prefix_tokens(model: Any, features: Tensor, size: Sequence[int]) -> int:
    """Count the tokens in front of the image's patches: as many as leave a grid."""
    declared = int(getattr(model, "num_prefix_tokens", 0))
    count, called = int(features.shape[1]), type(model).__name__
    for prefix in dict.fromkeys((declared, 0, 1, 2)):
        if count - prefix < 2:
            continue
        try:
            grid_of(features[:, prefix:], Layout((1,), 2), size, called, _strides(model))
        except ConversionError:
            continue
        return prefix
    raise ConversionError(
        Reason.NO_SPATIAL_MAP,
        f"{called} gives {count} tokens, which are no grid over its image",
        "choose a backbone with a feature map",
    )


def _strides(model: Any) -> list[int]:
    """List the strides of a model's stages, the last one first."""
    info = getattr(model, "feature_info", None)
    listed = getattr(info, "info", info) or []
    return list(dict.fromkeys(int(entry["reduction"]) for entry in reversed(listed)))


def _dropout(model: nn.Module) -> float:
    drop = getattr(model, "head_drop", None)
    rate = drop.p if isinstance(drop, nn.Dropout) else getattr(model, "drop_rate", 0.0)
    return float(rate or 0.0)


def _feature_list(model: nn.Module) -> list[dict[str, Any]]:
    info = getattr(model, "feature_info", None)
    listed = getattr(info, "info", info)
    supported = hasattr(model, "forward_intermediates") and hasattr(
        model, "prune_intermediate_layers"
    )
    if not listed or not supported:
        raise ConversionError(
            Reason.UNKNOWN_STAGE,
            f"{type(model).__name__} does not list its stages",
            "leave stages out to use its last feature map",
        )
    return list(listed)


FAMILY = TimmFamily()
