"""VGG's and AlexNet's fully connected layers: exact shares, a sliding window, or new 1x1 layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.steps import (
    DropoutStep,
    GateStep,
    LinearStep,
    Step,
)
from softcam.evidence.windows import WindowedEvidence, WindowStep


@dataclass(frozen=True)
class Hidden:
    """One hidden fully connected layer.

    Attributes:
        weight: Shape (D, C, kh, kw); the first layer's window, 1x1 for the others.
        bias: Shape (D,), or None.
        activation: What follows it.
        dropout: Dropout probability behind the activation.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    activation: nn.Module
    dropout: float


@dataclass(frozen=True)
class FullyConnected:
    """A stack of fully connected layers over a window of positions.

    Attributes:
        input_dropout: Dropout probability in front of the first layer.
        hidden: The hidden layers.
        classifier: The last layer, a linear one.
        slides: True when the window slides over larger maps (timm), False when maps are pooled
            to the window's size (torchvision).
    """

    input_dropout: float
    hidden: tuple[Hidden, ...]
    classifier: nn.Module
    slides: bool

    @classmethod
    def read(
        cls, layers: Sequence[nn.Module], *, channels: int, window: int, slides: bool
    ) -> FullyConnected | None:
        """Read linear layers (or convolutions), activations and dropouts in order.

        Args:
            layers: The modules behind the feature map; pools, flattening and identity left out.
            channels: Channels of the feature map.
            window: Side of the window that the first layer reads.
            slides: As the attribute.

        Returns:
            The stack, or None when there is anything else among the layers.
        """
        found: list[tuple[nn.Module, list[nn.Module]]] = []
        before: list[nn.Module] = []
        for layer in layers:
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                found.append((layer, []))
            else:
                (found[-1][1] if found else before).append(layer)
        if len(found) < 2 or any(_rate([layer]) is None for layer in before) or found[-1][1]:
            return None
        hidden = []
        for number, (layer, behind) in enumerate(found[:-1]):
            acting = [item for item in behind if not isinstance(item, nn.Dropout)]
            if len(acting) != 1:
                return None
            shape = (channels, window, window) if number == 0 else (-1, 1, 1)
            weight: Tensor = layer.weight  # type: ignore[assignment]
            hidden.append(
                Hidden(
                    nn.Parameter(
                        weight.detach().reshape(len(weight), *shape),
                        requires_grad=weight.requires_grad,
                    ),
                    layer.bias,  # type: ignore[arg-type]
                    acting[0],
                    _rate(behind) or 0.0,
                )
            )
        return cls(_rate(before) or 0.0, tuple(hidden), found[-1][0], slides)

    def exact(self) -> WindowedEvidence:
        """Give every position its share, the activations held as gates.

        Returns:
            A head whose map has the black box's logits as its mean.
        """
        steps: list[Step] = []
        for number, layer in enumerate(self.hidden):
            steps.append(
                WindowStep(layer.weight, layer.bias)
                if number == 0
                else LinearStep(_flat(layer.weight), layer.bias)
            )
            steps.append(GateStep(layer.activation))
            if layer.dropout:
                steps.append(DropoutStep(layer.dropout))
        weight: Tensor = self.classifier.weight  # type: ignore[assignment]
        bias: nn.Parameter | None = self.classifier.bias  # type: ignore[assignment]
        steps.append(LinearStep(_flat(weight), bias))
        return WindowedEvidence(steps, slides=self.slides, input_dropout=self.input_dropout)

    def sliding(self) -> tuple[nn.Sequential, EvidenceLayer]:
        """Read the stack as convolutions with the old weights: one logit vector per window.

        Returns:
            Layers from the feature map to hidden maps, and the evidence layer on them.
        """
        layers = nn.Sequential()
        rows, columns = (int(length) for length in self.hidden[0].weight.shape[2:])
        layers.add_module("pool", AtLeast(rows, columns))
        if self.input_dropout:
            layers.add_module("drop0", nn.Dropout(self.input_dropout))
        for number, hidden in enumerate(self.hidden, start=1):
            outputs, channels, *size = hidden.weight.shape
            convolution = nn.Conv2d(
                channels, outputs, (size[0], size[1]), bias=hidden.bias is not None
            )
            convolution.weight, convolution.bias = hidden.weight, hidden.bias
            layers.add_module(f"fc{number}", convolution)
            layers.add_module(f"relu{number}", hidden.activation)
            if hidden.dropout and number < len(self.hidden):
                layers.add_module(f"drop{number}", nn.Dropout2d(hidden.dropout))
        return layers, EvidenceLayer.from_linear(self.classifier, dropout=self.hidden[-1].dropout)


class AtLeast(nn.Module):
    """Stretches maps that are smaller than one window to its size; larger ones stay as they are.

    Args:
        rows: Least height.
        columns: Least width.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows = rows
        self.columns = columns

    def forward(self, x: Tensor) -> Tensor:
        """Take maps (B, C, h, w) to maps of at least the window's size."""
        height, width = x.shape[2:]
        if height >= self.rows and width >= self.columns:
            return x
        return F.adaptive_avg_pool2d(x, (max(height, self.rows), max(width, self.columns)))


def pointwise_head(in_channels: int, hidden: int, dropout: float) -> nn.Sequential:
    """Build the 1x1 form of VGG's two hidden fully connected layers, with new weights.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3.

    Args:
        in_channels: Channels of the feature map.
        hidden: Width of the two layers (4096 in VGG).
        dropout: Dropout probability behind each; per channel, shared over positions.

    Returns:
        Convolution, ReLU and dropout, twice: (B, in_channels, h, w) to (B, hidden, h, w).
    """
    layers = nn.Sequential()
    for number, width in enumerate((in_channels, hidden), start=1):
        convolution = nn.Conv2d(width, hidden, kernel_size=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        layers.add_module(f"fc{number}", convolution)
        layers.add_module(f"relu{number}", nn.ReLU(inplace=True))
        layers.add_module(f"drop{number}", nn.Dropout2d(dropout))
    return layers


def _rate(layers: Sequence[nn.Module]) -> float | None:
    """Give the dropout probability of layers that are dropouts, None where others are among them.

    Activations do not count as others.
    """
    rates = [float(layer.p) for layer in layers if isinstance(layer, nn.Dropout)]
    if not rates:
        return None
    return max(rates)


def _flat(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().flatten(1), requires_grad=weight.requires_grad)
