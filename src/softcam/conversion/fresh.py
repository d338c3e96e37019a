"""New 1x1 convolutions in place of fully connected layers, as the paper does for VGG."""

from __future__ import annotations

from torch import nn


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
