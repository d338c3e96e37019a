"""torchvision's classifiers: the common ones by their layers, the others by tracing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import (
    VGG,
    AlexNet,
    DenseNet,
    EfficientNet,
    GoogLeNet,
    Inception3,
    MobileNetV2,
    RegNet,
    ResNet,
)

from softcam.conversion.any_module import ModuleFamily, refuse_sliding
from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.family import Seam, Stages
from softcam.conversion.fully_connected import FullyConnected, pointwise_head
from softcam.errors import InputError
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.probe import evaluating, smallest_probe

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STAGED = (ResNet, DenseNet, EfficientNet, MobileNetV2, VGG, AlexNet)
_SIZES = tuple((side, side) for side in (64, 224, 256, 299, 240, 384, 518))


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
        """Find the seam by the model's class, or by tracing it."""
        if isinstance(model, (VGG, AlexNet)):
            stack = _fully_connected(model)
            channels = int(stack.hidden[0].weight.shape[1])
            features = {"features": model.features}
            return Seam(LayerSequence(features, ["features"]), stack.exact(), (channels,))
        found = _linear_head(model)
        if found is None:
            return self._traced(model).seam(model)
        classifier, dropout = found
        layers = _layers(model)
        head = EvidenceLayer.from_linear(classifier, dropout=dropout)
        return Seam(LayerSequence(layers, [list(layers)[-1]]), head, (classifier.in_features,))

    def sliding(self, model: nn.Module) -> Seam:
        """Give the fully connected layers of VGG and AlexNet as convolutions."""
        if not isinstance(model, (VGG, AlexNet)):
            refuse_sliding(model)
        hidden, head = _fully_connected(model).sliding()
        layers = {"features": model.features, "hidden": hidden}
        return Seam(LayerSequence(layers, ["hidden"]), head, (head.conv.in_channels,))

    def fresh(self, model: nn.Module) -> Stages:
        """Give the last feature map; VGG's fully connected layers become new 1x1 layers."""
        if isinstance(model, (VGG, AlexNet)):
            layers = _layers(model)
            linear = [m for m in model.classifier if isinstance(m, nn.Linear)]
            dropouts = [m for m in model.classifier if isinstance(m, nn.Dropout)]
            hidden = int(linear[0].out_features)
            channels = _channels_and_strides(model, layers)[list(layers)[-1]][0]
            layers["hidden"] = pointwise_head(channels, hidden, float(dropouts[0].p))
            return Stages(LayerSequence(layers, ["hidden"]), (hidden,), 0.0)
        if isinstance(model, _STAGED):
            layers = _layers(model)
            last = list(layers)[-1]
            channels = _channels_and_strides(model, layers)[last][0]
            found = _linear_head(model)
            return Stages(LayerSequence(layers, [last]), (channels,), found[1] if found else 0.0)
        return self._traced(model).fresh(model)

    def _traced(self, model: nn.Module) -> ModuleFamily:
        """Look at a model from outside, at a size that it takes."""
        size = smallest_probe(model, 3, sizes=self.input_sizes(model))
        return ModuleFamily(image_size=size)

    def stages(self, model: nn.Module, numbers: Sequence[int]) -> Stages:
        """Give the last map of stride 4, 8, 16, 32; what lies behind the last is dropped."""
        if not isinstance(model, _STAGED):
            raise ConversionError(
                Reason.UNKNOWN_STAGE,
                f"the stages of torchvision's {type(model).__name__} are not known",
                "leave stages out, or use timm's model of that name",
            )
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
        found = _linear_head(model)
        dropout = found[1] if found else 0.0
        return Stages(LayerSequence(kept, taps), tuple(shapes[name][0] for name in taps), dropout)

    def feature_layer(self, model: nn.Module) -> nn.Module:
        """Name the module whose output is the last feature map."""
        names = [name for name, _ in model.named_children()]
        for name in ("layer4", "features", "Mixed_7c", "inception5b", "conv5", "trunk_output"):
            if name in names:
                return model.get_submodule(name)
        raise ConversionError(
            Reason.UNKNOWN_STAGE,
            f"the last feature layer of torchvision's {type(model).__name__} is not known",
            "choose another black box",
        )

    def normalisation(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give ImageNet's mean and std, which all of torchvision's weights expect."""
        return _MEAN, _STD

    def candidates(self, model: nn.Module) -> Sequence[tuple[str, dict[str, Any]]]:
        """List the builders that stand in the model's own file; the probe tells which it is."""
        home = type(model).__module__
        names = [
            name
            for name in self.names()
            if torchvision.models.get_model_builder(name).__module__ == home
        ]
        if isinstance(model, RegNet):  # their constructors cannot run without memory for weights
            names = [name for name in names if _published_parameters(name, model) == _count(model)]
        kwargs: dict[str, Any] = {}
        if isinstance(model, (GoogLeNet, Inception3)):
            kwargs = {"aux_logits": model.aux_logits, "transform_input": model.transform_input}
            kwargs["init_weights"] = False
        return tuple((name, kwargs) for name in names)

    def input_sizes(self, model: nn.Module) -> Sequence[tuple[int, ...]]:
        """List small sizes first; VGG and AlexNet need their own to fill one window."""
        if isinstance(model, (VGG, AlexNet)):
            return ((224, 224),)
        return _SIZES


def _fully_connected(model: VGG | AlexNet) -> FullyConnected:
    layers = list(model.classifier.children())
    window = int(model.avgpool.output_size[0])
    channels = [m for m in model.features if isinstance(m, nn.Conv2d)][-1]
    stack = FullyConnected.read(
        layers, channels=int(channels.out_channels), window=window, slides=False
    )
    if stack is None:
        raise ConversionError(
            Reason.UNSUPPORTED_HEAD,
            f"the head of this {type(model).__name__} is not the stock one",
            'pass mode="fresh" for new 1x1 layers to be trained, as in the paper',
        )
    return stack


def _count(model: nn.Module) -> int:
    return sum(int(parameter.numel()) for parameter in model.parameters())


def _published_parameters(name: str, model: RegNet) -> int:
    """Give the number of parameters that a name has with as many classes as the model."""
    published = next(iter(torchvision.models.get_model_weights(name)))
    width = int(model.fc.in_features) + 1
    count = int(published.meta["num_params"])
    return count - width * (1000 - int(model.fc.out_features))


def _linear_head(model: nn.Module) -> tuple[nn.Linear, float] | None:
    """Give classifier and dropout of a head that pools, drops and applies one linear layer."""
    if type(model) not in (ResNet, DenseNet, EfficientNet, MobileNetV2):
        return None
    head = model.get_submodule("fc" if isinstance(model, ResNet) else "classifier")
    dropout = 0.0
    if isinstance(head, nn.Sequential) and len(head) == 2 and isinstance(head[0], nn.Dropout):
        dropout, head = float(head[0].p), head[1]
    pool = getattr(model, "avgpool", None)
    averaged = pool is None or (
        isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size in (1, (1, 1))
    )
    return (head, dropout) if isinstance(head, nn.Linear) and averaged else None


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
