"""Regenerators whose candidates are known, for tests of what is built on them."""

import hashlib

import numpy as np
from sklearn.base import BaseEstimator

from skdiffence.base import InferenceOnlyMixin


class NoiseRegenerator(InferenceOnlyMixin, BaseEstimator):
    """Adds noise that is a function of the candidate number and the row's shape alone.

    As in ``DiffusionRegenerator``, the noise of candidate ~j = -1 - j is that of j with the opposite sign.
    """

    def __init__(self, scale=0.5, key=b"key", exact=False):
        self.scale = scale
        self.key = key
        self.exact = exact

    def fit(self, X, y=None):
        self.n_rows_ = len(X)
        self.denoiser_saw_members_ = False
        return self

    def regenerate(self, X, candidate=0):
        X = np.asarray(X)
        number = bytes([max(candidate, ~candidate)])
        seed = int.from_bytes(hashlib.blake2b(self.key + number, digest_size=4).digest(), "big")
        noise = np.sign(candidate + 0.5) * np.random.default_rng(seed).normal(scale=self.scale, size=X.shape[1:])
        return (X + noise).astype(np.float32)

    def transform(self, X):
        return self.regenerate(X, 0)


class CountingRegenerator(NoiseRegenerator):
    """Counts the rows that it regenerates, in a class attribute that survives clones."""

    n_regenerated = 0

    def regenerate(self, X, candidate=0):
        CountingRegenerator.n_regenerated += len(X)
        return super().regenerate(X, candidate)


class IdentityRegenerator(NoiseRegenerator):
    """Returns its input."""

    def regenerate(self, X, candidate=0):
        return np.array(X, dtype=np.float32)


class ConstantRegenerator(NoiseRegenerator):
    """Returns the same for every row, though not for every candidate."""

    def regenerate(self, X, candidate=0):
        X = np.asarray(X)
        return np.full(X.shape, 0.1 * candidate, dtype=np.float32)


class ZeroRegenerator(NoiseRegenerator):
    """Returns zeros."""

    def regenerate(self, X, candidate=0):
        return np.zeros(np.shape(X), dtype=np.float32)
