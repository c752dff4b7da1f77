"""The splits of ``selection.py``: digits, or one split of a file of images."""

from dataclasses import replace
from functools import partial

import joblib
import numpy as np
import torch
from _common import kept_denoiser
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence._demo._digits import DemoSettings, draw_digits, split_digits
from skdiffence._demo._engine import whole_file
from skdiffence._demo._split import Split


def splits(options):
    """Yield the splits, each with its net; sets ``options.denoiser`` where one is trained."""
    return image_splits(options) if options.data else digit_splits(options)


def digit_splits(options):
    """Yield random splits of scikit-learn's digits, whose denoiser was trained on other digits."""
    settings = replace(DemoSettings(), n_candidates=options.n_candidates)
    digits = draw_digits(settings, options.seed)
    options.denoiser = options.denoiser or kept_denoiser(settings, digits, options.folder, options.seed, verbose=0)
    first = options.seed + options.first
    for seed in range(first, first + options.splits):
        split = split_digits(settings, digits, seed)
        split.X_rest, split.y_rest = split.X_rest[: options.scored], split.y_rest[: options.scored]
        yield split


def image_splits(options):
    """Yield splits of the private rows of a file, drawn as its denoiser's public rows were; each has its own net."""
    with np.load(options.data) as file:
        rows = np.random.default_rng(0).permutation(len(file["y"]))[: options.private]
        X, y = file["X"][rows], file["y"][rows].astype(np.int64)
    n = 2 * (options.scored + options.calibration)
    X, y = X[:n].astype(np.float32) / 255, y[:n]
    sizes = {"members": options.scored + options.calibration, "known": options.calibration}
    for seed in range(options.seed + options.first, options.seed + options.first + options.splits):
        net = options.folder / f"net-{seed}.joblib"
        make = partial(load_frozen, net) if net.exists() else make_image_net
        split = Split(X, y, make, sizes, options.n_candidates, seed)
        if not net.exists():
            with whole_file(net) as path:
                joblib.dump(split.net, path, compress=1)
        yield split


def load_frozen(path):
    """Return a net that an earlier run has trained."""
    return FrozenEstimator(joblib.load(path))


def describe(split):
    """Return the number of rows in each role, and the accuracies on scored rows."""
    is_member = split.scored.is_member
    return {
        "members": int(split.is_member.sum()),
        "calibration, a side": int(split.calibration_is_member.sum()),
        "scored members": int(is_member.sum()),
        "scored non-members": int((~is_member).sum()),
        "accuracy on scored members": float((split.scored.labels == split.scored.y)[is_member].mean()),
        "accuracy on scored non-members": float((split.scored.labels == split.scored.y)[~is_member].mean()),
    }


class ImageNet(nn.Module):
    """Three convolutions and a wide layer, small enough for a CPU and large enough to memorize rows."""

    def __init__(self, n_channels=3, n_classes=10, width=32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(n_channels, width, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(64 * width, 256),
            nn.ReLU(),
            nn.Linear(256, n_classes),
        )

    def forward(self, X):
        """Return logits of shape (n, n_classes)."""
        return self.layers(X - 0.5)


def make_image_net():
    """Return the unfitted net of the images."""
    return NeuralNetClassifier(
        ImageNet,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=64,
        max_epochs=60,
        iterator_valid__batch_size=512,
        train_split=None,
        verbose=0,
    )
