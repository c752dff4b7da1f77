"""The demo's digits, nets and denoisers."""

from dataclasses import dataclass, field, replace

import torch
from sklearn.utils import Bunch
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence._demo._controls import NoDenoiser
from skdiffence._demo._split import Split
from skdiffence.datasets import load_digit_images, membership_partition
from skdiffence.defenses import DefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator


@dataclass(frozen=True)
class DemoSettings:
    """Settings of a run; sizes are numbers of rows.

    Net, denoiser and timestep were set in trials on other splits of the same digits, so that the figures are mildly
    optimistic. Nothing is chosen on the rows that a run scores.
    """

    n_public: int = 700
    n_members: int = 120
    n_known: int = 50
    n_splits: int = 5
    n_candidates: int = 30
    timestep: int = 240
    denoiser: dict = field(default_factory=dict)
    denoiser_epochs: int = 45
    net_epochs: int = 200
    noise_timesteps: tuple = (160, 240)
    min_retention: float = 0.6

    def quick(self):
        """Return settings that go through every step in seconds; the figures mean nothing."""
        return replace(self, n_splits=2, n_candidates=4, denoiser_epochs=2, noise_timesteps=(160,), min_retention=0.3)

    def with_splits(self, n_splits):
        """Return the same settings with another number of splits."""
        return replace(self, n_splits=n_splits)


class DigitNet(nn.Module):
    """One hidden layer on flattened images, wide enough to memorize a hundred digits."""

    def __init__(self, width=128):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, X):
        """Return logits of shape (n, 10)."""
        return self.layers(X)


def make_net(settings):
    """Return the unfitted net of the demo."""
    return NeuralNetClassifier(
        DigitNet,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.05,
        batch_size=32,
        max_epochs=settings.net_epochs,
        train_split=None,
        verbose=0,
    )


def draw_digits(settings, seed):
    """Split the digits into public rows, which train denoisers, and private rows.

    Returns
    -------
    digits : Bunch
        ``X_public`` of shape (n_public, 1, 8, 8) and ``y_public`` of shape (n_public,); ``X`` of shape (n, 1, 8, 8) and
        ``y`` of shape (n,), private.
    """
    digits = load_digit_images()
    parts = membership_partition(len(digits.data), {"public": settings.n_public}, random_state=seed)
    public, private = parts.public, parts.rest
    return Bunch(
        X_public=digits.data[public], y_public=digits.target[public], X=digits.data[private], y=digits.target[private]
    )


def trained_net(net, X, y, seed):
    """Return a net that was trained on all rows, from a seed."""
    return DefendedClassifier(net, "passthrough", random_state=seed).fit(X, y).estimator_


def attackers_model(settings, digits, seed):
    """Return a net like the target's, trained on the public rows."""
    return trained_net(make_net(settings), digits.X_public, digits.y_public, seed)


def split_digits(settings, digits, seed, own=None):
    """Return a random split of the private rows, with the net that was trained on its members."""
    sizes = {"members": settings.n_members, "known": settings.n_known}
    return Split(digits.X, digits.y, lambda: make_net(settings), sizes, settings.n_candidates, seed, own)


def train_denoiser(settings, X_public, output, seed, verbose):
    """Train the denoiser on public rows, save it and load it as a pretrained one, as a user would.

    Parameters
    ----------
    settings : DemoSettings
        Settings of the run.
    X_public : ndarray of shape (n, 1, 8, 8)
        Rows that no classifier is trained on.
    output : Path
        The denoiser is saved in its folder ``denoiser``.
    seed : int
        Seeds the training.
    verbose : int
        Whether to show progress.

    Returns
    -------
    regenerator : DiffusionRegenerator
        Fitted.
    """
    trained = DiffusionRegenerator(
        denoiser=settings.denoiser,
        timestep=settings.timestep,
        max_epochs=settings.denoiser_epochs,
        lr=4e-3,
        batch_size=32,
        value_range=(0, 1),
        random_state=seed,
        verbose=verbose,
    )
    trained.fit(X_public).save_pretrained(output / "denoiser")
    return pretrained(output / "denoiser", settings.timestep, X_public, seed)


def pretrained(denoiser, timestep, X, seed, *, precision="auto"):
    """Return a fitted regenerator around a denoiser that is not trained again."""
    made = DiffusionRegenerator(
        denoiser, timestep=timestep, value_range=(0, 1), precision=precision, random_state=seed
    )
    return made.fit(X)


def make_controls(settings, X_public, seed):
    """Return the regenerators of the control rows, by the name of the row."""
    untrained = DiffusionRegenerator(
        settings.denoiser, timestep=settings.timestep, max_epochs=1, lr=1e-12, value_range=(0, 1), random_state=seed
    )
    controls = {
        f"plain noise, t={timestep}": pretrained(NoDenoiser(), timestep, X_public, seed)
        for timestep in settings.noise_timesteps
    }
    return controls | {"untrained denoiser": untrained.fit(X_public[:64])}
