"""timm's classifiers, through their own contract: forward_features, forward_head, stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.layers import SelectAdaptivePool2d
from timm.models.vgg import VGG
from torch import Tensor, nn

from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.family import Seam, Stages, shallow
from softcam.conversion.fresh import pointwise_head
from softcam.evidence.probe import evaluating

_FRESH = 'pass mode="fresh" for a new 1x1 evidence layer to be trained'
_DEFAULT_MEAN, _DEFAULT_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TimmFeatures(nn.Module):
    """A timm model up to its last feature map.

    Args:
        model: A timm model without its classifier.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, x: Tensor) -> Tensor:
        """Compute the feature map (B, C, h, w) of images (B, channels, H, W)."""
        features: Tensor = self.model.forward_features(x)
        return features


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
        """Find the seam, and prove on random features that the head is pool-then-linear."""
        classifier = self._classifier(model)
        _require_average_pool(model)
        body = self._without_classifier(model, classifier)
        if not _is_mean_then_linear(model, classifier):
            raise ConversionError(
                Reason.MIXES_POSITIONS if isinstance(model, VGG) else Reason.UNSUPPORTED_HEAD,
                f"the head of {type(model).__name__} does more than average and apply one linear "
                "layer",
                _FRESH,
            )
        return Seam(TimmFeatures(body), classifier, _dropout(model))

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
        classifier = model.get_classifier()
        missing = isinstance(classifier, nn.Identity)
        body = shallow(model) if missing else self._without_classifier(model, classifier)
        _require_feature_map(model)
        return Stages(TimmFeatures(body), (int(model.num_features),), _dropout(model))

    def stages(self, model: Any, numbers: Sequence[int]) -> Stages:
        """Give the features of stages; what lies behind the last one is dropped."""
        listed = _feature_list(model)
        offset = sum(entry["reduction"] < 4 for entry in listed)
        available = len(listed) - offset
        for number in numbers:
            if not 1 <= number <= available:
                raise ConversionError(
                    Reason.UNKNOWN_STAGE,
                    f"{type(model).__name__} has no stage {number}",
                    f"choose from 1 to {available} (stage 1 has stride 4)",
                )
        indices = sorted({offset + number - 1 for number in numbers})
        body: Any = shallow(model)
        body.prune_intermediate_layers(indices, prune_norm=True, prune_head=True)
        channels = tuple(int(listed[index]["num_chs"]) for index in indices)
        return Stages(TimmStages(body, indices), channels, _dropout(model))

    def feature_layer(self, model: nn.Module) -> nn.Module:
        """Name the module whose output is the last feature map."""
        if hasattr(model, "conv_head") and hasattr(model, "bn2"):
            return model.get_submodule("bn2")  # EfficientNet: the last stage is a layer earlier
        return model.get_submodule(_feature_list(model)[-1]["module"])

    def normalisation(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give mean and std of the input that a named backbone's pretrained weights expect."""
        config = timm.get_pretrained_cfg(name)
        if config is None:
            return _DEFAULT_MEAN, _DEFAULT_STD
        return tuple(config.mean), tuple(config.std)

    def candidates(self, model: nn.Module) -> Sequence[str]:
        """Give the name in the model's own configuration."""
        name = (getattr(model, "pretrained_cfg", None) or {}).get("architecture")
        return (name,) if name and timm.is_model(name) else ()

    def _classifier(self, model: Any) -> nn.Linear:
        classifier = model.get_classifier()
        if isinstance(classifier, nn.Linear):
            return classifier
        if isinstance(classifier, nn.Identity):
            raise ConversionError(
                Reason.NO_CLASSIFIER,
                f"{type(model).__name__} was built without a classifier",
                "pass num_classes= for a new evidence layer",
            )
        raise ConversionError(
            Reason.UNSUPPORTED_HEAD,
            f"the classifier of {type(model).__name__} is a {type(classifier).__name__}",
            _FRESH,
        )

    def _without_classifier(self, model: nn.Module, classifier: nn.Module) -> nn.Module:
        path = next(name for name, child in model.named_modules() if child is classifier)
        body = top = shallow(model)
        *parents, leaf = path.split(".")
        for name in parents:
            child = shallow(body.get_submodule(name))
            setattr(body, name, child)
            body = child
        setattr(body, leaf, nn.Identity())
        return top


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


def _require_average_pool(model: nn.Module) -> None:
    pool = getattr(model, "global_pool", None)
    if pool is None:
        pool = getattr(getattr(model, "head", None), "global_pool", None)
    kind = pool.pool_type if isinstance(pool, SelectAdaptivePool2d) else pool
    if not isinstance(kind, str):
        return  # the proof on random features decides
    if kind == "token":
        raise ConversionError(
            Reason.CLASS_TOKEN,
            f"{type(model).__name__} classifies from a class token",
            "choose a convolutional backbone with an average pool",
        )
    if kind == "map":
        raise ConversionError(
            Reason.ATTENTION_POOL,
            f"{type(model).__name__} pools by attention",
            "choose a convolutional backbone with an average pool",
        )
    if "max" in kind:
        raise ConversionError(
            Reason.MAX_POOL,
            f"{type(model).__name__} pools with {kind!r}, not with the average alone",
            _FRESH,
        )


def _require_feature_map(model: Any) -> None:
    """Refuse token sequences and other features that have no (B, C, h, w) form."""
    config = getattr(model, "pretrained_cfg", None) or {}
    channels, height, width = config.get("input_size", (3, 224, 224))
    parameter = next(model.parameters())
    image = parameter.new_zeros(1, getattr(model, "in_chans", channels), height, width)
    features = _evaluate(model, "forward_features", image)
    if features.ndim != 4 or features.shape[1] != model.num_features:
        raise ConversionError(
            Reason.NO_SPATIAL_MAP,
            f"the features of {type(model).__name__} have shape {tuple(features.shape)}, not "
            "(batch, channels, height, width)",
            "choose a convolutional backbone",
        )


def _evaluate(model: nn.Module, method: str, value: Tensor) -> Tensor:
    with evaluating(model):
        result: Tensor = getattr(model, method)(value)
    return result


def _is_mean_then_linear(model: nn.Module, classifier: nn.Linear) -> bool:
    """Compare the head with its definition on random features of either sign."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, classifier.in_features, 7, 5, generator=generator)
    features = features.to(classifier.weight.device, classifier.weight.dtype)
    try:
        found = _evaluate(model, "forward_head", features)
    except (RuntimeError, ValueError, TypeError, AssertionError):
        return False  # the head wants something other than a (B, C, h, w) map
    with torch.no_grad():
        expected = classifier(features.mean(dim=(2, 3)))
    if found.shape != expected.shape:
        return False
    tolerance = 1e-2 if classifier.weight.dtype in (torch.float16, torch.bfloat16) else 1e-4
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


FAMILY = TimmFamily()
