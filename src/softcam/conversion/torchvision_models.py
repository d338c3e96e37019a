"""torchvision's classifiers: ResNet, DenseNet, EfficientNet, MobileNetV2 and VGG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import VGG, DenseNet, EfficientNet, MobileNetV2, ResNet

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.family import Seam, Stages
from softcam.conversion.fresh import pointwise_head
from softcam.errors import InputError
from softcam.evidence.probe import evaluating

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SUPPORTED = (ResNet, DenseNet, EfficientNet, MobileNetV2, VGG)


class LayerSequence(nn.Module):
    """Layers run one after the other, handing out the maps behind some of them.

    Args:
        layers: The layers by the names that they have in the black box.
        taps: Names of the layers whose outputs are wanted, in order.
    """

    def __init__(self, layers: dict[str, nn.Module], taps: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(layers)
        self.taps = tuple(taps)
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Compute the feature map of the one tap, or the list of the taps' maps."""
        maps = []
        for name in self.names:
            x = self.layers[name](x)
            if name in self.taps:
                maps.append(x)
        return maps[0] if len(self.taps) == 1 else maps


class TorchvisionFamily:
    """What softcam knows about torchvision's classifiers."""

    source = "torchvision"

    def owns(self, model: nn.Module) -> bool:
        """Tell whether a model is torchvision's."""
        return type(model).__module__.startswith("torchvision.models.")

    def names(self) -> Sequence[str]:
        """List torchvision's classifiers."""
        return tuple(torchvision.models.list_models(module=torchvision.models))

    def build(
        self, name: str, num_outputs: int, in_chans: int, kwargs: dict[str, Any]
    ) -> nn.Module:
        """Build a black box with random weights."""
        if in_chans != 3:
            raise InputError(
                f"torchvision's {name} takes 3 channels, not {in_chans}; use timm's model of that "
                "name for other channel counts, or grey images as RGB."
            )
        model: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=num_outputs, **kwargs
        )
        return model

    def seam(self, model: nn.Module) -> Seam:
        """Find the seam by the model's class."""
        if isinstance(model, VGG):
            raise ConversionError(
                Reason.MIXES_POSITIONS,
                "VGG's fully connected layers read all positions of the feature map at once",
                'pass mode="fresh" for new 1x1 layers to be trained, as in the paper',
            )
        _require_supported(model)
        classifier, dropout = _linear_head(model)
        layers = _layers(model)
        return Seam(LayerSequence(layers, [list(layers)[-1]]), classifier, dropout)

    def fresh(self, model: nn.Module) -> Stages:
        """Give the last feature map; VGG's fully connected layers become new 1x1 layers."""
        _require_supported(model)
        layers = _layers(model)
        if isinstance(model, VGG):
            hidden = int(model.classifier[0].out_features)
            channels = _channels_and_strides(model, layers)[list(layers)[-1]][0]
            layers["hidden"] = pointwise_head(channels, hidden, float(model.classifier[2].p))
            return Stages(LayerSequence(layers, ["hidden"]), (hidden,), 0.0)
        classifier, dropout = _linear_head(model)
        body = LayerSequence(layers, [list(layers)[-1]])
        return Stages(body, (classifier.in_features,), dropout)

    def stages(self, model: nn.Module, numbers: Sequence[int]) -> Stages:
        """Give the last map of stride 4, 8, 16, 32; what lies behind the last is dropped."""
        _require_supported(model)
        layers = _layers(model)
        shapes = _channels_and_strides(model, layers)
        by_stage: dict[int, str] = {}
        for name, (_, stride) in shapes.items():
            if stride >= 4 and not _is_half_done(name):
                by_stage[stride.bit_length() - 2] = name
        for number in numbers:
            if number not in by_stage:
                raise ConversionError(
                    Reason.UNKNOWN_STAGE,
                    f"{type(model).__name__} has no stage {number}",
                    f"choose from {sorted(by_stage)} (stage 1 has stride 4)",
                )
        taps = [by_stage[number] for number in sorted(set(numbers))]
        ordered = list(layers)
        kept = {name: layers[name] for name in ordered[: ordered.index(taps[-1]) + 1]}
        dropout = 0.0 if isinstance(model, VGG) else _linear_head(model)[1]
        return Stages(LayerSequence(kept, taps), tuple(shapes[name][0] for name in taps), dropout)

    def feature_layer(self, model: nn.Module) -> nn.Module:
        """Name the module whose output is the last feature map."""
        _require_supported(model)
        return model.get_submodule("layer4" if isinstance(model, ResNet) else "features")

    def normalisation(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give ImageNet's mean and std, which all of torchvision's weights expect."""
        return _MEAN, _STD

    def candidates(self, model: nn.Module) -> Sequence[str]:
        """List the builders that stand in the model's own file; the probe tells which it is."""
        home = type(model).__module__
        return tuple(
            name
            for name in self.names()
            if torchvision.models.get_model_builder(name).__module__ == home
        )


def _require_supported(model: nn.Module) -> None:
    if type(model) not in _SUPPORTED:
        names = ", ".join(item.__name__ for item in _SUPPORTED)
        raise ConversionError(
            Reason.UNSUPPORTED_HEAD,
            f"torchvision's {type(model).__name__} is not supported yet",
            f"choose from {names}, or use timm's model of that name",
        )


def _linear_head(model: nn.Module) -> tuple[nn.Linear, float]:
    head = model.fc if isinstance(model, ResNet) else model.classifier
    dropout = 0.0
    if isinstance(head, nn.Sequential) and len(head) == 2 and isinstance(head[0], nn.Dropout):
        dropout, head = float(head[0].p), head[1]
    pool = getattr(model, "avgpool", None)
    averaged = pool is None or (
        isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1))
    )
    if isinstance(head, nn.Linear) and averaged:
        return head, dropout
    if isinstance(head, nn.Identity):
        raise ConversionError(
            Reason.NO_CLASSIFIER,
            f"{type(model).__name__} has no classifier",
            "pass num_classes= for a new evidence layer",
        )
    raise ConversionError(
        Reason.UNSUPPORTED_HEAD,
        f"the head of this {type(model).__name__} is not average pool, dropout, one linear layer",
        "restore the stock head",
    )


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """List the layers in front of the pool, by name, in the order that they run."""
    if isinstance(model, ResNet):
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        return {name: model.get_submodule(name) for name in names}
    layers = dict(model.get_submodule("features").named_children())
    if isinstance(model, DenseNet):
        layers["relu"] = nn.ReLU()  # DenseNet.forward applies it behind its features
    return layers


def _is_half_done(name: str) -> bool:
    """Tell a DenseNet transition (already reduced for the next stage) from a stage's end."""
    return name.startswith("transition")


def _channels_and_strides(
    model: nn.Module, layers: dict[str, nn.Module]
) -> dict[str, tuple[int, int]]:
    """Find channels and stride behind each layer by running a small image through them."""
    size = 64
    parameter = next(model.parameters())
    x = parameter.new_zeros(1, 3, size, size)
    found = {}
    with evaluating(model):
        for name, layer in layers.items():
            x = layer(x)
            found[name] = (int(x.shape[1]), size // int(x.shape[2]))
    return found


FAMILY = TorchvisionFamily()
