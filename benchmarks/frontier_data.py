"""The splits of ``frontier.py``: digits, or photographs with networks that learned their members by heart."""

from dataclasses import dataclass, replace
from functools import partial

import joblib
import numpy as np
import torch
from _common import kept_denoiser
from paper.networks import SHAPES, ResNet, flipped_and_shifted
from selection_data import load_frozen
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import nn

from skdiffence._demo._controls import NoDenoiser
from skdiffence._demo._digits import (
    DemoSettings,
    attackers_model,
    draw_digits,
    make_net,
    pretrained,
    split_digits,
    trained_net,
)
from skdiffence._demo._engine import make_unet, whole_file
from skdiffence._demo._split import Split
from skdiffence.datasets import load_images
from skdiffence.diffusion import DiffusionRegenerator

EPOCHS, BATCH_SIZE, HIGHEST_LR = 16, 64, 0.1
PHOTO_DENOISER = {"block_out_channels": (16, 32, 64)}


@dataclass
class Setting:
    """One split with the denoiser that is used on it.

    Parameters
    ----------
    split : Split
        With its net; rows that are scored are drawn later.
    denoisers : dict of str to object
        The trained denoiser, an untrained one and none, as :func:`pretrained` takes them.
    X_public, y_public : ndarray
        Rows for students and for the attacker's own model.
    own : classifier
        The attacker's own model, fitted to public rows.
    make_student : callable () -> classifier
        Makes an unfitted student.
    name : str
        Of the split.
    precision : str, default="auto"
        Of regenerations.
    """

    split: Split
    denoisers: dict
    X_public: np.ndarray
    y_public: np.ndarray
    own: object
    make_student: object
    name: str
    precision: str = "auto"

    def regenerator(self, denoiser, timestep, key):
        """Return a fitted regenerator with one of the denoisers."""
        return pretrained(self.denoisers[denoiser], timestep, self.split.X_fit[:2], key, precision=self.precision)


def settings(options):
    """Yield the splits."""
    return photograph_settings(options) if options.data else digit_settings(options)


def digit_settings(options):
    """Yield random splits of scikit-learn's digits; all share the denoiser and the public rows."""
    highest = max(options.timesteps)
    demo = replace(DemoSettings(), n_candidates=options.n_candidates, n_known=100, timestep=highest)
    demo = replace(demo, denoiser_epochs=options.denoiser_epochs[0])
    digits = draw_digits(demo, options.seed)
    trained = kept_denoiser(demo, digits, options.folder, options.seed, verbose=0)
    denoisers = {"trained": trained, "untrained": untrained((1, 8, 8), {}), "none": NoDenoiser()}
    own = attackers_model(demo, digits, options.seed)
    for seed in (options.seed + number for number in options.only):
        split = split_digits(demo, digits, seed)
        split.X_rest, split.y_rest = split.X_rest[: options.scored], split.y_rest[: options.scored]
        yield Setting(split, denoisers, digits.X_public, digits.y_public, own, partial(make_net, demo), f"{seed}")


def photograph_settings(options):
    """Yield splits of private photographs: each net and key with the first denoiser, then with the next one."""
    images = load_images(options.data)
    order = np.random.default_rng(0).permutation(len(images.target))
    X, y = images.data[order], np.unique(images.target, return_inverse=True)[1][order].astype(np.int64)
    private, public = slice(options.private), slice(options.private, None)
    X_public = X[public]
    X_own, y_own = as_floats(X_public[: options.public]), y[public][: options.public]
    X_private = as_floats(X[private])
    recipe = partial(photograph_net, augmented=options.augmented)
    train_own = partial(trained_net, recipe(len(y_own)), X_own, y_own, options.seed)
    own = kept(options.folder / "own.joblib", train_own)
    n_nets = -(-options.splits // len(options.denoiser_epochs))
    for number in options.only:
        seed, epochs = options.seed + number % n_nets, options.denoiser_epochs[number // n_nets]
        folder = options.folder / f"denoiser-{epochs}"
        if not folder.exists():
            train_denoiser(X_public, epochs).save_pretrained(folder)
        denoisers = {"trained": folder, "untrained": untrained(X.shape[1:], PHOTO_DENOISER), "none": NoDenoiser()}
        split = photograph_split(X_private, y[private], recipe, options, seed)
        student = partial(photograph_net, options.public, epochs=8)
        yield Setting(split, denoisers, X_own, y_own, own, student, f"{seed}-{epochs}", options.precision)


def photograph_split(X, y, recipe, options, seed):
    """Return a random split with its net, which an earlier run may have trained."""
    net = options.folder / f"net-{seed}.joblib"
    make = partial(load_frozen, net) if net.exists() else partial(recipe, options.members)
    sizes = {"members": options.members, "known": options.calibration}
    split = Split(X, y, make, sizes, options.n_candidates, seed)
    split.X_rest, split.y_rest = split.X_rest[: options.scored], split.y_rest[: options.scored]
    if not net.exists():
        kept(net, lambda: split.net)
    return split


def kept(path, make):
    """Return what a file holds, or else make it and write the file."""
    if not path.exists():
        made = make()
        with whole_file(path) as whole:
            joblib.dump(made, whole)
    return joblib.load(path)


def as_floats(X):
    """Return images of bytes as float32 in [0, 1]."""
    return X.astype(np.float32) / 255


def train_denoiser(X, epochs):
    """Return a regenerator that was trained on images of bytes."""
    return DiffusionRegenerator(
        PHOTO_DENOISER,
        timestep=200,
        max_epochs=epochs,
        batch_size=16,
        ema_decay=0.998,
        random_state=epochs,
    ).fit(X)


def untrained(shape, denoiser):
    """Return a denoiser with its first weights."""
    torch.manual_seed(0)
    return make_unet(shape, denoiser)


class AugmentedResNet(ResNet):
    """A ResNet that is trained on images that are flipped at random, and shifted by up to four pixels."""

    def forward(self, x):
        """Return logits."""
        return super().forward(flipped_and_shifted(x) if self.training else x)


def photograph_net(n_rows, epochs=None, *, augmented=False):
    """Return the unfitted net of photographs: a small ResNet under a one-cycle schedule."""
    epochs = epochs or EPOCHS * (2 if augmented else 1)
    schedule = LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=HIGHEST_LR,
        total_steps=epochs * -(-n_rows // BATCH_SIZE),
        step_every="batch",
    )
    return NeuralNetClassifier(
        AugmentedResNet if augmented else ResNet,
        **{f"module__{name}": value for name, value in SHAPES["small"].items()},
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=5e-4,
        lr=HIGHEST_LR,
        batch_size=BATCH_SIZE,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=512,
        callbacks=[("schedule", schedule)],
        train_split=None,
        verbose=0,
    )
