"""Denoisers with known answers, at module level so that they pickle."""

from types import SimpleNamespace

import torch
from torch import nn


class ZeroNoise(nn.Module):
    """Sees no noise in anything."""

    def forward(self, x, timesteps):
        """Return zeros."""
        return torch.zeros_like(x)


class Recording(ZeroNoise):
    """Sees no noise, and remembers what it was called with."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, timesteps):
        """Return zeros and note the batch shape and the timesteps."""
        self.calls.append((tuple(x.shape), sorted(set(timesteps.tolist()))))
        return super().forward(x, timesteps)


class Linear(nn.Module):
    """One weight per feature or channel: the smallest network that can be trained."""

    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape[0], *[1] * (len(shape) - 1)))

    def forward(self, x, timesteps):
        """Return x times the weights."""
        return x * self.weight


class Dropping(Linear):
    """Has dropout, so that it draws from torch's global generator in training."""

    def forward(self, x, timesteps):
        """Return the dropped-out input times the weights."""
        return super().forward(nn.functional.dropout(x, 0.5, self.training), timesteps)


class Normed(nn.Module):
    """Has batch statistics, which must not follow the inputs at inference."""

    def __init__(self, shape):
        super().__init__()
        self.norm = nn.BatchNorm2d(shape[0])

    def forward(self, x, timesteps):
        """Return the normed input."""
        return self.norm(x)


class Cramped(nn.Module):
    """Runs out of memory above a number of rows; notes how many it was called with."""

    def __init__(self, n_rows):
        super().__init__()
        self.n_rows, self.sizes = n_rows, []
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        with torch.no_grad():
            for weight in self.layer.parameters():
                weight.copy_(torch.linspace(-0.2, 0.2, weight.numel()).reshape(weight.shape))

    def forward(self, x, timesteps):
        """Return one convolution of x, or raise."""
        self.sizes.append(len(x))
        if len(x) > self.n_rows:
            raise torch.OutOfMemoryError("out of memory")
        return self.layer(x)


class Sized(ZeroNoise):
    """Sees no noise, and says that it was trained on images of some size and number of channels."""

    def __init__(self, size, n_channels=3):
        super().__init__()
        self.config = SimpleNamespace(sample_size=size, in_channels=n_channels, out_channels=n_channels)
