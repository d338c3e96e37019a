"""What every head has in common that reads evidence off one feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialHead(nn.Module):
    """A head from features to evidence, outside autocast so that a map's mean stays the logit.

    Attributes:
        kind: "affine", "normalised" or "gated", see `SoftCAM.evidence_kind`.
        dims: Number of spatial dimensions.
        num_outputs: K, the number of evidence maps.
        dropout: Dropout probability in front of the last layer.
    """

    kind: str = "affine"
    dims: int = 2
    num_outputs: int
    dropout: float

    def forward(self, features: Tensor) -> Tensor:
        """Give every position its evidence.

        Args:
            features: Shape (B, C, ...) with `dims` spatial dimensions.

        Returns:
            Evidence of shape (B, K, ...) in float32 or float64.

        Raises:
            ValueError: If the features have another number of dimensions.
        """
        if features.ndim != self.dims + 2:
            raise ValueError(
                f"{type(self).__name__} for {self.dims}-D features expects a tensor with "
                f"{self.dims + 2} dimensions, got shape {tuple(features.shape)}"
            )
        device = features.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._evidence(features)
        return self._evidence(features)

    def _evidence(self, features: Tensor) -> Tensor:
        raise NotImplementedError
