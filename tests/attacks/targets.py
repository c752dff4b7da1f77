"""Targets whose every answer a test can dictate."""

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin


class Dictated(ClassifierMixin, BaseEstimator):
    """Answers the softmax of its rows: column k of X is the logit of class k."""

    def __init__(self, classes=(0, 1, 2)):
        self.classes = classes

    def fit(self, X=None, y=None):
        """Learn nothing."""
        self.classes_ = np.asarray(self.classes)
        return self

    def predict_proba(self, X):
        """Return the softmax of the rows."""
        return softmax(np.asarray(X, dtype=np.float64), axis=1)

    def predict(self, X):
        """Return the label of the largest logit."""
        return self.classes_[np.argmax(X, axis=1)]


class Counting(Dictated):
    """Counts calls and rows."""

    def fit(self, X=None, y=None):
        """Start counting."""
        self.calls_ = []
        return super().fit()

    def predict_proba(self, X):
        """Count, then answer."""
        self.calls_.append(("predict_proba", len(X)))
        return super().predict_proba(X)

    def predict(self, X):
        """Count, then answer."""
        self.calls_.append(("predict", len(X)))
        return super().predict(X)


def logits(phi, y, n_classes=3):
    """Return rows that ``Dictated`` answers with logit ``phi`` at class ``y`` and the others alike."""
    X = np.zeros((len(phi), n_classes))
    X[np.arange(len(phi)), y] = phi + np.log(n_classes - 1)
    return X


def planted(phi_members, phi_others, n=400, n_classes=3, seed=0):
    """Return X, y, is_member of n rows, half of them members, answered at the logits that two functions draw."""
    rng = np.random.default_rng(seed)
    is_member = rng.permutation(np.arange(n) % 2 == 0)
    y = rng.integers(n_classes, size=n)
    phi = np.where(is_member, phi_members(rng, n), phi_others(rng, n))
    return logits(phi, y, n_classes), y, is_member


def normal(mean, sd=1.0):
    """Return a function that draws normal logits."""
    return lambda rng, n: rng.normal(mean, sd, size=n)
