"""Targets that answer as a defense would, regenerators in closed form, and the attacks that are tried on both."""

import hashlib

import numpy as np
from scipy.special import expit, ndtri
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from skdiffence.attacks import (
    AnswerCostAttack,
    FallbackAttack,
    PrecompensatedQueryAttack,
    RepeatedQueryAttack,
    SurrogateRegenerationAttack,
)
from tests.attacks.targets import Counting, Dictated


class FirstFeature(ClassifierMixin, BaseEstimator):
    """Answers the first feature as phi of class 1; what it was asked is in ``asked_``."""

    def fit(self, X=None, y=None):
        """Learn nothing."""
        self.classes_, self.asked_ = np.array([0, 1]), []
        self.rng_ = np.random.default_rng(0)
        return self

    def phi(self, X):
        """Return phi of class 1."""
        return X.reshape(len(X), -1)[:, 0]

    def predict_proba(self, X):
        """Return two columns."""
        self.asked_.append(np.array(X))
        phi = np.asarray(self.phi(X), dtype=np.float64)
        return np.column_stack([expit(-phi), expit(phi)])

    def predict(self, X):
        """Return whether the undisturbed phi is positive."""
        return (X.reshape(len(X), -1)[:, 0] > 0).astype(int)


class FreshNoise(FirstFeature):
    """Adds noise that is drawn anew for every answer; its size is the second feature."""

    def phi(self, X):
        """Return a noisy phi."""
        return X[:, 0] + X[:, 1] * self.rng_.normal(size=len(X))


class RowNoise(FirstFeature):
    """Adds noise of size 2 that is a function of the row at 8 bits of a range of -10 to 10."""

    def phi(self, X):
        """Return a phi that is noisy in the same way for the same row."""
        codes = np.rint((np.clip(X, -10, 10) + 10) / 20 * 255).astype(np.uint8)
        hashes = [hashlib.blake2b(code, digest_size=6).digest() for code in codes]
        uniform = [(int.from_bytes(each, "little") + 0.5) / 2**48 for each in hashes]
        return X[:, 0] + 2 * ndtri(uniform)


class Defended(FirstFeature):
    """Answers on regenerations."""

    def __init__(self, regenerator):
        self.regenerator = regenerator

    def phi(self, X):
        """Return the first feature of the regeneration."""
        return self.regenerator.regenerate(X, 0)[:, 0]


class Selecting(Counting):
    """Says that it made more regenerations for rows that it is surer of."""

    def select(self, X):
        """Return what it answers, and how much work it says that it was."""
        self.calls_.append(("select", len(X)))
        return Bunch(n_regenerations=np.rint(10 * Dictated.predict_proba(self, X).max(axis=1)).astype(int))


class Scaled:
    """Regenerates a row as a multiple of itself; with ``drift`` candidates differ by that much. Counts rows."""

    def __init__(self, factor, drift=0.0):
        self.factor, self.drift, self.made = factor, drift, []

    def regenerate(self, X, candidate):
        """Return the multiple."""
        self.made.append((candidate, len(X)))
        return X * self.factor + self.drift * candidate


class Blur:
    """Regenerates a row as a circular blur of itself, whose eigenvalues lie between 0.2 and 1."""

    def regenerate(self, X, candidate):
        """Return the blurred rows."""
        return 0.6 * X + 0.2 * (np.roll(X, 1, axis=1) + np.roll(X, -1, axis=1))


def every_attack():
    """Return each of the adaptive attacks once, unfitted and quick."""
    return {
        "cost": AnswerCostAttack(),
        "contrast": PrecompensatedQueryAttack(mode="contrast", strength=0.3, n_queries=2),
        "fallback": FallbackAttack(random_state=0),
        "fallback, bare model known": FallbackAttack(FrozenEstimator(Dictated().fit())),
        "precompensated": PrecompensatedQueryAttack(Scaled(0.5), n_queries=2, n_regenerations=4, n_iterations=2),
        "repeated": RepeatedQueryAttack(2),
        "repeated, gray": RepeatedQueryAttack(3, neighbor="gray", statistic="max", random_state=0),
        "repeated, quantum": RepeatedQueryAttack(3, neighbor="quantum", random_state=0),
        "repeated, ulp": RepeatedQueryAttack(2, neighbor="ulp", random_state=0),
        "surrogate": SurrogateRegenerationAttack(Scaled(0.5), n_regenerations=2),
        "surrogate, calibrated": SurrogateRegenerationAttack(
            Scaled(0.5, drift=0.1), FrozenEstimator(Dictated().fit()), n_regenerations=2
        ),
    }
