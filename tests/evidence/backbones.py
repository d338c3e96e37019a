"""Small backbones with what makes measuring hard: switched-off branches, global parts, stages."""

import torch
from torch import nn


class Residual(nn.Module):
    """A block whose branch is switched off until it is trained."""

    def __init__(self, channels, *branch):
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x):
        return x + self.norm(self.branch(x))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class Stages(nn.Module):
    """Two stages, given as a list (or a tuple), the coarse one first or last."""

    def __init__(self, collect=list, *, coarse_first=False):
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse = nn.Conv2d(4, 5, 5, stride=2, padding=2)
        self.collect, self.coarse_first = collect, coarse_first

    def forward(self, x):
        fine = self.fine(x)
        coarse = self.coarse(fine)
        return self.collect([coarse, fine] if self.coarse_first else [fine, coarse])
