"""Regenerations made once per row and candidate, and shared by every defense that is compared."""

import numpy as np
from sklearn.base import BaseEstimator

from skdiffence.base import InferenceOnlyMixin
from skdiffence.utils._rows import row_digests


class RegenerationCache(InferenceOnlyMixin, BaseEstimator):
    """A fitted regenerator that remembers what it made.

    Only for comparisons in one process: it holds regenerations of every row that it was asked for, and noise that is
    drawn anew at every call would be frozen by it.

    Parameters
    ----------
    regenerator : regenerator
        Fitted, with noise that is a function of its key.

    Attributes
    ----------
    n_made_ : int
        Rows that the regenerator made, each one network call per step.
    """

    def __init__(self, regenerator):
        self.regenerator = regenerator

    def fit(self, X, y=None):
        """Start with an empty memory.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Not read.
        y : None
            Ignored.

        Returns
        -------
        self : RegenerationCache
        """
        self.memory_ = {}
        self.n_made_ = 0
        return self

    def regenerate(self, X, candidate=0):
        """Return regenerations, making only those that were never asked for.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Rows.
        candidate : int, default=0
            Candidate number.

        Returns
        -------
        regenerated : ndarray of shape (n, ...), dtype float32
        """
        names = row_digests(X).tolist()
        known = self.memory_.setdefault(candidate, {})
        new = np.array([i for i, name in enumerate(names) if name not in known], dtype=int)
        if len(new):
            made = self.regenerator.regenerate(X[new], candidate)
            known.update((names[i], row) for i, row in zip(new, made, strict=True))
            self.n_made_ += len(new)
        return np.stack([known[name] for name in names])

    def transform(self, X):
        """Return candidate 0 of each row.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Rows.

        Returns
        -------
        regenerated : ndarray of shape (n, ...), dtype float32
        """
        return self.regenerate(X, 0)
