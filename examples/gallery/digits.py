"""What the examples share: digits, a net that has learned some of them by heart, and a denoiser of others."""

import tempfile
import warnings
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.datasets import membership_partition
from skdiffence.exceptions import DefenseWarning


class Net(nn.Module):
    """One hidden layer."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, X):
        return self.layers(X)


@cache
def load_rows():
    """Return noisy digits, rows of 64 gray values: public ones, members, and others of the same kind."""
    X, y = load_digits(return_X_y=True)
    X = X / 16 + 0.2 * np.random.default_rng(0).standard_normal(X.shape)
    X = X.clip(0, 1).astype("float32")
    parts = membership_partition(len(y), {"public": 900, "members": 150}, random_state=0)
    rows = np.concatenate([parts.members, parts.rest])
    return Bunch(public=X[parts.public], X=X[rows], y=y[rows], is_member=np.arange(len(rows)) < len(parts.members))


def make_net(**settings):
    """Return an untrained net; settings replace the usual ones."""
    usual = {"criterion": nn.CrossEntropyLoss, "optimizer": torch.optim.Adam, "lr": 0.005, "batch_size": 32}
    usual |= {"max_epochs": 100, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(Net, **usual | settings)


@cache
def load_net():
    """Return a net that was trained on the members, and is not trained again."""
    rows = load_rows()
    net = DefendedClassifier(make_net(), "passthrough", random_state=0)
    return FrozenEstimator(net.fit(rows.X[rows.is_member], rows.y[rows.is_member]).estimator_)


def train_denoiser(X):
    """Return a folder with a small denoiser that was trained on some rows."""
    folder = tempfile.mkdtemp()
    denoiser = DiffusionRegenerator(timestep=300, max_epochs=80, value_range=(0, 1), random_state=0)
    denoiser.fit(X).save_pretrained(folder)
    return folder


@cache
def load_denoiser():
    """Return the folder of a denoiser of the public rows."""
    return train_denoiser(load_rows().public)


def defend(timestep=260, denoiser=None, noise="shared", **settings):
    """Return the net behind the defense. The fixed seed makes figures repeatable, and the key of the noise known."""
    rows = load_rows()
    regenerator = DiffusionRegenerator(
        denoiser or load_denoiser(), timestep=timestep, noise=noise, value_range=(0, 1), random_state=0
    )
    defended = DefendedClassifier(load_net(), regenerator, random_state=0, **settings)
    with warnings.catch_warnings():
        # Some examples show settings that are plainly poor, which ``fit`` says.
        warnings.simplefilter("ignore", DefenseWarning)
        return defended.fit(rows.X[rows.is_member], rows.y[rows.is_member])
