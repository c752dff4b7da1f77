"""The targets: a network without a defense, and the six prior defenses around the same network."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from paper.networks import SHAPES, QuickResNet, ResNet, quick_training
from paper.rows import calibration, joined, members
from skdiffence._demo._engine import resolve_device, row_digests
from skdiffence.defenses import (
    AdvRegClassifier,
    DefendedClassifier,
    DPSGDClassifier,
    HAMPClassifier,
    MemGuardClassifier,
    RelaxLossClassifier,
    SELENAClassifier,
)

UNDEFENDED = "undefended"
TARGETS = (UNDEFENDED, "AdvReg", "MemGuard", "SELENA", "RelaxLoss", "HAMP", "DP-SGD")


def _settings(preset, rows, *, private=False):
    """Return the module, and what all networks are made and trained with."""
    quick = preset.recipe == "one cycle"
    if quick and not private:
        recipe = quick_training(preset.network, preset.epochs, preset.plain_share, preset.batch_size)
    else:
        # The paper's optimizer.
        recipe = {f"module__{name}": value for name, value in SHAPES[preset.network].items()}
        recipe |= {
            "optimizer": torch.optim.Adam,
            "optimizer__amsgrad": True,
            "optimizer__weight_decay": 1e-6,
            "lr": 1e-3,
            "max_epochs": preset.private_epochs if private else preset.epochs,
            "batch_size": preset.batch_size,
        }
    # Draws its batches at random anyway. skorch keeps the order of the rows, which are sorted by class.
    shuffle = {} if private else {"iterator_train__shuffle": True}
    return QuickResNet if quick and not private else ResNet, {
        **recipe,
        **shuffle,
        "module__n_channels": rows.member_scored.X.shape[1],
        "module__n_classes": rows.n_classes,
        "iterator_valid__batch_size": 256,
        "device": str(resolve_device("auto")),
        "train_split": None,
        "verbose": 0,
    }


def make_net(preset, rows):
    """Return the unfitted network without a defense."""
    module, settings = _settings(preset, rows)
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, **settings)


def make_target(name, preset, rows, seed):
    """Return an unfitted target.

    Parameters
    ----------
    name : str
        One of ``TARGETS``.
    preset : Preset
        Sizes.
    rows : Bunch
        The parts.
    seed : int
        Seeds weights, order and noise.

    Returns
    -------
    target : classifier
    """
    module, own = _settings(preset, rows, private=name == "DP-SGD")
    own["random_state"] = seed
    if name == "MemGuard":
        return MemGuardClassifier(make_net(preset, rows), random_state=seed)
    if name == "SELENA":
        n, excluded = preset.sub_models
        return SELENAClassifier(make_net(preset, rows), n_estimators=n, n_excluded=excluded, random_state=seed)
    if name == "AdvReg":
        return AdvRegClassifier(module, **own)
    if name == "RelaxLoss":
        return RelaxLossClassifier(module, **own)
    if name == "HAMP":
        return HAMPClassifier(module, **own)
    if name == "DP-SGD":
        # Far larger values are vacuous; the published runs state none at all.
        return DPSGDClassifier(module, target_epsilon=8.0, **own)
    return DefendedClassifier(make_net(preset, rows), "passthrough", random_state=seed)


def fit_target(name, preset, rows, seed, undefended):
    """Train a target on the members, and give it the further rows that its defense is entitled to.

    Parameters
    ----------
    name : str
        One of ``TARGETS``.
    preset : Preset
        Sizes.
    rows : Bunch
        The parts.
    seed : int
        Seeds weights, order and noise.
    undefended : callable ()
        Returns the fitted undefended target, for defenses that only change its answers.

    Returns
    -------
    target : classifier
        Fitted.
    """
    target, train = make_target(name, preset, rows, seed), members(rows)
    if name == "AdvReg":
        both = joined(train, rows.reference)
        return target.fit(both.X, both.y, is_member=np.arange(len(both.y)) < len(train.y))
    if name == "MemGuard":
        # The network is the undefended one; the stand-in for the attacker learns on calibration rows alone.
        net = undefended().estimator_
        known = calibration(rows)
        return target.set_params(estimator=FrozenEstimator(net)).fit(known.X, known.y, is_member=known.is_member)
    return target.fit(train.X, train.y)


class AnswerCache(ClassifierMixin, BaseEstimator):
    """A fitted classifier that is queried once for each input, whoever asks.

    Parameters
    ----------
    classifier : classifier
        Fitted; its label must be the argmax of its probabilities.

    Attributes
    ----------
    n_asked_ : int
        Inputs that the classifier has answered.
    """

    def __init__(self, classifier):
        self.classifier = classifier

    def fit(self, X, y=None):
        """Check on some rows that the label is the argmax, and start with an empty memory."""
        if np.any(self.classifier.predict(X) != self.classes_[self.classifier.predict_proba(X).argmax(axis=1)]):
            raise ValueError(f"predict of {type(self.classifier).__name__} is not the argmax of its predict_proba.")
        self.memory_, self.n_asked_ = {}, 0
        return self

    @property
    def classes_(self):
        """The labels."""
        return np.asarray(self.classifier.classes_)

    def predict_proba(self, X):
        """Return probabilities of shape (n, n_classes)."""
        names = row_digests(X).tolist()
        new = {name: i for i, name in enumerate(names) if name not in self.memory_}
        if new:
            made = np.asarray(self.classifier.predict_proba(X[list(new.values())]), dtype=np.float64)
            self.memory_.update(zip(new, made, strict=True))
            self.n_asked_ += len(new)
        return np.stack([self.memory_[name] for name in names])

    def predict(self, X):
        """Return labels of shape (n,)."""
        if isinstance(self.classifier, MemGuardClassifier):
            # Its labels take one pass of the net, its probabilities a search of up to 2,100 passes of an attack.
            return self.classifier.predict(X)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
